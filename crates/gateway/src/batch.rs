//! What a companion hands in: messages of a broker, many at once, each with its bytes as they are.
//!
//! A body is one line of JSON that names the messages, and then their bytes one after another.

mod outcome;
mod wire;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::ApiError;
use crate::fields::line_fault;
use crate::header::{
    OF_THE_BROKER, is_credential, is_header_value, is_of_the_body, is_of_the_broker,
};
use crate::json;
use crate::project::Project;
use crate::pub_sub::{Broker, Mapping};
use crate::push::{KEY_MAX_CHARS, Kind, Origin, Push, To, broker_key};
use crate::source::Source;
use crate::time::rfc3339;
use crate::transform::{headers_of, input_of};
use crate::wire::Envelope;

pub use outcome::{Asks, Late, Outcome, judge};
pub use wire::{Head, Item, Verdict, Verdicts, write};

/// The most messages of one batch.
pub const MESSAGES_MAX: usize = 1_000;
/// The most bytes of all payloads of a batch together, when there is more than one.
pub const PAYLOADS_MAX_BYTES: usize = 1_024 * 1_024;
/// The most bytes of the line of a batch that names its messages.
pub const HEAD_MAX_BYTES: usize = 4 * 1_024 * 1_024;
/// The largest payload of a message that the companion gives up on.
pub const DEAD_PAYLOAD_MAX_BYTES: usize = 64 * 1_024;
/// Headers and key of a message that are kept with its dead letter, as JSON.
const DETAIL_MAX_BYTES: usize = 256 * 1_024;
/// The media type of a batch.
pub const CONTENT_TYPE: &str = "application/vnd.inlet.batch";
/// The longest id of a message.
const ID_MAX_BYTES: usize = 512;
/// Names the kind of an event, among the headers of its message.
const KIND_HEADER: &str = "x-convoy-message-type";

/// Messages of one source, as a companion hands them in.
#[derive(Debug)]
pub struct Batch<'a> {
    pub source_id: String,
    pub messages: Vec<Message<'a>>,
}

/// One message of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The broker's own name of it.
    pub id: Option<String>,
    pub headers: Vec<(String, String)>,
    pub key: Option<String>,
    /// When the broker took it, Unix milliseconds.
    pub at: Option<u64>,
    /// Why the companion gives up on it.
    pub dead: Option<String>,
    pub payload: Cow<'a, [u8]>,
    /// What a header function returned stands in `headers`: those of the payload no longer count.
    pub headers_replaced: bool,
}

impl<'a> Batch<'a> {
    /// Reads the body of `POST /consumer/v1/batches`. What is wrong with it is wrong with all of it.
    pub fn read(body: &'a [u8]) -> Result<Self, ApiError> {
        let end = body.iter().take(HEAD_MAX_BYTES + 1).position(|byte| *byte == b'\n');
        let (head, rest) = match end.and_then(|end| body.split_at_checked(end)) {
            Some((head, rest)) => (head, rest.strip_prefix(b"\n").unwrap_or(rest)),
            None if body.len() <= HEAD_MAX_BYTES => {
                return Err(ApiError::bad_request("the first line of a batch has no end"));
            }
            None => {
                let text = format!("the first line of a batch has at most {HEAD_MAX_BYTES} bytes");
                return Err(ApiError::new(413, text));
            }
        };
        let head: Head<'_> = json::read_bytes(head).map_err(|error| {
            ApiError::bad_request(format!(
                "the first line of a batch does not name its messages: {error}"
            ))
        })?;
        let count = head.messages.len();
        if count == 0 {
            return Err(ApiError::bad_request("messages:a batch has at least one"));
        }
        if MESSAGES_MAX < count {
            return Err(ApiError::new(
                413,
                format!("messages:at most {MESSAGES_MAX} in a batch, not {count}"),
            ));
        }
        if 1 < count && PAYLOADS_MAX_BYTES < rest.len() {
            let text = format!(
                "payloads of more than one message: at most {PAYLOADS_MAX_BYTES} bytes in all"
            );
            return Err(ApiError::new(413, text));
        }
        let mut messages = Vec::with_capacity(count);
        let mut rest = rest;
        for (index, item) in head.messages.into_iter().enumerate() {
            let Some((payload, others)) = rest.split_at_checked(item.length) else {
                let text = format!(
                    "messages[{index}].length:the body ends before {} bytes of it",
                    item.length
                );
                return Err(ApiError::bad_request(text));
            };
            rest = others;
            let id = item.id.filter(|id| !id.is_empty()).map(Cow::into_owned);
            if id.as_ref().is_some_and(|id| ID_MAX_BYTES < id.len()) {
                let text = format!("messages[{index}].id:at most {ID_MAX_BYTES} bytes");
                return Err(ApiError::new(422, text));
            }
            if item.dead.is_some() && DEAD_PAYLOAD_MAX_BYTES < payload.len() {
                let text = format!(
                    "messages[{index}].dead:at most {DEAD_PAYLOAD_MAX_BYTES} bytes of a message that is given up"
                );
                return Err(ApiError::new(413, text));
            }
            messages.push(Message {
                id,
                headers: item.headers.into_owned(),
                key: item.key.map(Cow::into_owned),
                at: item.at.and_then(|at| u64::try_from(at).ok()),
                dead: item.dead.map(Cow::into_owned),
                payload: Cow::Borrowed(payload),
                headers_replaced: false,
            });
        }
        if !rest.is_empty() {
            let text = format!("messages:the lengths leave {} bytes of the body over", rest.len());
            return Err(ApiError::bad_request(text));
        }
        Ok(Self { source_id: head.source_id.into_owned(), messages })
    }
}

