//! Hash functions by name, and HMAC over them.

use sha2::Digest;
use subtle::ConstantTimeEq;

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

    /// Its name in WebCrypto, which knows these.
    pub const fn web_name(self) -> Option<&'static str> {
        match self {
            Self::Sha1 => Some("SHA-1"),
            Self::Sha256 => Some("SHA-256"),
            Self::Sha384 => Some("SHA-384"),
            Self::Sha512 => Some("SHA-512"),
            _ => None,
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
pub fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    hmac_of(hash, key, &mut parts.iter().copied()).to_vec()
}

/// The plain digest of the concatenation of `parts`.
pub fn digest(hash: Hash, parts: &[&[u8]]) -> Vec<u8> {
    digest_of(hash, &mut parts.iter().copied()).to_vec()
}

/// The longest block of a [`enum@Hash`].
const BLOCK_MAX: usize = 144;

/// A digest, or a text that was read as one, that is not on the heap: requests are many, and short.
#[derive(Clone, Copy)]
pub(crate) struct Sum {
    bytes: [u8; 64],
    len: usize,
}

impl Sum {
    fn new(digest: &[u8]) -> Self {
        let mut sum = Self { bytes: [0; 64], len: digest.len().min(64) };
        for (to, from) in sum.bytes.iter_mut().zip(digest) {
            *to = *from;
        }
        sum
    }

    /// Takes what `write` writes, and says the length of.
    pub(crate) fn fill(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<usize> {
        let length = write(&mut self.bytes)?;
        self.len = length;
        Some(length)
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }
}

impl std::fmt::Debug for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sum(..)")
    }
}

impl std::ops::Deref for Sum {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Whether two digests are the same, in a time that does not tell where they differ: what differs
/// is gathered a word at a time, and looked at once, behind what shields it from the compiler.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    let mut differs = u64::from(one.len() != other.len());
    for (one, other) in words.iter().zip(other_words) {
        differs |= u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other);
    }
    for (one, other) in rest.iter().zip(other_rest) {
        differs |= u64::from(one ^ other);
    }
    differs.ct_eq(&0).into()
}

/// As [`hmac`], without the heap.
///
/// Written out over [`digest_of`] because a generic one would be compiled twelve times over, which
/// is a tenth of what this crate may weigh.
pub(crate) fn hmac_of(hash: Hash, key: &[u8], parts: &mut dyn Iterator<Item = &[u8]>) -> Sum {
    let block = hash.block_size();
    let hashed;
    let key = if block < key.len() {
        hashed = digest_of(hash, &mut std::iter::once(key));
        &hashed
    } else {
        key
    };
    let mut pad = [0x36; BLOCK_MAX];
    for (to, from) in pad.iter_mut().zip(key) {
        *to ^= *from;
    }
    let inner = run(hash, &mut |update| {
        update(pad.get(..block).unwrap_or_default());
        parts.for_each(&mut *update);
    });
    for byte in &mut pad {
        *byte ^= 0x36 ^ 0x5c;
    }
    run(hash, &mut |update| {
        update(pad.get(..block).unwrap_or_default());
        update(&inner);
    })
}

/// A key for HMAC-SHA-256 with its two blocks already hashed.
#[derive(Clone)]
pub(crate) struct Ready {
    inner: sha2::Sha256,
    outer: sha2::Sha256,
}

impl Ready {
    pub(crate) fn new(key: &[u8]) -> Self {
        let hashed;
        let key = if Hash::Sha256.block_size() < key.len() {
            hashed = digest_of(Hash::Sha256, &mut std::iter::once(key));
            &*hashed
        } else {
            key
        };
        let padded = |byte: u8| {
            let mut pad = [byte; 64];
            for (to, from) in pad.iter_mut().zip(key) {
                *to ^= *from;
            }
            sha2::Sha256::new_with_prefix(pad)
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// The HMAC of what `feed` gives to the hash, or why it could not.
    pub(crate) fn hmac<E>(
        &self,
        feed: impl FnOnce(&mut sha2::Sha256) -> Result<(), E>,
    ) -> Result<[u8; 32], E> {
        let mut inner = self.inner.clone();
        feed(&mut inner)?;
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        Ok(outer.finalize().into())
    }

    /// The HMAC of one piece.
    pub(crate) fn hmac_of(&self, message: &[u8]) -> [u8; 32] {
        let mut inner = self.inner.clone();
        inner.update(message);
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        outer.finalize().into()
    }
}

/// As [`digest`], without the heap.
pub(crate) fn digest_of(hash: Hash, parts: &mut dyn Iterator<Item = &[u8]>) -> Sum {
    run(hash, &mut |update| parts.for_each(&mut *update))
}

/// Gives pieces of a message to the hash, in their order.
type Feed<'f> = &'f mut dyn FnMut(&mut dyn FnMut(&[u8]));

fn run(hash: Hash, feed: Feed<'_>) -> Sum {
    match hash {
        Hash::Md5 => plain::<md5::Md5>(feed),
        Hash::Sha1 => plain::<sha1::Sha1>(feed),
        Hash::Sha224 => plain::<sha2::Sha224>(feed),
        Hash::Sha256 => plain::<sha2::Sha256>(feed),
        Hash::Sha384 => plain::<sha2::Sha384>(feed),
        Hash::Sha512 => plain::<sha2::Sha512>(feed),
        Hash::Sha3_224 => plain::<sha3::Sha3_224>(feed),
        Hash::Sha3_256 => plain::<sha3::Sha3_256>(feed),
        Hash::Sha3_384 => plain::<sha3::Sha3_384>(feed),
        Hash::Sha3_512 => plain::<sha3::Sha3_512>(feed),
        Hash::Sha512_224 => plain::<sha2::Sha512_224>(feed),
        Hash::Sha512_256 => plain::<sha2::Sha512_256>(feed),
    }
}

fn plain<D: Digest>(feed: Feed<'_>) -> Sum {
    let mut digest = D::new();
    feed(&mut |piece| digest.update(piece));
    Sum::new(&digest.finalize())
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

    #[test]
    fn digests_are_the_same_only_whole() {
        for length in [16, 20, 28, 32, 48, 64] {
            let digest = vec![0x5a; length];
            assert!(same(&digest, &digest));
            assert!(!same(&digest, digest.get(..length - 1).unwrap()), "{length}");
            assert!(!same(&digest, &[]), "{length}");
            for bit in 0..length * 8 {
                let mut other = digest.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!same(&digest, &other), "bit {bit} of {length} bytes");
            }
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
        for length in [1, 63, 64, 65, 200] {
            let key = vec![b'k'; length];
            let ready = Ready::new(&key).hmac(|hash| {
                hash.update(b"a");
                hash.update(b"b");
                Ok::<_, ()>(())
            });
            let whole = hmac(Hash::Sha256, &key, &[b"ab"]);
            assert_eq!(ready.unwrap(), *whole, "{length}");
            assert_eq!(Ready::new(&key).hmac_of(b"ab"), *whole, "{length}");
        }
    }
}
