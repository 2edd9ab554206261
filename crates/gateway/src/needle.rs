//! Text that a person looks for, in payloads as their senders wrote them. `SQLite` knows the case of ASCII letters and nothing of
//! the ways to write a character in JSON, so the statement is told both, for the characters that are looked for and no others.

/// Characters that are folded, each of which costs the statement up to three replacements: the database takes expressions of a
/// bounded depth. Further ones have to stand in the payload as they are typed.
pub(crate) const FOLDED_MAX: usize = 20;
/// As [`FOLDED_MAX`], where the text is in a table beside the one that is listed: the depth of such a look-up counts twice.
pub(crate) const FOLDED_BESIDE_MAX: usize = 10;
/// ASCII characters that some writers of JSON escape.
const ESCAPED: &str = "\"/<>&'=+\n\r\t";
/// What stands for a backslash of a payload while its escapes, each of which begins with one, are undone.
const BACKSLASH: char = '\u{1}';

/// What is looked for, as it is compared: every letter small.
pub(crate) fn folded(text: &str) -> String {
    text.chars().map(small).collect()
}

/// What is looked for, as it is compared in JSON: every letter small, and each backslash as the character that stands for one.
pub(crate) fn folded_in_json(text: &str) -> String {
    folded(text).replace('\\', &BACKSLASH.to_string())
}

/// Whether `text` may be a piece of JSON as it is written: each backslash in it begins an escape.
pub(crate) fn is_written(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, escape)) = rest.split_once('\\') {
        let mut chars = escape.chars();
        let is_whole = match chars.next() {
            Some('u') => chars.by_ref().take(4).filter(char::is_ascii_hexdigit).count() == 4,
            Some(letter) => "\"\\/bfnrt".contains(letter),
            None => false,
        };
        if !is_whole {
            return false;
        }
        rest = chars.as_str();
    }
    true
}

/// A letter's small form, if that is one letter.
fn small(letter: char) -> char {
    let mut forms = letter.to_lowercase();
    match (forms.next(), forms.next()) {
        (Some(form), None) => form,
        _ => letter,
    }
}

/// The characters of `text` that need more than `lower()`: folded, each once.
fn special(text: &str, in_json: bool, most: usize) -> Vec<char> {
    // A backslash costs as much as one of them.
    let most = most.saturating_sub(usize::from(in_json && text.contains('\\')));
    let mut found: Vec<char> = Vec::new();
    for char in folded(text).chars() {
        let needs = !char.is_ascii() || (in_json && ESCAPED.contains(char));
        if needs && found.len() < most && !found.contains(&char) {
            found.push(char);
        }
    }
    found
}

/// SQL of `column` as `text` is to be looked for in it, [`folded`], or [so](folded_in_json).
pub(crate) fn sql(column: &str, text: &str, in_json: bool, most: usize) -> String {
    let mut sql = format!("lower({column})");
    if in_json && text.contains('\\') {
        // First, because all other escapes begin with one; what is no JSON has none.
        let mark = u32::from(BACKSLASH);
        let (one, two, hex) = (r"'\'", r"'\\'", r"'\u005c'");
        sql = format!(
            "CASE WHEN json_valid({column}) THEN replace(replace({sql}, {two}, char({mark})), {hex}, char({mark})) \
             ELSE replace({sql}, {one}, char({mark})) END"
        );
    }
    for char in special(text, in_json, most) {
        let to = u32::from(char);
        let mut replace = |from: &str| sql = format!("replace({sql}, {from}, char({to}))");
        let mut capitals = char.to_uppercase();
        let capital = capitals.next().filter(|one| capitals.next().is_none() && *one != char);
        if let Some(capital) = capital {
            replace(&format!("char({})", u32::from(capital)));
        }
        if in_json {
            for form in [Some(char), capital].into_iter().flatten() {
                replace(&format!("'{}'", hex_escape(form)));
            }
            if let Some(letter) = short_escape(char) {
                replace(&format!("'\\{letter}'"));
            }
        }
    }
    sql
}

