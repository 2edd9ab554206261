//! Dead letters: what was given up, with the reason: messages of brokers, events that could not be routed, deliveries.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::batch::{DEAD_PAYLOAD_MAX_BYTES, Message};
use crate::deliver::Delivery;
use crate::ids::{dead_letter_uid, place_in, placed};
use crate::json;
use crate::time::rfc3339;
use crate::wire::{Envelope, Meta, Text};

/// What a dead letter is about.
pub const BROKER: &str = "broker";
pub const EVENT: &str = "event";
pub const DELIVERY: &str = "delivery";
/// What a queue or the journal held that could not be read.
pub const UNREADABLE: &str = "unreadable";

pub const KINDS: &[&str] = &[BROKER, EVENT, DELIVERY, UNREADABLE];

/// Whom a dead letter is kept for when nobody can tell whose it is: the operator. No project has this id.
pub const NOBODY: &str = "";
/// The shard of dead letters that are nobody's.
pub const NOBODYS_SHARD: u32 = 0;
/// Before this byte of what cannot be read the fields of an envelope begin; what comes after them are bytes of a sender.
const FIELDS_START_MAX: usize = 16;

/// Which dead letters a list is of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub kind: Option<String>,
    pub sources: Vec<String>,
}

impl Wanted {
    pub fn has_deliveries(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == DELIVERY)
    }

    pub fn has_others(&self) -> bool {
        self.kind.as_deref() != Some(DELIVERY)
    }
}

/// Payloads up to this many bytes stand in the row; larger ones in R2.
pub const INLINE_MAX_BYTES: usize = 100_000;

/// What is given up, to be kept as a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub id: String,
    pub kind: &'static str,
    pub reason: String,
    at: u64,
    project_id: String,
    pub source_id: String,
    event_id: Option<String>,
    pub broker_message_id: Option<String>,
    detail: Option<String>,
    payload: Vec<u8>,
}

/// The longest reason.
const REASON_MAX_CHARS: usize = 2_000;

impl DeadLetter {
    /// A message that is no event, known by its [`Message::dead_identity`].
    pub fn of_message(
        message: &Message<'_>,
        project_id: &str,
        source_id: &str,
        identity: Option<String>,
        reason: &str,
        id: String,
        now_ms: u64,
    ) -> Self {
        Self {
            id,
            kind: BROKER,
            reason: reason.chars().take(REASON_MAX_CHARS).collect(),
            at: now_ms,
            project_id: project_id.to_owned(),
            source_id: source_id.to_owned(),
            event_id: None,
            broker_message_id: identity,
            detail: Some(message.detail().to_string()),
            payload: message.payload.to_vec(),
        }
    }

    /// An event that could not be routed: its envelope, whole. However often it is given up, it is one dead letter, with the event's
    /// time in its id.
    pub fn of_envelope(envelope: &Envelope, reason: &str, now_ms: u64) -> Self {
        let Meta { project_id, source_id, event_id, broker_message_id, .. } = &envelope.meta;
        Self {
            id: dead_letter_uid(event_id),
            kind: EVENT,
            reason: reason.chars().take(REASON_MAX_CHARS).collect(),
            at: now_ms,
            project_id: project_id.clone(),
            source_id: source_id.clone(),
            event_id: Some(event_id.clone()),
            broker_message_id: broker_message_id.clone(),
            detail: None,
            payload: envelope.encode(),
        }
    }

    /// What could not be read, and where it was: in the `place`, `at` this one of its rows or messages. However often it is met
    /// there, it is one dead letter.
    pub fn of_unreadable(
        payload: Vec<u8>,
        project_id: &str,
        (place, at): (&str, &str),
        reason: &str,
        now_ms: u64,
    ) -> Self {
        let reason = format!("{reason} (in the {place})");
        Self {
            id: placed(now_ms, &format!("{place}/{at}")),
            kind: UNREADABLE,
            reason: reason.chars().take(REASON_MAX_CHARS).collect(),
            at: now_ms,
            project_id: project_id.to_owned(),
            source_id: String::new(),
            event_id: None,
            broker_message_id: None,
            detail: None,
            payload,
        }
    }

    /// Whether a row that is kept stands for this one, perhaps because it was there before.
    pub fn is_kept_as(&self, id: &str, source_id: &str, broker_message_id: Option<&str>) -> bool {
        match &self.broker_message_id {
            Some(own) => Some(own.as_str()) == broker_message_id && self.source_id == source_id,
            None => place_in(&self.id) == place_in(id),
        }
    }