impl Message<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// What it is known by when it comes again. Kafka's offsets begin anew in a topic that is deleted and made again, and in
    /// another cluster; the time of a record does not.
    pub fn identity(&self, source: &Source) -> Option<String> {
        let id = self.id.clone()?;
        let broker = source.pub_sub.as_ref().map(|pub_sub| pub_sub.broker);
        match self.at {
            Some(at) if broker == Some(Broker::Kafka) => Some(format!("{id}@{at}")),
            _ => Some(id),
        }
    }

    /// What its dead letter is known by, and the event that a replay makes of it. AMQP's ids are the publishers' own: two messages
    /// that have one and say different things are two, so that none is lost.
    pub fn dead_identity(&self, source: &Source) -> Option<String> {
        let identity = self.identity(source)?;
        match source.pub_sub.as_ref().map(|pub_sub| pub_sub.broker) {
            Some(Broker::Amqp) => {
                let mut content = hex::encode(Sha256::digest(&self.payload));
                content.truncate(16);
                Some(format!("{identity}@{content}"))
            }
            _ => Some(identity),
        }
    }

    /// The key of the event that a replay of its dead letter has made, where that is not the key of its own.
    pub fn replay_key(&self, source: &Source) -> Option<String> {
        let replayed =
            self.dead_identity(source).filter(|id| Some(id) != self.identity(source).as_ref());
        replayed.map(|id| broker_key(&id))
    }

    /// The event that the message means, or why it means none.
    pub fn push(&self, mapping: Option<&Mapping>) -> Result<Push, String> {
        if let Some(mapping) = mapping {
            return self.mapped(mapping);
        }
        let kind = self.header(KIND_HEADER).unwrap_or("single");
        let kind = Kind::from_name(kind).ok_or_else(|| {
            format!(
                "{kind:?} isn't a valid pubsub message type, it should be one of single, fanout, broadcast or dynamic"
            )
        })?;
        let mut push = Push::parse_message(kind, &self.payload).map_err(|error| error.message)?;
        if self.headers_replaced {
            push.headers.clear();
        }
        Ok(push)
    }

    /// What a body function is given.
    pub fn body_input(&self) -> Result<String, String> {
        input_of(&self.payload)
    }

    /// The message with what its source's body function made of the payload.
    #[must_use]
    pub fn with_body(mut self, output: String) -> Self {
        self.payload = Cow::Owned(output.into_bytes());
        self.headers.retain(|(name, _)| !is_of_the_body(name));
        self
    }

    /// What a header function is given: an object of the broker's headers, and of those of the payload that the broker does
    /// not have too, in lower case; and the message type.
    pub fn headers_input(&self) -> String {
        #[derive(Deserialize)]
        struct Payload {
            custom_headers: Option<Map<String, Value>>,
        }
        let mut merged = Map::new();
        let own = serde_json::from_slice::<Payload>(&self.payload).ok();
        for (name, value) in own.and_then(|own| own.custom_headers).unwrap_or_default() {
            merged.insert(name.to_ascii_lowercase(), value);
        }
        for (name, value) in &self.headers {
            merged.insert(name.to_ascii_lowercase(), Value::from(value.as_str()));
        }
        merged.entry(KIND_HEADER).or_insert_with(|| Value::from("single"));
        Value::Object(merged).to_string()
    }

    /// The message with what its source's header function returned in place of all its headers.
    pub fn with_headers(mut self, output: &str) -> Result<Self, String> {
        self.headers = headers_of(output).map_err(|error| error.message)?;
        self.headers_replaced = true;
        Ok(self)
    }

    fn mapped(&self, mapping: &Mapping) -> Result<Push, String> {
        let named = mapping.event_type_header.as_deref().and_then(|name| self.header(name));
        let event_type = named.map(str::trim).filter(|name| !name.is_empty());
        let event_type = event_type.unwrap_or(&mapping.event_type);
        if KEY_MAX_CHARS < event_type.chars().count() {
            return Err(format!("event_type:at most {KEY_MAX_CHARS} characters"));
        }
        if let Some(fault) = line_fault(event_type) {
            return Err(format!("event_type:{fault}"));
        }
        let own = self.header("content-type");
        let own = own.filter(|value| value.len() <= 256 && is_header_value(value));
        let content_type = mapping.content_type.as_deref().or(own);
        Ok(Push::raw(
            mapping.target.clone().map_or(To::Subscribers, To::Known),
            event_type.to_owned(),
            content_type.unwrap_or("application/octet-stream").to_owned(),
            self.payload.to_vec(),
        ))
    }

    /// The event on its way, or why it cannot go. Of events with one `identity` there is one.
    pub fn envelope(
        &self,
        push: Push,
        identity: Option<&str>,
        source: &Source,
        project: &Project,
        event_id: String,
        now_ms: u64,
    ) -> Result<Envelope, String> {
        let headers = self.kept_headers(source);
        let origin = Origin {
            source_id: &source.uid,
            mask_id: &source.mask_id,
            broker_message_id: self.id.as_deref(),
            identity,
            headers: &headers,
            window_ms: Some(source.dedup_window_seconds.saturating_mul(1000)),
        };
        push.envelope(project, origin, event_id, now_ms).map_err(|error| error.message)
    }

    /// The headers that the event keeps: what the source names, or else all but credentials. Those that say where the
    /// message comes from are ours, and cannot be forged by whoever wrote it.
    fn kept_headers(&self, source: &Source) -> Vec<(String, String)> {
        let is_kept = |name: &str| {
            let is = |other: &&str| name.eq_ignore_ascii_case(other);
            match &source.forward_headers {
                _ if is_of_the_broker(name) => false,
                Some(names) => names.iter().any(|other| is(&other.as_str())),
                None => !is_credential(name),
            }
        };
        let mut headers: Vec<(String, String)> =
            self.headers.iter().filter(|(name, _)| is_kept(name)).cloned().collect();
        let own = [self.id.clone(), self.key.clone(), self.at.map(rfc3339)];
        for (name, value) in OF_THE_BROKER.into_iter().zip(own) {
            if let Some(value) = value {
                headers.push((name.to_owned(), value));
            }
        }
        headers
    }

    /// What is kept of a message beside its bytes, among the dead letters: as much as a row holds beside them, and a word on
    /// whether that is all.
    pub fn detail(&self) -> Value {
        let mut room = DETAIL_MAX_BYTES;
        let mut fits = |value: &Value| {
            let left = room.checked_sub(value.to_string().len());
            room = left.unwrap_or(room);
            left.is_some()
        };
        let key = Some(json!(self.key)).filter(&mut fits);
        let headers: Vec<Value> =
            self.headers.iter().map(|header| json!(header)).filter(&mut fits).collect();
        let is_cut = key.is_none() || headers.len() < self.headers.len();
        json!({"id": self.id, "headers": headers, "key": key, "at": self.at, "given_up": self.dead.is_some(), "is_cut": is_cut})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Target;

    fn framed(head: &str, payloads: &str) -> Vec<u8> {
        format!("{head}\n{payloads}").into_bytes()
    }

    #[test]
    fn payloads_follow_each_other_without_a_sign_between() {
        let head = r#"{"source_id":"s","messages":[{"id":"a","length":2,"headers":[["N","1"],["n","2"]]},
            {"id":"","length":0},{"length":4,"key":"k","at":5,"dead":"why"}]}"#;
        let body = framed(&head.replace('\n', " "), "{}\n\n\n\n");
        let batch = Batch::read(&body).unwrap();
        assert_eq!(batch.source_id, "s");
        let payloads: Vec<&[u8]> = batch.messages.iter().map(|one| &*one.payload).collect();
        assert_eq!(payloads, [&b"{}"[..], b"", b"\n\n\n\n"]);
        assert_eq!(batch.messages[0].headers.len(), 2);
        assert_eq!(batch.messages[1].id, None, "no id is no key");
        assert_eq!(batch.messages[2].dead.as_deref(), Some("why"));
    }

    #[test]
    fn a_time_before_1970_is_none() {
        let head = r#"{"source_id":"s","messages":[{"length":0,"at":-5},{"length":0,"at":7}]}"#;
        let body = framed(head, "");
        let times: Vec<_> = Batch::read(&body).unwrap().messages.iter().map(|one| one.at).collect();
        assert_eq!(times, [None, Some(7)]);
    }

    #[test]
    fn a_dead_letter_keeps_what_fits_of_headers_and_says_when_that_is_not_all() {
        let header = |name: &str, length| (name.to_owned(), "\u{1}".repeat(length));
        let mut message = Message {
            id: None,
            headers: vec![header("a", 10), header("b", 60_000), header("c", 10)],
            key: Some("k".into()),
            at: None,
            dead: None,
            payload: Cow::Borrowed(b""),
            headers_replaced: false,
        };
        let detail = message.detail();
        let names: Vec<&Value> =
            detail["headers"].as_array().unwrap().iter().map(|one| &one[0]).collect();
        assert_eq!((names, &detail["is_cut"]), (vec![&json!("a"), &json!("c")], &json!(true)));
        assert!(detail.to_string().len() < DETAIL_MAX_BYTES);
        message.headers.remove(1);
        assert_eq!(message.detail()["is_cut"], false);
        message.key = Some("k".repeat(DETAIL_MAX_BYTES));
        let detail = message.detail();
        assert_eq!((&detail["key"], &detail["is_cut"]), (&Value::Null, &json!(true)));
        assert_eq!(detail["headers"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_mapping_takes_bytes_as_they_are() {
        let message = Message {
            id: None,
            headers: vec![("X-Type".into(), "lost".into()), ("Content-Type".into(), "a/b".into())],
            key: None,
            at: None,
            dead: None,
            payload: Cow::Borrowed(&[0, 255]),
            headers_replaced: false,
        };
        let mut mapping = Mapping {
            event_type: "read".into(),
            event_type_header: None,
            content_type: None,
            target: None,
        };
        let push = message.push(Some(&mapping)).unwrap();
        assert_eq!((push.event_type.as_str(), push.content_type.as_str()), ("read", "a/b"));
        assert_eq!((push.to, push.data), (To::Subscribers, vec![0, 255]));
        mapping.event_type_header = Some("x-type".into());
        mapping.content_type = Some("c/d".into());
        mapping.target = Some(Target::Everybody);
        let push = message.push(Some(&mapping)).unwrap();
        assert_eq!((push.event_type.as_str(), push.content_type.as_str()), ("lost", "c/d"));
        assert_eq!(push.to, To::Known(Target::Everybody));
        assert!(message.push(None).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_panic(body: Vec<u8>, length: usize, payload: String) {
            Batch::read(&body).ok();
            let head = format!(r#"{{"source_id":"s","messages":[{{"length":{length}}},{{"length":1}}]}}"#);
            if let Ok(batch) = Batch::read(&framed(&head, &payload)) {
                let bytes: usize = batch.messages.iter().map(|one| one.payload.len()).sum();
                prop_assert_eq!(bytes, payload.len());
            }
        }
    }

    #[test]
    fn functions_are_given_what_a_message_says_and_their_results_take_its_place() {
        let body =
            br#"{"event_type":"a","data":1,"custom_headers":{"X-Own":"own","X-Both":"own"}}"#;
        let message = Message {
            id: None,
            headers: vec![("X-Both".into(), "broker".into())],
            key: None,
            at: None,
            dead: None,
            payload: Cow::Borrowed(body),
            headers_replaced: false,
        };
        let input: Value = serde_json::from_str(&message.headers_input()).unwrap();
        let expect = json!({"x-own": "own", "x-both": "broker", "x-convoy-message-type": "single"});
        assert_eq!(input, expect);
        assert_eq!(message.body_input().unwrap().as_bytes(), body);
        let text = message.clone().with_body("plain".into());
        assert_eq!(text.body_input().unwrap(), r#""plain""#);
        let binary = Message { payload: Cow::Borrowed(&[255]), ..message.clone() };
        assert!(binary.body_input().unwrap_err().contains("not text"));
        let replaced = message
            .clone()
            .with_headers(r#"{"x-convoy-message-type":"broadcast","x-new":"1"}"#)
            .unwrap();
        let push = replaced.push(None).unwrap();
        assert_eq!((push.kind, push.headers), (Kind::Broadcast, Vec::new()));
        assert!(message.with_headers("[]").is_err());
    }
}
