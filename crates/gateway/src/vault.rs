//! Secrets at rest: AES-256-GCM under a key that only the Worker holds, and keyed hashes for API keys.
//!
//! A sealed value is bound to where it belongs (its *place*, as associated data): a ciphertext that
//! is copied to another project's row does not open there.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use inlet_verify::{Hash, Secret, hmac};
use serde::{Deserialize, Serialize};

use crate::ids::Fill;

const VERSION: &str = "v1.";
const NONCE_LEN: usize = 12;
/// A hint shows four characters; a secret shorter than this would lose too much by them.
const HINT_MIN_LEN: usize = 12;
/// What is shown in place of a secret.
pub const MASK: &str = "********";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("ENCRYPTION_KEY is not 32 bytes in base64; make one with `openssl rand -base64 32`")]
    BadKey,
    #[error("a stored secret does not open with this ENCRYPTION_KEY: was the key replaced?")]
    DoesNotOpen,
}

/// A secret as it is stored: ciphertext, and the hint that reads may show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    ciphertext: String,
    /// `********`, with the last four characters where the secret is long enough.
    pub hint: String,
}

/// Seals and opens secrets, and hashes API keys. Made from the `ENCRYPTION_KEY` secret.
pub struct Vault {
    cipher: Aes256Gcm,
    api_key_pepper: Vec<u8>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl Vault {
    /// `key` is base64 of 32 random bytes.
    pub fn new(key: &str) -> Result<Self, VaultError> {
        let master = STANDARD.decode(key.trim()).map_err(|_| VaultError::BadKey)?;
        if master.len() != 32 || master.iter().all(|byte| *byte == 0) {
            return Err(VaultError::BadKey);
        }
        let sealing = hmac(Hash::Sha256, &master, &[b"inlet/seal/v1"]);
        let cipher = Aes256Gcm::new_from_slice(&sealing).map_err(|_| VaultError::BadKey)?;
        Ok(Self { cipher, api_key_pepper: hmac(Hash::Sha256, &master, &[b"inlet/api-key/v1"]) })
    }

    /// Seals `plain` for `place`, a text that names the row and field it belongs to.
    pub fn seal(&self, plain: &str, place: &str, fill: Fill<'_>) -> Result<Sealed, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce);
        let payload = Payload { msg: plain.as_bytes(), aad: place.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| VaultError::DoesNotOpen)?;
        let ciphertext = format!("{VERSION}{}", STANDARD.encode([&nonce[..], &sealed].concat()));
        Ok(Sealed { ciphertext, hint: hint(plain) })
    }

    /// Opens what [`Vault::seal`] made for the same `place`.
    pub fn open(&self, sealed: &Sealed, place: &str) -> Result<Secret, VaultError> {
        let refuse = || VaultError::DoesNotOpen;
        let encoded = sealed.ciphertext.strip_prefix(VERSION).ok_or_else(refuse)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| VaultError::DoesNotOpen)?;
        let (nonce, msg) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(refuse)?;
        let payload = Payload { msg, aad: place.as_bytes() };
        let plain = self
            .cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| VaultError::DoesNotOpen)?;
        Secret::new(plain).ok_or_else(refuse)
    }

    /// What is stored of an API key. Keys are random, so a fast keyed hash is enough, and nobody who
    /// reads the table can log in.
    pub fn hash_api_key(&self, key: &str) -> String {
        hex::encode(hmac(Hash::Sha256, &self.api_key_pepper, &[key.as_bytes()]))
    }
}

/// True for a value that a read handed out in place of a secret, sent back unchanged.
pub fn is_hint(value: &str) -> bool {
    value.starts_with(MASK)
}

fn hint(plain: &str) -> String {
    let chars = plain.chars().count();
    let shown = if chars < HINT_MIN_LEN { 0 } else { 4 };
    let tail: String = plain.chars().skip(chars - shown).collect();
    format!("{MASK}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        Vault::new(&STANDARD.encode([7; 32])).unwrap()
    }

    #[test]
    fn a_secret_opens_only_in_its_own_place_and_with_its_own_key() {
        let sealed = vault().seal("It's a Secret", "p1/s1/hmac", &mut |b| b.fill(3)).unwrap();
        assert_eq!(vault().open(&sealed, "p1/s1/hmac").unwrap().expose(), b"It's a Secret");
        assert_eq!(vault().open(&sealed, "p2/s1/hmac").unwrap_err(), VaultError::DoesNotOpen);
        let other = Vault::new(&STANDARD.encode([8; 32])).unwrap();
        assert_eq!(other.open(&sealed, "p1/s1/hmac").unwrap_err(), VaultError::DoesNotOpen);
        assert!(!format!("{sealed:?}").contains("Secret"));
    }

    #[test]
    fn a_changed_ciphertext_does_not_open() {
        let sealed = vault().seal("secret", "here", &mut |b| b.fill(3)).unwrap();
        for ciphertext in ["", "v1.", "v1.AAAA", "v2.AAAA", &sealed.ciphertext.replace('A', "B")] {
            let changed = Sealed { ciphertext: ciphertext.into(), hint: String::new() };
            if changed.ciphertext != sealed.ciphertext {
                assert_eq!(vault().open(&changed, "here").unwrap_err(), VaultError::DoesNotOpen);
            }
        }
    }

    #[test]
    fn hints_show_four_characters_of_long_secrets_only() {
        assert_eq!(hint("short"), "********");
        assert_eq!(hint("It's a Secret to Everybody"), "********body");
        assert!(is_hint("********body"));
        assert!(!is_hint("body"));
    }

    #[test]
    fn bad_keys_are_refused_with_the_command_that_makes_a_good_one() {
        for key in ["", "abc", &STANDARD.encode([1; 16]), &STANDARD.encode([0; 32])] {
            assert!(Vault::new(key).unwrap_err().to_string().contains("openssl rand -base64 32"));
        }
    }
}