    /// The R2 object to put first, when the payload is too large for a row.
    pub fn object(&self) -> Option<(String, &[u8])> {
        let is_large = INLINE_MAX_BYTES < self.payload.len();
        is_large.then(|| (body_key(&self.project_id, &self.id), self.payload.as_slice()))
    }

    /// The row, as [`crate::sql::insert_dead_letters`] takes it.
    pub fn row(&self) -> Value {
        let object = self.object().map(|(key, _)| key);
        let inline = if object.is_some() { &[] } else { self.payload.as_slice() };
        let text = Text::from_bytes(inline);
        json!([
            self.id,
            self.kind,
            self.reason,
            text.text,
            u8::from(text.is_base64),
            self.at,
            self.project_id,
            self.source_id,
            self.event_id,
            self.broker_message_id,
            self.detail,
            object,
            self.payload.len(),
        ])
    }

    /// About as many bytes as the row takes.
    pub fn weight(&self) -> usize {
        let payload = if INLINE_MAX_BYTES < self.payload.len() { 0 } else { self.payload.len() };
        1_000 + payload * 2 + self.detail.as_ref().map_or(0, String::len) * 2
    }
}

/// The project that something names which is no envelope and no bell, or none of a form that is known.
pub fn project_named_in(payload: &[u8]) -> Option<String> {
    let starts = payload.iter().take(FIELDS_START_MAX).enumerate();
    let starts = starts.filter(|(_, byte)| **byte == b'{').map(|(start, _)| start);
    let objects = starts.filter_map(|start| {
        let fields = payload.get(start..)?;
        serde_json::Deserializer::from_slice(fields).into_iter::<Value>().next()?.ok()
    });
    let mut names = objects.filter_map(|fields| {
        let of_bell = fields.pointer("/deliveries/0/0");
        Some(fields.get("p").or(of_bell)?.as_str()?.to_owned())
    });
    names.next()
}

fn body_key(project_id: &str, id: &str) -> String {
    format!("dead/{project_id}/{id}")
}

/// A delivery that was given up, in a list.
pub fn present_delivery(delivery: &Delivery) -> Value {
    json!({
        "uid": delivery.id, "kind": DELIVERY, "reason": delivery.description, "project_id": delivery.project_id,
        "source_id": delivery.source_id, "event_id": delivery.event_id, "endpoint_id": delivery.endpoint_id,
        "broker_message_id": "", "length": null, "created_at": rfc3339(delivery.updated_at),
    })
}

/// A dead letter, as it is stored; it became one at `at`, Unix milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub struct Stored {
    pub id: String,
    pub kind: String,
    pub reason: String,
    payload: String,
    is_base64: u8,
    pub at: u64,
    pub project_id: String,
    pub source_id: String,
    pub event_id: Option<String>,
    pub broker_message_id: Option<String>,
    detail: Option<String>,
    pub body_key: Option<String>,
    length: Option<u64>,
}

/// What is kept of a message beside its bytes.
#[derive(Debug, Default, Deserialize)]
struct Detail {
    /// The broker's own name of it: the column has what it is known by.
    id: Option<String>,
    headers: Vec<(String, String)>,
    key: Option<String>,
    at: Option<u64>,
    /// The companion gave up on it, and may not have sent all of it.
    #[serde(default)]
    given_up: bool,
    /// There were more headers than a dead letter keeps.
    #[serde(default)]
    is_cut: bool,
}

impl Stored {
    /// The payload, when it is in the row.
    pub fn inline(&self) -> Vec<u8> {
        let text = Text { text: self.payload.as_str().into(), is_base64: self.is_base64 != 0 };
        text.to_bytes().unwrap_or_default()
    }

    /// The broker's name of the message.
    fn broker_id<'a>(&'a self, detail: &'a Detail) -> Option<&'a str> {
        detail.id.as_deref().or(self.broker_message_id.as_deref())
    }

    fn detail(&self) -> Detail {
        let detail = self.detail.as_deref().and_then(|text| json::read(text).ok());
        detail.unwrap_or_default()
    }

