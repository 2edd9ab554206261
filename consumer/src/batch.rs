//! What fits into one batch, and how a batch is written.

use inlet_gateway::batch::{
    DEAD_PAYLOAD_MAX_BYTES, Head, Item, MESSAGES_MAX, PAYLOADS_MAX_BYTES, write,
};

use crate::broker::Message;

/// Whether `next` bytes still fit beside `count` messages of `bytes` bytes in all. One larger message travels alone.
pub(crate) fn fits(count: usize, bytes: usize, next: usize) -> bool {
    count == 0 || (count < MESSAGES_MAX && bytes.saturating_add(next) <= PAYLOADS_MAX_BYTES)
}

/// What of a message is sent.
fn payload<R>(message: &Message<R>) -> &[u8] {
    match &message.dead {
        Some(_) => message.payload.get(..DEAD_PAYLOAD_MAX_BYTES).unwrap_or(&message.payload),
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

pub(crate) fn encode<R>(source_id: &str, messages: &[Message<R>]) -> Result<Vec<u8>, String> {
    let payloads: Vec<&[u8]> = messages.iter().map(payload).collect();
    let items = messages.iter().zip(&payloads).map(|(message, payload)| Item {
        id: message.id.as_deref().map(Into::into),
        length: payload.len(),
        headers: message.headers.as_slice().into(),
        key: message.key.as_deref().map(Into::into),
        at: message.at,
        dead: message.dead.as_deref().map(Into::into),
    });
    let head = Head { source_id: source_id.into(), messages: items.collect() };
    write(&head, &payloads).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use inlet_gateway::batch::Batch;

    fn message(payload: &[u8]) -> Message<()> {
        Message::new((), payload.to_vec())
    }

    #[test]
    fn the_gateway_reads_what_is_sent_and_gets_the_beginning_of_what_is_given_up() {
        let mut first = message(b"{\n}");
        first.id = Some("t-0-1".to_owned());
        first.headers = vec![("a".into(), "1".into()), ("a".into(), "2".into())];
        first.key = Some("k".to_owned());
        first.at = Some(5);
        let mut dead = message(&vec![7; DEAD_PAYLOAD_MAX_BYTES + 1]);
        dead.dead = Some("too large".to_owned());
        let headers = first.headers.clone();
        let body = encode("s", &[first, message(b""), dead]).unwrap();
        let batch = Batch::read(&body).unwrap();
        assert_eq!(batch.source_id, "s");
        let [first, empty, dead] = batch.messages.as_slice() else { panic!("{batch:?}") };
        assert_eq!((first.id.as_deref(), first.key.as_deref()), (Some("t-0-1"), Some("k")));
        assert_eq!((&first.headers, first.at, &*first.payload), (&headers, Some(5), &b"{\n}"[..]));
        assert_eq!(
            (&empty.id, empty.at, &empty.dead, &*empty.payload),
            (&None, None, &None, &b""[..])
        );
        assert_eq!(dead.dead.as_deref(), Some("too large"));
        assert_eq!(*dead.payload, vec![7; DEAD_PAYLOAD_MAX_BYTES]);
    }

    #[test]
    fn a_batch_ends_at_its_limits_and_a_large_message_is_alone() {
        assert!(fits(0, 0, PAYLOADS_MAX_BYTES * 9));
        assert!(!fits(1, PAYLOADS_MAX_BYTES * 9, 1));
        assert!(fits(MESSAGES_MAX - 1, 0, 1));
        assert!(!fits(MESSAGES_MAX, 0, 1));
        assert!(fits(1, PAYLOADS_MAX_BYTES - 1, 1));
        assert!(!fits(1, PAYLOADS_MAX_BYTES, 1));
    }
}
