//! Hash functions by name, and HMAC over them.

use hmac::{KeyInit, Mac, SimpleHmac, digest::Digest, digest::block_api::BlockSizeUser};

/// A hash function. The names are those of Convoy's HMAC verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
    Sha512_224,
    Sha512_256,
}

impl Hash {
    /// Every hash, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
        Self::Sha512_224,
        Self::Sha512_256,
    ];

    /// By its upper-case name: `MD5`, `SHA256`, `SHA3_256`, `SHA512_256`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.name() == name)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha224 => "SHA224",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
            Self::Sha3_224 => "SHA3_224",
            Self::Sha3_256 => "SHA3_256",
            Self::Sha3_384 => "SHA3_384",
            Self::Sha3_512 => "SHA3_512",
            Self::Sha512_224 => "SHA512_224",
            Self::Sha512_256 => "SHA512_256",
        }
    }

    /// Bytes in a digest.
    pub const fn size(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha3_224 | Self::Sha512_224 => 28,
            Self::Sha256 | Self::Sha3_256 | Self::Sha512_256 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }
}

/// HMAC (RFC 2104) over the concatenation of `parts`. Any key length will do.
pub fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match hash {
        Hash::Md5 => mac::<md5::Md5>(key, parts),
        Hash::Sha1 => mac::<sha1::Sha1>(key, parts),
        Hash::Sha224 => mac::<sha2::Sha224>(key, parts),
        Hash::Sha256 => mac::<sha2::Sha256>(key, parts),
        Hash::Sha384 => mac::<sha2::Sha384>(key, parts),
        Hash::Sha512 => mac::<sha2::Sha512>(key, parts),
        Hash::Sha3_224 => mac::<sha3::Sha3_224>(key, parts),
        Hash::Sha3_256 => mac::<sha3::Sha3_256>(key, parts),
        Hash::Sha3_384 => mac::<sha3::Sha3_384>(key, parts),
        Hash::Sha3_512 => mac::<sha3::Sha3_512>(key, parts),
        Hash::Sha512_224 => mac::<sha2::Sha512_224>(key, parts),
        Hash::Sha512_256 => mac::<sha2::Sha512_256>(key, parts),
    }
}

/// The plain digest of the concatenation of `parts`.
pub fn digest(hash: Hash, parts: &[&[u8]]) -> Vec<u8> {
    match hash {
        Hash::Md5 => plain::<md5::Md5>(parts),
        Hash::Sha1 => plain::<sha1::Sha1>(parts),
        Hash::Sha224 => plain::<sha2::Sha224>(parts),
        Hash::Sha256 => plain::<sha2::Sha256>(parts),
        Hash::Sha384 => plain::<sha2::Sha384>(parts),
        Hash::Sha512 => plain::<sha2::Sha512>(parts),
        Hash::Sha3_224 => plain::<sha3::Sha3_224>(parts),
        Hash::Sha3_256 => plain::<sha3::Sha3_256>(parts),
        Hash::Sha3_384 => plain::<sha3::Sha3_384>(parts),
        Hash::Sha3_512 => plain::<sha3::Sha3_512>(parts),
        Hash::Sha512_224 => plain::<sha2::Sha512_224>(parts),
        Hash::Sha512_256 => plain::<sha2::Sha512_256>(parts),
    }
}

fn mac<D: Digest + BlockSizeUser>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of any length, so the error cannot happen; no bytes would match nothing.
    let Ok(mut mac) = SimpleHmac::<D>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn plain<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_agree() {
        for hash in Hash::ALL {
            assert_eq!(Hash::from_name(hash.name()), Some(hash));
            assert_eq!(hmac(hash, b"key", &[b"a", b"b"]).len(), hash.size(), "{hash:?}");
            assert_eq!(hmac(hash, b"key", &[b"a", b"b"]), hmac(hash, b"key", &[b"ab"]));
            assert_eq!(digest(hash, &[b"a", b"b"]), digest(hash, &[b"ab"]));
        }
        assert_eq!(Hash::from_name("sha256"), None);
    }

    /// From Python's `hmac` module: key `key`, message `The quick brown fox`.
    #[test]
    fn every_hash_agrees_with_another_implementation() {
        for (hash, expected) in include!("hash_vectors.in") {
            let computed = hex::encode(hmac(hash, b"key", &[b"The quick brown fox"]));
            assert_eq!(computed, expected, "{hash:?}");
        }
    }
}