    /// The message of a broker, as it came. The headers hold what it had: it is the message's own, so credentials are shown
    /// to nobody who could not read the broker.
    pub fn message<'a>(&self, payload: &'a [u8]) -> Message<'a> {
        let detail = self.detail();
        let id = self.broker_id(&detail).map(ToOwned::to_owned);
        let Detail { headers, key, at, .. } = detail;
        Message {
            id,
            headers,
            key,
            at,
            dead: None,
            payload: Cow::Borrowed(payload),
            headers_replaced: false,
        }
    }

    /// Whether the bytes may be the beginning of the message only, or something beside them is missing. Every message has a key, a
    /// time or headers; one that was given up and has none of them was refused until it said less.
    pub fn is_cut(&self) -> bool {
        let length = self.length.unwrap_or_default();
        let detail = self.detail();
        let is_bare = detail.headers.is_empty() && detail.key.is_none() && detail.at.is_none();
        let is_large = DEAD_PAYLOAD_MAX_BYTES as u64 <= length;
        detail.is_cut || (detail.given_up && (is_bare || is_large))
    }

    /// The dead letter in a list.
    pub fn present(&self) -> Value {
        json!({
            "uid": self.id, "kind": self.kind, "reason": self.reason, "project_id": self.project_id,
            "source_id": self.source_id, "event_id": self.event_id, "endpoint_id": null,
            "broker_message_id": self.broker_id(&self.detail()).unwrap_or_default(),
            "length": self.length, "created_at": rfc3339(self.at),
        })
    }

    /// The dead letter with its raw message, as JSON text. `data` is the payload byte for byte where it is JSON.
    pub fn present_whole(&self, payload: &[u8]) -> String {
        let envelope = (self.kind == EVENT).then(|| Envelope::decode(payload).ok()).flatten();
        let (payload, headers, key, at) = match &envelope {
            Some(envelope) => (envelope.inline(), envelope.meta.headers.clone(), None, None),
            None => {
                let Detail { headers, key, at, .. } = self.detail();
                (payload, headers, key, at)
            }
        };
        let raw = Text::from_bytes(payload);
        let data = std::str::from_utf8(payload)
            .ok()
            .and_then(|text| serde_json::from_str::<&RawValue>(text).ok())
            .map_or("null", RawValue::get);
        let mut shown = self.present();
        if let Value::Object(shown) = &mut shown {
            // A name may repeat, so these are pairs.
            shown.insert("headers".into(), json!(headers));
            shown.insert("key".into(), json!(key));
            shown.insert("published_at".into(), json!(at.map(rfc3339)));
            shown.insert("raw".into(), raw.text.into());
            shown.insert("raw_is_base64".into(), raw.is_base64.into());
        }
        json::with_raw(&shown, &[("data", data)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Bell;
    use crate::wire::Body;
    use crate::wire::tests::envelope;

    #[test]
    fn what_cannot_be_read_may_still_say_whose_it_is() {
        let envelope = envelope(Body::Inline(br#"{"p":"another"}"#.to_vec()));
        let own = envelope.meta.project_id.clone();
        let mut newer = envelope.encode();
        newer[0] = 99;
        assert!(Envelope::decode(&newer).is_err());
        assert_eq!(project_named_in(&newer), Some(own.clone()));
        let (meta, body) = envelope.to_row();
        let row = format!("{}\n{}", meta.replacen("\"at\":", "\"at\":-", 1), body.text);
        assert_eq!(project_named_in(row.as_bytes()), Some(own.clone()));
        assert_eq!(project_named_in(format!("[[15,{meta}],[1").as_bytes()), Some(own));
        let bell = Bell {
            shard: 0,
            endpoint_id: "e".into(),
            deliveries: vec![("p".into(), "d".into()), ("q".into(), "d".into())],
        };
        let bell = json!(bell).to_string().replace("\"shard\":0", "\"shard\":-1");
        assert_eq!(project_named_in(bell.as_bytes()).as_deref(), Some("p"));
    }

    #[test]
    fn what_a_sender_wrote_says_nothing_about_whose_it_is() {
        let mut damaged = envelope(Body::Inline(br#"{"p":"another"}"#.to_vec())).encode();
        damaged[6] = b'!';
        let nobodys: [&[u8]; 6] =
            [&damaged, b"", b"{", b"{\"p\":1}", b"hello", b"{\"deliveries\":[]}"];
        for payload in nobodys {
            assert_eq!(project_named_in(payload), None, "{}", String::from_utf8_lossy(payload));
        }
    }
}
