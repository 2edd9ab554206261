//! What a line of the log says. It may hold ids, labels and counts; never a body, a header's value or a secret. What failed
//! is told with the texts of the platform's errors, and those quote what they were given: that is cut off here.

use serde_json::Value;

use crate::deliver::Answered;

/// The longest text in a line.
const TEXT_MAX_CHARS: usize = 200;
/// Where a text begins to tell what it is about: quoted values, JSON, addresses, whatever comes after a line break.
const QUOTES: [char; 7] = ['"', '\'', '`', '{', '[', '\u{201c}', '\u{2018}'];

/// One line of the log: `fields`, without what they quote, beside the level and what the line is about.
pub fn line(level: &str, event: &str, fields: Value) -> Value {
    let mut fields = match safe(fields) {
        Value::Object(fields) => fields,
        other => [("detail".to_owned(), other)].into_iter().collect(),
    };
    fields.insert("level".into(), level.into());
    fields.insert("event".into(), event.into());
    Value::Object(fields)
}

fn safe(value: Value) -> Value {
    match value {
        Value::String(text) => unquoted(&text).into(),
        Value::Array(items) => items.into_iter().map(safe).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, safe(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// A text up to where it begins to quote, with the place in a JSON text that a reader of JSON names at its end.
fn unquoted(text: &str) -> String {
    let quote = text.find(|char: char| QUOTES.contains(&char) || char.is_control());
    let end = [quote, text.find("://")].into_iter().flatten().min();
    let most = text.char_indices().nth(TEXT_MAX_CHARS).map(|(at, _)| at);
    let Some(end) = end.into_iter().chain(most).min() else { return text.to_owned() };
    let kept = text.get(..end).unwrap_or_default();
    let place = text.rsplit_once(" at line ").filter(|(_, place)| is_place(place));
    match place {
        Some((_, place)) => format!("{kept}… at line {place}"),
        None => format!("{kept}…"),
    }
}

/// `3 column 14`
fn is_place(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(" column ").is_some_and(|(line, column)| is_number(line) && is_number(column))
}

/// Why an attempt has failed, in a word. Its own text stands in the attempt: it may hold what the endpoint, the token server
/// or the function said. `is_endpoints`: see the shell; what a function fails on is not the endpoint's doing.
pub fn of_attempt(answered: &Answered, is_endpoints: bool) -> Option<&'static str> {
    match answered {
        Answered::Response { status: 200..=299, .. } => None,
        Answered::Response { .. } => Some("status"),
        Answered::Nothing { .. } => Some("no_answer"),
        Answered::NotCalled { .. } if is_endpoints => Some("no_token"),
        Answered::NotCalled { .. } => Some("function_failed"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::read;

    #[test]
    fn texts_of_errors_are_cut_where_they_quote() {
        for (text, expect) in [
            ("D1_ERROR: no such table: events: SQLITE_ERROR", None),
            ("01M8ETSG2JNF3K5BHYE66X2W93", None),
            ("invalid type: string \"LEAK\", expected u64", Some("invalid type: string …")),
            (
                "invalid type: string \"LEAK at line LEAK\", expected u64 at line 3 column 14",
                Some("invalid type: string … at line 3 column 14"),
            ),
            ("unknown variant `LEAK`, expected `a`", Some("unknown variant …")),
            ("bad JSON path: '$.LEAK'", Some("bad JSON path: …")),
            ("Fetch API cannot load: https://h/LEAK", Some("Fetch API cannot load: https…")),
            ("failed\nLEAK", Some("failed…")),
            ("failed: {LEAK", Some("failed: …")),
            ("failed: [\"LEAK", Some("failed: …")),
            ("\"LEAK at line 1", Some("…")),
        ] {
            assert_eq!(unquoted(text), expect.unwrap_or(text), "{text}");
        }
        assert_eq!(unquoted(&"ä".repeat(300)).chars().count(), 201);
    }

    #[test]
    fn errors_of_readers_of_json_do_not_quote_what_they_read() {
        #[derive(Debug, serde::Deserialize)]
        struct Read {
            #[expect(dead_code, reason = "it is never read well")]
            n: u64,
        }
        for text in
            [r#"{"n":"LEAK"}"#, r#"{"n":1,"n":2,"LEAK":3}"#, r#"{"LEAK":1}"#, "LEAK", r#"["LEAK"]"#]
        {
            let error = read::<Read>(text).unwrap_err().to_string();
            let line = line("error", "e", json!({"error": error})).to_string();
            assert!(!line.contains("LEAK"), "{text}: {line}");
        }
    }

    #[test]
    fn a_line_holds_its_fields_at_any_depth_and_what_it_is_about() {
        let fields =
            json!({"source_id": "s", "n": 3, "deep": [{"error": "a \"LEAK\""}], "no": null});
        let expect = json!({"source_id": "s", "n": 3, "deep": [{"error": "a …"}], "no": null,
            "level": "error", "event": "e"});
        assert_eq!(line("error", "e", fields), expect);
        let alone = line("info", "e", json!("word"));
        assert_eq!(alone, json!({"detail": "word", "level": "info", "event": "e"}));
    }

    #[test]
    fn an_attempt_says_in_a_word_why_it_failed() {
        let response = |status| Answered::Response { status, headers: vec![], body: vec![] };
        let nothing = Answered::Nothing { error: "LEAK".into() };
        let not_called = Answered::NotCalled { error: "LEAK".into() };
        for (answered, is_endpoints, expect) in [
            (&response(204), true, None),
            (&response(500), true, Some("status")),
            (&nothing, true, Some("no_answer")),
            (&not_called, true, Some("no_token")),
            (&not_called, false, Some("function_failed")),
        ] {
            assert_eq!(of_attempt(answered, is_endpoints), expect);
        }
    }
}
