//! How bytes are written as text.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use smallvec::SmallVec;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, LENIENT.with_encode_padding(false));

/// How a signature or key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Either case.
    Hex,
    /// Both alphabets, with or without padding.
    Base64,
    /// As [`Encoding::Base64`] when read; the URL-safe alphabet without padding when written.
    Base64Url,
    /// Base64 around lower-case hex digits.
    Base64Hex,
}

impl Encoding {
    /// By its name: `hex`, `base64`, `base64url`, `base64hex`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Hex, Self::Base64, Self::Base64Url, Self::Base64Hex]
            .into_iter()
            .find(|encoding| encoding.name() == name)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Base64Hex => "base64hex",
        }
    }

    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
            Self::Base64Url => BASE64_URL.encode(bytes),
            Self::Base64Hex => BASE64.encode(hex::encode(bytes)),
        }
    }

    /// `None` where the text is not in this encoding.
    pub fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        self.decode_short(text).map(Short::into_vec)
    }

    /// As [`Encoding::decode`], without the heap where a digest fits.
    pub(crate) fn decode_short(self, text: &[u8]) -> Option<Short> {
        match self {
            Self::Hex => unhex(text),
            Self::Base64 | Self::Base64Url => {
                // What is decoded is never longer than its text.
                let mut bytes = Short::from_elem(0, text.len());
                let read = BASE64.decode_slice(text, &mut bytes);
                let read = read.or_else(|_| BASE64_URL.decode_slice(text, &mut bytes)).ok()?;
                bytes.truncate(read);
                Some(bytes)
            }
            Self::Base64Hex => unhex(&Self::Base64.decode_short(text)?),
        }
    }
}

/// Bytes that were decoded: room for base64 of the longest digest before it needs the heap.
pub(crate) type Short = SmallVec<[u8; 96]>;

fn unhex(text: &[u8]) -> Option<Short> {
    let (words, rest) = text.as_chunks::<8>();
    let (pairs, []) = rest.as_chunks::<2>() else { return None };
    let mut bytes = Short::from_elem(0, text.len() / 2);
    let (fours, ones) = bytes.as_chunks_mut::<4>();
    let mut wrong = 0;
    for (word, four) in words.iter().zip(&mut *fours) {
        let (read, fault) = unhex_word(u64::from_le_bytes(*word));
        wrong |= fault;
        *four = read;
    }
    for ([high, low], one) in pairs.iter().zip(ones) {
        let (high, low) = (digit(*high), digit(*low));
        wrong |= u64::from((high | low) & 0xf0);
        *one = high << 4 | low;
    }
    (wrong == 0).then_some(bytes)
}

/// Four bytes from eight digits at once, and zero where all of them are digits.
fn unhex_word(word: u64) -> ([u8; 4], u64) {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    // Letters have the bit of 64, and count from nine below their low half. A byte with its
    // highest bit set would carry into its neighbour; it is a fault in any case.
    let letters = (word >> 6) & EACH;
    let values = (word & (EACH * 0x0f)) + letters * 9;
    // Written again, in lower case, the same digits have to come out.
    let above_nine = ((values + EACH * 6) >> 4) & EACH;
    let written = values + EACH * u64::from(b'0') + above_nine * 39;
    let fault = (written ^ (word | (letters << 5))) | (values & (EACH * 0xf0));
    let pairs = ((values << 4) | (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let pairs = (pairs | (pairs >> 8)) & 0x0000_ffff_0000_ffff;
    let [a, b, _, _, c, d, _, _] = pairs.to_le_bytes();
    ([a, b, c, d], fault)
}

/// The value of a hex digit, without a branch; 255 for what is none.
const fn digit(byte: u8) -> u8 {
    let number = byte.wrapping_sub(b'0');
    let letter = (byte | 0x20).wrapping_sub(b'a');
    if number < 10 {
        number
    } else if letter < 6 {
        letter + 10
    } else {
        255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_text_reads_back() {
        for name in ["hex", "base64", "base64url", "base64hex"] {
            let encoding = Encoding::from_name(name).unwrap();
            for bytes in [&b""[..], b"\xff", b"\xfb\xef", b"\xfb\xef\xbe", b"some text"] {
                let text = encoding.encode(bytes);
                assert_eq!(encoding.decode(text.as_bytes()).as_deref(), Some(bytes), "{text}");
            }
        }
    }

    #[test]
    fn base64_reads_both_alphabets_and_any_padding() {
        for text in ["++//", "--__"] {
            assert_eq!(Encoding::Base64.decode(text.as_bytes()).unwrap(), b"\xfb\xef\xff");
        }
        for text in ["/w==", "/w", "_w", "_w=="] {
            assert_eq!(Encoding::Base64.decode(text.as_bytes()).unwrap(), b"\xff");
        }
        for text in ["%^&$*#@", "a", "ab cd", "+_+_"] {
            assert_eq!(Encoding::Base64.decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn hex_reads_either_case() {
        assert_eq!(Encoding::Hex.decode(b"aBcD").unwrap(), b"\xab\xcd");
        for byte in 0..=255_u8 {
            // In a whole word, at its end, and in what is left over.
            for at in [0, 7, 8, 9] {
                let mut text = *b"00aA99fF0b";
                text[at] = byte;
                assert_eq!(Encoding::Hex.decode(&text), hex::decode(text).ok(), "{byte} at {at}");
            }
        }
        assert_eq!(Encoding::Hex.decode(b"abc"), None);
        assert_eq!(Encoding::Hex.decode(b"zz"), None);
    }
}
