//! A batch and its answer, as they are written: one side writes them, the other reads them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The line that names the messages.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head<'a> {
    #[serde(borrow)]
    pub source_id: Cow<'a, str>,
    pub messages: Vec<Item<'a>>,
}

/// What is said of a message beside its bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Item<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// Of its payload, in bytes.
    pub length: usize,
    #[serde(default)]
    pub headers: Cow<'a, [(String, String)]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// When the broker took it, Unix milliseconds. Brokers let publishers write what they like: before 1970 is no time of a
    /// message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<Cow<'a, str>>,
}

/// The body of `POST /consumer/v1/batches`.
pub fn write(head: &Head<'_>, payloads: &[&[u8]]) -> serde_json::Result<Vec<u8>> {
    let bytes: usize = payloads.iter().map(|payload| payload.len() + 200).sum();
    let mut body = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut body, head)?;
    body.push(b'\n');
    for payload in payloads {
        body.extend_from_slice(payload);
    }
    Ok(body)
}

/// The answer to a batch: what became of each message, in their order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Verdicts {
    pub results: Vec<Verdict>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Verdict {
    Accepted {
        event_id: String,
    },
    Duplicate {
        event_id: String,
    },
    DeadLetter {
        #[serde(rename = "dead_letter_id")]
        id: String,
        reason: String,
    },
    Retry {
        reason: String,
        /// It is the gateway that cannot take it now, so this was no attempt. Else the message may be what is wrong.
        #[serde(default)]
        is_ours: bool,
    },
}

impl Verdict {
    /// Whether nothing was taken, because the gateway takes nothing now: then the whole batch waits, and no attempt counts.
    pub fn are_all_ours(verdicts: &[Self]) -> bool {
        verdicts.iter().all(|verdict| matches!(verdict, Self::Retry { is_ours: true, .. }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::Batch;

    #[test]
    fn what_one_side_writes_of_a_batch_the_other_reads() {
        let headers = [("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        let full = Item {
            id: Some("t-0-1".into()),
            length: 3,
            headers: (&headers).into(),
            key: Some("k".into()),
            at: Some(5),
            dead: Some("\"why\"".into()),
        };
        let head = Head { source_id: "s".into(), messages: vec![full, Item::default()] };
        let body = write(&head, &[b"{\n}", b""]).unwrap();
        let batch = Batch::read(&body).unwrap();
        assert_eq!(batch.source_id, "s");
        let [first, second] = batch.messages.as_slice() else { panic!("{batch:?}") };
        assert_eq!((first.id.as_deref(), first.key.as_deref()), (Some("t-0-1"), Some("k")));
        assert_eq!((first.at, first.dead.as_deref()), (Some(5), Some("\"why\"")));
        assert_eq!((&first.headers[..], &*first.payload), (&headers[..], &b"{\n}"[..]));
        assert_eq!((&second.id, &second.key, second.at, &second.dead), (&None, &None, None, &None));
        assert!(second.headers.is_empty() && second.payload.is_empty());
    }

    #[test]
    fn what_one_side_answers_the_other_reads() {
        let (event_id, reason) = (|| "e".to_owned(), || "r".to_owned());
        let results = vec![
            Verdict::Accepted { event_id: event_id() },
            Verdict::Duplicate { event_id: event_id() },
            Verdict::DeadLetter { id: "d".into(), reason: reason() },
            Verdict::Retry { reason: reason(), is_ours: true },
        ];
        let written = json!(Verdicts { results: results.clone() });
        let expect = json!({"results": [
            {"status": "accepted", "event_id": "e"}, {"status": "duplicate", "event_id": "e"},
            {"status": "dead_letter", "dead_letter_id": "d", "reason": "r"}, {"status": "retry", "reason": "r", "is_ours": true},
        ]});
        assert_eq!(written, expect);
        let read: Verdicts = serde_json::from_value(written).unwrap();
        assert_eq!(read.results, results);
        let before = json!({"status": "retry", "reason": "r"});
        let whose: Verdict = serde_json::from_value(before).unwrap();
        assert_eq!(whose, Verdict::Retry { reason: reason(), is_ours: false });
    }

    #[test]
    fn a_batch_waits_whole_only_while_the_gateway_takes_nothing() {
        let retry = |is_ours| Verdict::Retry { reason: "r".into(), is_ours };
        let taken = Verdict::Accepted { event_id: "e".into() };
        assert!(Verdict::are_all_ours(&[retry(true), retry(true)]));
        assert!(!Verdict::are_all_ours(&[retry(true), retry(false)]));
        assert!(!Verdict::are_all_ours(&[retry(true), taken]));
    }
}