/// `\u00fc`; of characters above U+FFFF two of these.
fn hex_escape(char: char) -> String {
    let mut units = [0; 2];
    let units = char.encode_utf16(&mut units).iter();
    units.map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
}

/// What stands behind the backslash.
fn short_escape(char: char) -> Option<char> {
    match char {
        '"' | '/' => Some(char),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, text: &str, expect: bool) {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let sql = format!("SELECT instr({}, ?2) > 0", sql("?1", text, true, FOLDED_MAX));
        let found: bool =
            db.query_row(&sql, [body, &folded_in_json(text)], |row| row.get(0)).unwrap();
        assert_eq!(found, expect, "{text} in {body}: {sql}");
    }

    #[test]
    fn a_text_is_found_however_its_json_is_written() {
        for (body, text, expect) in [
            (r#"{"name":"J\u00fcrgen"}"#, "jürgen", true),
            (r#"{"name":"J\u00FCrgen"}"#, "Jürgen", true),
            (r#"{"name":"J\u00DCRGEN"}"#, "jürgen", true),
            (r#"{"name":"JÜRGEN"}"#, "jürgen", true),
            (r#"{"name":"jürgen"}"#, "JÜRGEN", true),
            (r#"{"name":"Ärger über Öl"}"#, "ärger ÜBER öl", true),
            (r#"{"city":"МОСКВА"}"#, "москва", true),
            (r#"{"city":"\u041c\u043e\u0441\u043a\u0432\u0430"}"#, "Москва", true),
            (r#"{"url":"https:\/\/example.com\/a"}"#, "https://Example.com/a", true),
            (r#"{"url":"https://example.com/a"}"#, "//example.com/", true),
            (r#"{"text":"say \"hi\""}"#, "say \"hi\"", true),
            (r#"{"text":"say \u0022hi\u0022"}"#, "\"hi\"", true),
            (r#"{"path":"C:\\temp"}"#, "c:\\temp", true),
            (r#"{"path":"C:\u005Ctemp"}"#, "c:\\temp", true),
            (r#"{"path":"C:\\temp"}"#, "\\", true),
            (r#"{"text":"say \"hi\""}"#, "\\", false),
            (r#"{"text":"say \"hi\""}"#, "\\\"", false),
            (r#"{"text":"say \\\"hi"}"#, "say \\\"hi", true),
            (r#"{"text":"J\u00fcrgen\n\/"}"#, "\\", false),
            (r#"{"text":"a\\u00fc"}"#, "\\u00fc", true),
            (r"C:\temp", "c:\\temp", true),
            (r"say 'hi'", "\\", false),
            (r#"{"a":"x \u003c y \u0026 z"}"#, "x < y & z", true),
            (r#"{"a":"one\ntwo"}"#, "one\ntwo", true),
            (r#"{"a":"\ud83d\ude00!"}"#, "😀!", true),
            (r#"{"a":"😀!"}"#, "😀!", true),
            (r#"{"a":"Straße"}"#, "straße", true),
            (r#"{"a":"plain Text"}"#, "PLAIN text", true),
            (r#"{"a":"o''x"}"#, "O''X", true),
            (r#"{"a":"Jurgen"}"#, "jürgen", false),
            (r#"{"a":"u00fc"}"#, "ü", false),
        ] {
            check(body, text, expect);
        }
    }

    #[test]
    fn a_piece_of_json_as_it_is_written_has_whole_escapes() {
        for text in ["", "plain", r#"\"a\\ \u00fC\n"#, r"\\"] {
            assert!(is_written(text), "{text}");
        }
        for text in ["\\", r"a\", r"\d", r"\u00f", r"\\\", r"\u00g0"] {
            assert!(!is_written(text), "{text}");
        }
    }

    #[test]
    fn a_statement_stays_small_whatever_is_looked_for() {
        let text: String = ('À'..='ž').filter(|c| c.is_alphabetic()).take(200).collect();
        let sql = sql("t.body", &text, true, FOLDED_MAX);
        assert!(sql.matches("replace(").count() <= 3 * FOLDED_MAX, "{sql}");
        // All that fits is still found.
        let few: String = text.chars().take(8).collect();
        check(&few.to_uppercase(), &few, true);
    }
}
