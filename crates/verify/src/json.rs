//! Finds a value in JSON without parsing the rest.
//!
//! Schemes that sign part of a body sign its bytes: parsing and writing it again would change
//! number formats, escapes and key order. So this walks the raw text and hands out slices.

use crate::Refused;

/// The raw slice of the value at the end of `path` (keys and array indices), without
/// surrounding whitespace. Where an object repeats a key the last one counts, as in
/// JavaScript's `JSON.parse`.
#[must_use]
pub fn find<'a>(json: &'a [u8], path: &[&str]) -> Option<&'a [u8]> {
    let mut here = trim(json);
    for step in path {
        here = child(here, step)?;
    }
    Some(here)
}

/// As [`find`], and refuses where an object on the way repeats the key. What was signed has to
/// be what the next reader of the body sees, and not all of them take the last.
pub(crate) fn find_only<'a>(json: &'a [u8], path: &[&str]) -> Result<&'a [u8], Refused> {
    let what = || format!("`{}` of the body", path.join("."));
    let mut here = trim(json);
    for step in path {
        let times = members(here)
            .map_or(1, |members| members.iter().filter(|(key, _)| is(key, step)).count());
        if 1 < times {
            return Err(Refused::Ambiguous { what: what(), times });
        }
        here = child(here, step).ok_or_else(|| Refused::Missing { what: what() })?;
    }
    Ok(here)
}

/// The value as text: a string without its quotes and escapes, a number, `true` or `false`
/// as written. `None` for `null`, objects and arrays.
#[must_use]
pub fn text(raw: &[u8]) -> Option<String> {
    match raw.first()? {
        b'"' => unescape(raw),
        b'{' | b'[' | b'n' => None,
        _ => std::str::from_utf8(raw).ok().map(str::to_owned),
    }
}

/// The values of an array, as raw slices. `None` where it is no array.
pub(crate) fn items(raw: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    each(raw, b'[', |_, value| found.push(value))?;
    Some(found)
}

/// The members of an object as raw slices, keys still quoted. `None` where it is no object.
pub(crate) fn members(raw: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut found = Vec::new();
    each(raw, b'{', |key, value| found.push((key, value)))?;
    Some(found)
}

fn child<'a>(raw: &'a [u8], step: &str) -> Option<&'a [u8]> {
    if raw.first() == Some(&b'[') {
        let index: usize = step.parse().ok()?;
        return items(raw)?.get(index).copied();
    }
    members(raw)?.into_iter().rev().find(|(key, _)| is(key, step)).map(|(_, value)| value)
}

/// Whether a quoted key reads `step`.
fn is(key: &[u8], step: &str) -> bool {
    match key.get(1..key.len().saturating_sub(1)) {
        Some(plain) if !plain.contains(&b'\\') => plain == step.as_bytes(),
        _ => unescape(key).is_some_and(|key| key == step),
    }
}

fn each<'a>(raw: &'a [u8], open: u8, mut visit: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    let mut walk = Walk { json: raw, at: 0 };
    walk.expect(open)?;
    let close = if open == b'{' { b'}' } else { b']' };
    walk.space();
    if walk.peek() == Some(close) {
        return Some(());
    }
    loop {
        let key = if open == b'{' {
            let key = walk.slice(Walk::string)?;
            walk.space();
            walk.expect(b':')?;
            key
        } else {
            &[]
        };
        let value = walk.slice(Walk::value)?;
        visit(key, value);
        walk.space();
        match walk.next()? {
            b',' => {}
            byte if byte == close => return Some(()),
            _ => return None,
        }
    }
}

/// Writes `json` with other spaces between its tokens: none but `after`, behind every comma and
/// colon. Strings and numbers stay as they are.
#[must_use]
pub fn respaced(json: &[u8], after: &str) -> Vec<u8> {
    let mut written = Vec::with_capacity(json.len());
    let (mut inside, mut escaped) = (false, false);
    for byte in json.iter().copied() {
        if inside {
            written.push(byte);
            inside = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if !is_space(byte) {
            written.push(byte);
            inside = byte == b'"';
            if byte == b',' || byte == b':' {
                written.extend(after.as_bytes());
            }
        }
    }
    written
}

struct Walk<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// What `read` walks over.
    fn slice(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<&'a [u8]> {
        self.space();
        let start = self.at;
        read(self)?;
        self.json.get(start..self.at)
    }

    fn string(&mut self) -> Option<()> {
        self.expect(b'"')?;
        loop {
            let rest = self.json.get(self.at..)?;
            let end = special(rest)?;
            match rest.get(end)? {
                b'"' => {
                    self.at += end + 1;
                    return Some(());
                }
                // What a backslash stands before is no quote.
                _ => self.at += end + 2,
            }
        }
    }

    /// A value, however deep it is nested: what is open is kept in a list, not on the stack.
    fn value(&mut self) -> Option<()> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek()? {
                b'"' => self.string()?,
                bracket @ (b'{' | b'[') => {
                    let close = if bracket == b'{' { b'}' } else { b']' };
                    self.at += 1;
                    self.space();
                    if self.peek() != Some(close) {
                        open.push(close);
                        self.key(close)?;
                        continue;
                    }
                    self.at += 1;
                }
                _ => {
                    let start = self.at;
                    while self.peek().is_some_and(is_bare) {
                        self.at += 1;
                    }
                    (start < self.at).then_some(())?;
                }
            }
            // Behind a value: what it was in may end, and that may be in something that ends.
            loop {
                let Some(&close) = open.last() else { return Some(()) };
                self.space();
                match self.next()? {
                    b',' => {
                        self.space();
                        self.key(close)?;
                        break;
                    }
                    byte if byte == close => {
                        open.pop();
                    }
                    _ => return None,
                }
            }
        }
    }

    /// The key of a member, up to its value, where what is open is an object.
    fn key(&mut self, close: u8) -> Option<()> {
        if close == b'}' {
            self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
        }
        Some(())
    }
}

