//! How bytes are written as text.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL},
};

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
        // What is decoded is never longer than its text.
        let mut bytes = vec![0; text.len()];
        let length = self.decode_into(text, &mut bytes)?;
        bytes.truncate(length);
        Some(bytes)
    }

    /// How many bytes of `room` were written. `None`, too, where it is too small.
    pub(crate) fn decode_into(self, text: &[u8], room: &mut [u8]) -> Option<usize> {
        match self {
            Self::Hex => unhex(text, room),
            Self::Base64 | Self::Base64Url => unbase64(text, room),
            Self::Base64Hex => {
                let mut digits = vec![0; text.len()];
                let length = unbase64(text, &mut digits)?;
                unhex(digits.get(..length)?, room)
            }
        }
    }
}

fn unhex(text: &[u8], room: &mut [u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    let (pairs, []) = rest.as_chunks::<2>() else { return None };
    let bytes = room.get_mut(..text.len() / 2)?;
    let length = bytes.len();
    let (fours, ones) = bytes.as_chunks_mut::<4>();
    let mut wrong = 0;
    for (word, four) in words.iter().zip(fours) {
        let (read, fault) = unhex_word(u64::from_le_bytes(*word));
        wrong |= fault;
        *four = read;
    }
    for ([high, low], one) in pairs.iter().zip(ones) {
        let (high, low) = (digit(*high), digit(*low));
        wrong |= u64::from((high | low) & 0xf0);
        *one = high << 4 | low;
    }
    (wrong == 0).then_some(length)
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

/// Set in [`SIXES`] for a digit of the standard alphabet alone, and for one of the URL-safe
/// alphabet alone; both for what is no digit.
const STANDARD_ONLY: u8 = 0x40;
const URL_ONLY: u8 = 0x80;
const NEITHER: u8 = STANDARD_ONLY | URL_ONLY;

/// The values of base64 digits.
#[expect(clippy::indexing_slicing, reason = "what is out of range does not compile")]
const SIXES: [u8; 256] = {
    let mut sixes = [NEITHER; 256];
    let mut value = 0;
    while value < 26 {
        sixes[b'A' as usize + value as usize] = value;
        sixes[b'a' as usize + value as usize] = value + 26;
        value += 1;
    }
    let mut value = 0;
    while value < 10 {
        sixes[b'0' as usize + value as usize] = value + 52;
        value += 1;
    }
    sixes[b'+' as usize] = STANDARD_ONLY + 62;
    sixes[b'/' as usize] = STANDARD_ONLY + 63;
    sixes[b'-' as usize] = URL_ONLY + 62;
    sixes[b'_' as usize] = URL_ONLY + 63;
    sixes
};

/// Either alphabet but not both, with padding or without, and no bits that mean nothing.
fn unbase64(text: &[u8], room: &mut [u8]) -> Option<usize> {
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    };
    let (fours, rest) = digits.as_chunks::<4>();
    let length = digits.len() * 3 / 4;
    let (threes, end) = room.get_mut(..length)?.as_chunks_mut::<3>();
    let mut seen = 0;
    let mut bits = |digits: [u8; 4]| {
        let [a, b, c, d] = digits.map(|digit| SIXES.get(usize::from(digit)).map_or(0, |six| *six));
        seen |= a | b | c | d;
        let [a, b, c, d] = [a, b, c, d].map(|six| u32::from(six & 0x3f));
        a << 18 | b << 12 | c << 6 | d
    };
    for (four, three) in fours.iter().zip(threes) {
        let [_, bytes @ ..] = bits(*four).to_be_bytes();
        *three = bytes;
    }
    // What is left over holds 12 or 18 bits, of which 4 or 2 stand for nothing.
    let padding = text.len() - digits.len();
    let whole = match (rest, end) {
        ([], []) => padding == 0,
        ([a, b], [one]) => {
            let [_, first, rest @ ..] = bits([*a, *b, b'A', b'A']).to_be_bytes();
            *one = first;
            rest == [0, 0]
        }
        ([a, b, c], [one, two]) => {
            let [_, first, second, rest] = bits([*a, *b, *c, b'A']).to_be_bytes();
            (*one, *two) = (first, second);
            rest == 0 && padding < 2
        }
        _ => false,
    };
    (whole && seen & NEITHER != NEITHER).then_some(length)
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
        for text in
            ["%^&$*#@", "a", "ab cd", "+_+_", "/x==", "++//=", "AAA==", "AA===", "=", "+A=A"]
        {
            assert_eq!(Encoding::Base64.decode(text.as_bytes()), None, "{text}");
        }
    }

    /// As the crate does that writes it, for every text of four bytes that has a digit in it.
    #[test]
    fn base64_agrees_with_another_reader() {
        use base64::{
            alphabet,
            engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
        };
        let any = DecodePaddingMode::Indifferent;
        let any = GeneralPurposeConfig::new().with_decode_padding_mode(any);
        let alphabets = [&alphabet::STANDARD, &alphabet::URL_SAFE];
        let others = alphabets.map(|alphabet| GeneralPurpose::new(alphabet, any));
        for number in 0..1_u32 << 16 {
            let [.., x, y] = number.to_be_bytes();
            for text in [[x, y, b'A', b'='], [b'Q', x, y, b'A'], [b'Q', b'w', x, y]] {
                for length in 1..=4 {
                    let text = &text[..length];
                    let want = others.iter().find_map(|other| other.decode(text).ok());
                    assert_eq!(Encoding::Base64.decode(text), want, "{text:?}");
                }
            }
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
