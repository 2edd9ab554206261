//! Ed25519 (RFC 8032).

use ed25519_dalek::{Signature, VerifyingKey};

/// Signatures of one request that are tried: each reads the whole message. Senders write two while they change their key.
pub(crate) const MOST: usize = 8;

/// Strict: low-order keys, with which some signatures match any message, and signatures that
/// are not in canonical form are refused.
pub(crate) fn verify(key: &[u8; 32], parts: &[&[u8]], signature: &[u8]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    match parts {
        [message] => key.verify_strict(message, &signature).is_ok(),
        parts => key.verify_strict(&parts.concat(), &signature).is_ok(),
    }
}