/// Where the first quote or backslash stands. Texts are long: eight bytes at a time.
fn special(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // A byte that is zero borrows from its highest bit.
    let holds = |word: u64, byte: u8| {
        let apart = word ^ (ONES * u64::from(byte));
        apart.wrapping_sub(ONES) & !apart & (ONES << 7) != 0
    };
    let (words, _) = text.as_chunks::<8>();
    let plain = words.iter().take_while(|word| {
        let word = u64::from_ne_bytes(**word);
        !holds(word, b'"') && !holds(word, b'\\')
    });
    let from = plain.count() * 8;
    let rest = text.get(from..)?;
    Some(from + rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

const fn is_bare(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.')
}

fn trim(json: &[u8]) -> &[u8] {
    // Some senders put a byte order mark in front; parsers skip it.
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json).trim_ascii()
}

fn unescape(quoted: &[u8]) -> Option<String> {
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut rest = std::str::from_utf8(inner).ok()?.chars();
    let mut text = String::with_capacity(inner.len());
    while let Some(char) = rest.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        text.push(match rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => unicode(&mut rest)?,
            plain @ ('"' | '\\' | '/') => plain,
            _ => return None,
        });
    }
    Some(text)
}

fn unicode(rest: &mut std::str::Chars<'_>) -> Option<char> {
    let high = four_digits(rest)?;
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high);
    }
    if rest.next()? != '\\' || rest.next()? != 'u' {
        return None;
    }
    let low = four_digits(rest)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + low)
}

fn four_digits(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        value = value * 16 + rest.next()?.to_digit(16)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(json: &str, path: &str) -> Option<String> {
        let steps: Vec<_> = path.split('.').collect();
        text(find(json.as_bytes(), &steps)?)
    }

    #[test]
    fn values_are_found() {
        let json = r#" { "a" : { "b" : [ 1 , "two" , { "c" : true } ] } , "d" : null } "#;
        assert_eq!(at(json, "a.b.0").as_deref(), Some("1"));
        assert_eq!(at(json, "a.b.1").as_deref(), Some("two"));
        assert_eq!(at(json, "a.b.2.c").as_deref(), Some("true"));
        assert_eq!(at(json, "d"), None);
        assert_eq!(at(json, "a"), None);
        assert_eq!(at(json, "a.b.9"), None);
        assert_eq!(at(json, "e"), None);
        assert_eq!(find(br#"{"data": { "x":1.0 } }"#, &["data"]), Some(&br#"{ "x":1.0 }"#[..]));
    }

    #[test]
    fn text_survives_escapes_and_large_numbers() {
        assert_eq!(at(r#"{"a":"\u00e9\n\ud83d\ude00\/"}"#, "a").as_deref(), Some("é\n😀/"));
        assert_eq!(at(r#"{"\u0061":1}"#, "a").as_deref(), Some("1"));
        assert_eq!(at(r#"{"a":9007199254740993}"#, "a").as_deref(), Some("9007199254740993"));
        assert_eq!(at(r#"{"a":"\ud83d"}"#, "a"), None);
    }

    #[test]
    fn spaces_move_and_nothing_else() {
        let json = br#"{ "a b" : [1.0, "x\\\", y: \\\\"],"c":"\\u00e9" }"#;
        let compact = br#"{"a b":[1.0,"x\\\", y: \\\\"],"c":"\\u00e9"}"#;
        assert_eq!(respaced(json, ""), compact);
        assert_eq!(respaced(&respaced(json, " "), ""), compact);
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        assert_eq!(at(r#"{"a":1,"a":2}"#, "a").as_deref(), Some("2"));
    }

    #[test]
    fn broken_json_yields_nothing() {
        for json in
            ["", "{", "[", "{\"a\"", "{\"a\":", "{\"a\":1", "\"", "{\"a\" 1}", "{\"a\":\"\\"]
        {
            assert_eq!(at(json, "a"), None, "{json}");
        }
        let deep = "{\"a\":".to_owned() + &"[".repeat(100_000);
        assert_eq!(at(&deep, "a"), None);
    }
}
