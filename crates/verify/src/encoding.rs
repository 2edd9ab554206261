//! How bytes are written as text.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

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
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 | Self::Base64Url => {
                BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).ok()
            }
            Self::Base64Hex => hex::decode(Self::Base64.decode(text)?).ok(),
        }
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
        assert_eq!(Encoding::Hex.decode(b"abc"), None);
        assert_eq!(Encoding::Hex.decode(b"zz"), None);
    }
}
