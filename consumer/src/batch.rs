//! What fits into one batch, and how a batch is written.

use serde::Serialize;

use crate::broker::Message;

/// The gateway's limits of a batch. One larger message travels alone.
pub(crate) const MAX_MESSAGES: usize = 1000;
pub(crate) const MAX_BYTES: usize = 1_000_000;
/// How much of a message that is given up goes into its dead letter.
pub(crate) const DEAD_BYTES: usize = 64 * 1024;

/// Whether `next` bytes still fit beside `count` messages of `bytes` bytes in all.
pub(crate) fn fits(count: usize, bytes: usize, next: usize) -> bool {
    count == 0 || (count < MAX_MESSAGES && bytes.saturating_add(next) <= MAX_BYTES)
}

/// What of a message is sent.
fn payload<R>(message: &Message<R>) -> &[u8] {
    match &message.dead {
        Some(_) => message.payload.get(..DEAD_BYTES).unwrap_or(&message.payload),
        None => &message.payload,
    }
}

/// What a message takes of a batch: its payload and, roughly, its headers and key.
pub(crate) fn size<R>(message: &Message<R>) -> usize {
    payload(message).len() + aside(message)
}

/// What a message takes of memory.
pub(crate) fn weight<R>(message: &Message<R>) -> usize {
    message.payload.len() + aside(message)
}

fn aside<R>(message: &Message<R>) -> usize {
    let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    headers + message.key.as_ref().map_or(0, String::len)
}

#[derive(Serialize)]
struct Head<'a> {
    source_id: &'a str,
    messages: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    length: usize,
    headers: &'a [(String, String)],
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead: Option<&'a str>,
}

/// One line of JSON, then the payloads' bytes one after another.
pub(crate) fn encode<R>(source_id: &str, messages: &[Message<R>]) -> Result<Vec<u8>, String> {
    let items = messages.iter().map(|message| Item {
        id: message.id.as_deref(),
        length: payload(message).len(),
        headers: &message.headers,
        key: message.key.as_deref(),
        at: message.at,
        dead: message.dead.as_deref(),
    });
    let head = Head { source_id, messages: items.collect() };
    let bytes: usize = messages.iter().map(|message| payload(message).len() + 200).sum();
    let mut body = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut body, &head).map_err(|error| error.to_string())?;
    body.push(b'\n');
    for message in messages {
        body.extend_from_slice(payload(message));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn message(payload: &[u8]) -> Message<()> {
        Message::new((), payload.to_vec())
    }

    #[test]
    fn a_batch_is_one_line_and_the_bytes() {
        let mut first = message(b"{\n}");
        first.id = Some("t-0-1".to_owned());
        first.headers = vec![("a".into(), "1".into()), ("a".into(), "2".into())];
        first.key = Some("k".to_owned());
        first.at = Some(5);
        let mut dead = message(&vec![7; DEAD_BYTES + 1]);
        dead.dead = Some("too large".to_owned());
        let body = encode("s", &[first, message(b""), dead]).unwrap();
        let line = body.iter().position(|byte| *byte == b'\n').unwrap();
        let head: Value = serde_json::from_slice(&body[..line]).unwrap();
        assert_eq!(
            head,
            json!({"source_id": "s", "messages": [
                {"id": "t-0-1", "length": 3, "headers": [["a", "1"], ["a", "2"]], "key": "k", "at": 5},
                {"length": 0, "headers": []},
                {"length": DEAD_BYTES, "headers": [], "dead": "too large"},
            ]})
        );
        assert_eq!(&body[line + 1..line + 4], b"{\n}");
        assert_eq!(body.len(), line + 1 + 3 + DEAD_BYTES);
    }

    #[test]
    fn a_batch_ends_at_its_limits_and_a_large_message_is_alone() {
        assert!(fits(0, 0, MAX_BYTES * 9));
        assert!(!fits(1, MAX_BYTES * 9, 1));
        assert!(fits(MAX_MESSAGES - 1, 0, 1));
        assert!(!fits(MAX_MESSAGES, 0, 1));
        assert!(fits(1, MAX_BYTES - 1, 1));
        assert!(!fits(1, MAX_BYTES, 1));
    }
}
