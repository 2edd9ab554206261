//! Key material that stays out of logs.

use std::{fmt, sync::OnceLock};

use subtle::ConstantTimeEq as _;

use crate::{handshake::TOKEN_LABEL, hash::Ready, keys, scheme::KeyForm};

/// A shared secret, token or public key, as the operator pasted it.
///
/// Invariant: not empty, not only whitespace and not only NUL. HMAC pads keys with zeros, so
/// all of these would be the empty key, which anybody can sign with.
#[derive(Clone)]
pub struct Secret {
    bytes: Box<[u8]>,
    /// A source uses its secrets in one form for as long as it is in memory.
    ready: OnceLock<Option<Box<(KeyForm, Ready)>>>,
}

impl Secret {
    /// `None` where the bytes would be no secret at all: see the invariant of the type.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        let blank = bytes.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace());
        (!blank).then_some(Self { bytes, ready: OnceLock::new() })
    }

    /// The bytes themselves. Whoever calls this keeps them out of logs and replies.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is these bytes, in a time that does not tell where they differ.
    pub fn is(&self, other: &[u8]) -> bool {
        self.bytes.ct_eq(other).into()
    }

    /// The token behind `verify_token:`, where the secret is only that: it answers questions and signs nothing.
    pub fn verify_token(&self) -> Option<&[u8]> {
        self.bytes.strip_prefix(TOKEN_LABEL).map(<[u8]>::trim_ascii)
    }

    /// The `https` URL of a document with public keys, where that is what the operator pasted in place of a key.
    pub fn key_url(&self) -> Option<&str> {
        keys::key_url(self)
    }

    /// A key for HMAC-SHA-256 of the form that was asked for first. `None` for another form, and
    /// for a secret that is no key.
    pub(crate) fn ready(&self, form: KeyForm) -> Option<&Ready> {
        let made = self.ready.get_or_init(|| {
            let key = keys::mac_key(form, self).ok()?;
            Some(Box::new((form, Ready::new(&key))))
        });
        made.as_ref().filter(|made| made.0 == form).map(|made| &made.1)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_bytes_are_no_secret() {
        for blank in [&b""[..], b" ", b"\t\r\n ", b"\0", b"\0\0\0\0", b" \0 "] {
            assert!(Secret::new(blank).is_none(), "{blank:?}");
        }
        assert!(Secret::new(*b"x").is_some());
    }

    #[test]
    fn debug_does_not_show_it() {
        let secret = Secret::new(*b"hush").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
