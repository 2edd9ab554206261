//! Hash functions by name, and HMAC over them.

use sha2::Digest;

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

    /// Bytes that the hash takes at a time: what HMAC pads its keys to.
    const fn block_size(self) -> usize {
        match self {
            Self::Md5 | Self::Sha1 | Self::Sha224 | Self::Sha256 => 64,
            Self::Sha384 | Self::Sha512 | Self::Sha512_224 | Self::Sha512_256 => 128,
            Self::Sha3_224 => 144,
            Self::Sha3_256 => 136,
            Self::Sha3_384 => 104,
            Self::Sha3_512 => 72,
        }
    }
}

/// HMAC (RFC 2104) over the concatenation of `parts`. Any key length will do.
///
/// Written out over [`digest`] because a generic one would be compiled twelve times over, which
/// is a tenth of what this crate may weigh.
pub fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let block = hash.block_size();
    let mut padded = if block < key.len() { digest(hash, &[key]) } else { key.to_vec() };
    padded.resize(block, 0);
    let pad = |byte: u8| -> Vec<u8> { padded.iter().map(|key| key ^ byte).collect() };
    let (inner, outer) = (pad(0x36), pad(0x5c));
    let mut message: Vec<&[u8]> = Vec::with_capacity(parts.len() + 1);
    message.push(&inner);
    message.extend(parts);
    digest(hash, &[&outer, &digest(hash, &message)])
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

    /// From Python's `hmac` module, with a short key, and with one that is longer than any block.
    #[test]
    fn every_hash_agrees_with_another_implementation() {
        for (hash, short, long) in include!("hash_vectors.in") {
            let computed = hex::encode(hmac(hash, b"key", &[b"The quick", b" brown fox"]));
            assert_eq!(computed, short, "{hash:?}");
            let computed = hex::encode(hmac(hash, &[b'k'; 145], &[b"The quick brown fox"]));
            assert_eq!(computed, long, "{hash:?}");
        }
    }

    /// A key as long as the block is used as it stands, one byte more and it is hashed.
    #[test]
    fn keys_around_the_block() {
        for hash in Hash::ALL {
            let full = vec![b'k'; hash.block_size()];
            let longer = vec![b'k'; hash.block_size() + 1];
            let hashed = digest(hash, &[&longer]);
            assert_eq!(hmac(hash, &longer, &[b"x"]), hmac(hash, &hashed, &[b"x"]));
            assert_ne!(hmac(hash, &full, &[b"x"]), hmac(hash, &digest(hash, &[&full]), &[b"x"]));
        }
    }
}
