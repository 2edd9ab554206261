//! JSON that is a little less than JSON: what senders write, and strict readers refuse.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

/// Levels of objects and arrays that are looked into; strict readers end at 128.
const DEPTH: usize = 100;
/// What stands for half a surrogate pair.
const REPLACEMENT: &str = "\\ufffd";

/// Reads a JSON text as JavaScript and Go do: a byte order mark is nothing; half a surrogate pair, and bytes that are no
/// UTF-8, are U+FFFD. What is nested deeper than filters and schemas reach is `null`.
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(value) = serde_json::from_str(text)
    {
        return Some(value);
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with(['{', '[', '"']) {
        return None;
    }
    serde_json::from_str(&mended(text)).ok()
}

/// A body as JSON that strict readers take, too: its own text, byte for byte, but for what is mended as in [`read`].
/// `None` when it is no JSON.
pub(crate) fn json(body: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(body).ok()?.trim_start_matches('\u{feff}');
    let text = serde_json::from_str::<&RawValue>(text).ok()?.get();
    Some(if may_be_odd(text) { mended(text).into() } else { text.into() })
}

/// Whether something may have to be mended.
fn may_be_odd(text: &str) -> bool {
    let (mut inside, mut escaped, mut depth) = (false, false, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'u' if escaped && matches!(text.as_bytes().get(at + 1), Some(b'd' | b'D')) => {
                return true;
            }
            b'"' if !escaped => inside = !inside,
            b'[' | b'{' if !inside => depth += 1,
            b']' | b'}' if !inside => depth = depth.saturating_sub(1),
            _ => {}
        }
        if DEPTH < depth {
            return true;
        }
        escaped = inside && !escaped && byte == b'\\';
    }
    false
}

fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut inside, mut depth) = (text, false, 0_usize);
    while let Some(first) = rest.chars().next() {
        let (piece, length) = match first {
            '\\' if inside => escape(rest),
            _ => (rest.get(..first.len_utf8()).unwrap_or_default(), first.len_utf8()),
        };
        inside ^= first == '"';
        if !inside && matches!(first, '[' | '{') {
            depth += 1;
            if depth == DEPTH + 1 {
                out.push_str("null");
            }
        }
        if depth <= DEPTH {
            out.push_str(piece);
        }
        if !inside && matches!(first, ']' | '}') {
            depth = depth.saturating_sub(1);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// The escape at the start of `rest`, mended, and how long it is there. A pair of surrogates is one.
fn escape(rest: &str) -> (&str, usize) {
    let unit = |at: usize| {
        let digits = rest.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let length = match (unit(0), unit(6)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
        (Some(0xD800..=0xDFFF), _) => return (REPLACEMENT, 6),
        _ => rest.chars().take(2).map(char::len_utf8).sum(),
    };
    (rest.get(..length).unwrap_or_default(), length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json as value;

    use super::*;

    #[test]
    fn what_strict_readers_refuse_is_read() {
        for (body, expect) in [
            (&b"{\"a\": 1}"[..], Some(value!({"a": 1}))),
            (b"\xef\xbb\xbf {\"a\": 1}", Some(value!({"a": 1}))),
            (br#"{"a": "\ud83d", "b": 2}"#, Some(value!({"a": "\u{fffd}", "b": 2}))),
            (br#"{"a": "\ude00\ud83dx\ud83d\n\"", "b": 2}"#, {
                Some(value!({"a": "\u{fffd}\u{fffd}x\u{fffd}\n\"", "b": 2}))
            }),
            (br#"["\ud83d\ude00\ud83d", "\\ud83d]"]"#, {
                Some(value!(["\u{1f600}\u{fffd}", "\\ud83d]"]))
            }),
            (b"{\"a\": \"\xff\\ud83d\"}", Some(value!({"a": "\u{fffd}\u{fffd}"}))),
            (b"{\"a\": \"\xff", None),
            (br#"{"a": "\ud83d"#, None),
            (br#"{"a": "\"#, None),
            (br#"{"a": "\u00"}"#, None),
            (b"\xff", None),
            (b"a=1", None),
            (b"", None),
        ] {
            assert_eq!(read(body), expect, "{}", String::from_utf8_lossy(body));
        }
        for depth in [100, 101, 128, 10_000] {
            let (open, close) = ("[{\"x\":".repeat(depth / 2), "}]".repeat(depth / 2));
            let value = read(format!(r#"{{"deep": {open}"]"{close}, "id": 5}}"#).as_bytes());
            assert_eq!(value.unwrap()["id"], 5, "{depth}");
        }
        assert_eq!(read("[".repeat(10_000).as_bytes()), None);
    }

    #[test]
    fn what_is_shown_can_be_read_by_anybody() {
        for (body, expect) in [
            (&b" {\"b\": 1.0,  \"a\": \"\\u00e9\\ud83d\\ude00\"} "[..], {
                Some("{\"b\": 1.0,  \"a\": \"\\u00e9\\ud83d\\ude00\"}")
            }),
            (b"\xef\xbb\xbf[1]", Some("[1]")),
            (br#"["\ud83d", "\\ud83d"]"#, Some(r#"["\ufffd", "\\ud83d"]"#)),
            (b"{\"a\": \"\xff\"}", None),
            (b"{", None),
        ] {
            assert_eq!(json(body).as_deref(), expect, "{}", String::from_utf8_lossy(body));
        }
        for depth in [99, 100, 101, 5_000] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let shown = json(text.as_bytes()).unwrap();
            assert_eq!(shown == text, depth <= 100, "{depth}");
            serde_json::from_str::<Value>(&shown).unwrap();
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_be_looked_at(text in r#"[\[\]{}"\\ud89cfx:,1é ]{0,60}"#) {
            read(text.as_bytes());
            if let Some(shown) = json(text.as_bytes()) {
                prop_assert!(serde_json::from_str::<Value>(&shown).is_ok(), "{}", shown);
            }
        }

        #[test]
        fn what_is_sound_stays_as_it_is(text in r#"[\[\]{}"a\\é ]{0,40}"#) {
            let sound = value!({"a": [text, {"b": "\u{1f600}"}]});
            prop_assert_eq!(mended(&sound.to_string()), sound.to_string());
        }
    }
}
