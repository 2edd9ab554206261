//! Events as they are stored and shown.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::header::is_of_the_body;
use crate::json;
use crate::lenient;
use crate::made::{Arrived, ArrivedBody, Bytes};
use crate::payload;
use crate::pointed::Pointed;
use crate::time::rfc3339;
use crate::wire::{Body, Envelope, Meta, Target, Text};

/// What stands for the key of a payload that a list leaves out although the row has it.
pub(crate) const CUT: &str = "large";

/// A row of the event store. `received_at` is Unix milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub struct StoredEvent {
    pub project_id: String,
    pub id: String,
    pub source_id: String,
    pub mask_id: String,
    pub event_type: String,
    pub received_at: u64,
    pub content_type: Option<String>,
    /// JSON: `[[name, value], …]`.
    pub headers: String,
    pub query: String,
    pub idempotency_key: Option<String>,
    pub body: String,
    pub is_base64: u8,
    /// The R2 key of a body that is not in the row.
    pub body_key: Option<String>,
    pub status: String,
    pub failure_reason: String,
    /// JSON of [`crate::wire::Verification`].
    pub verification: Option<String>,
    /// JSON of [`crate::wire::Target`].
    pub target: Option<String>,
    pub broker_message_id: Option<String>,
    /// JSON: what it was before the functions of its source; see [`crate::made`].
    pub arrived: Option<String>,
    /// JSON: the ids of the endpoints that it went to, where they were asked for.
    #[serde(default)]
    pub endpoints: Option<String>,
}

impl StoredEvent {
    /// The body, as functions of its source left it, when it is in the row. `Err` holds the R2 key when it is not.
    pub fn inline_body(&self) -> Result<Vec<u8>, &str> {
        match &self.body_key {
            Some(key) => Err(key),
            None => {
                let text = Text { text: self.body.as_str().into(), is_base64: self.is_base64 != 0 };
                Ok(text.to_bytes().unwrap_or_default())
            }
        }
    }

    /// Takes the body out of the event, so that it is in memory once. `Err` holds the R2 key when it is not in the row.
    pub fn take_inline_body(&mut self) -> Result<Vec<u8>, &str> {
        if self.body_key.is_none() && self.is_base64 == 0 {
            return Ok(std::mem::take(&mut self.body).into_bytes());
        }
        let text = std::mem::take(&mut self.body);
        match &self.body_key {
            Some(key) => Err(key),
            None => Ok(Text { text: text.into(), is_base64: true }.to_bytes().unwrap_or_default()),
        }
    }

    /// The event as it came to be routed, for a replay.
    pub fn meta(&self, shard: u32) -> Meta {
        Meta {
            event_id: self.id.clone(),
            project_id: self.project_id.clone(),
            shard,
            source_id: self.source_id.clone(),
            mask_id: self.mask_id.clone(),
            event_type: self.event_type.clone(),
            received_at: self.received_at,
            content_type: self.content_type.clone(),
            headers: self.headers(),
            query: self.query.clone(),
            target: self.target(),
            broker_message_id: self.broker_message_id.clone(),
            ..Meta::default()
        }
    }

    /// The event as it arrived, for a replay: functions run again. How long a body in the object store is, its row does not
    /// say.
    pub fn envelope(&self, shard: u32) -> Envelope {
        let mut meta = self.meta(shard);
        meta.has_functions = !self.source_id.is_empty() && self.broker_message_id.is_none();
        meta.was_made = self.arrived.is_some();
        let stored = |key: &str| Body::Stored { key: key.to_owned(), len: 0 };
        let Arrived { headers, body } = self.arrived();
        meta.headers = headers.unwrap_or(meta.headers);
        let body = match body {
            None => match self.inline_body() {
                Ok(bytes) => Body::Inline(bytes),
                Err(key) => stored(key),
            },
            Some(ArrivedBody { content_type, bytes }) => {
                meta.content_type = content_type;
                match bytes {
                    Bytes::Here(bytes) => Body::Inline(bytes),
                    Bytes::Stored(key) => stored(&key),
                }
            }
        };
        Envelope { meta, body }
    }

    /// What it was before the functions of its source.
    pub fn arrived(&self) -> Arrived {
        self.arrived.as_deref().map(Arrived::read).unwrap_or_default()
    }

    /// The R2 key of the body that a function read, when it is there.
    pub fn arrived_key(&self) -> Option<String> {
        match self.arrived().body?.bytes {
            Bytes::Stored(key) => Some(key),
            Bytes::Here(_) => None,
        }
    }

    /// Puts it where it is shown.
    pub fn put_raw(&mut self, raw: &[u8]) {
        let text = Text::from_bytes(raw);
        self.arrived = Some(json!({"body": [text.text, text.is_base64]}).to_string());
    }

    /// Whether the row was read for a list, without a payload that is in it.
    pub fn is_cut(&self) -> bool {
        self.body_key.as_deref() == Some(CUT)
    }

    /// The event in a list: without a payload that is large. Then `data` is null and `is_data_omitted` true.
    pub fn present_in_list(&self, pointed: &Pointed) -> String {
        match self.inline_body() {
            Ok(body) => self.show(&body, None, pointed, &[]),
            Err(_) => self.show(b"null", None, pointed, &[("is_data_omitted", "true")]),
        }
    }

    /// Whom the event is for, when its sender said so.
    pub fn target(&self) -> Option<Target> {
        json::read(self.target.as_deref()?).ok()
    }

    /// The endpoints that the event went to, when they were read.
    pub fn endpoints(&self) -> Option<Vec<String>> {
        serde_json::from_str(self.endpoints.as_deref()?).ok()
    }

    /// The headers that were kept, in order.
    pub fn headers(&self) -> Vec<(String, String)> {
        json::read(&self.headers).unwrap_or_default()
    }

    /// The headers that go out with a body. Where that is another than arrived (`is_made`), those that say something of the bytes
    /// that arrived stay here; those that a function of the source chose go out.
    pub fn headers_out(&self, is_made: bool) -> Vec<(String, String)> {
        let mut headers = self.headers();
        let arrived = self.arrived();
        if is_made || arrived.body.is_some() {
            let is_chosen = |header: &(String, String)| {
                arrived.headers.as_ref().is_some_and(|before| !before.contains(header))
            };
            headers.retain(|header| !is_of_the_body(&header.0) || is_chosen(header));
        }
        headers
    }

    /// The event as the API shows it, as JSON text. `data` holds the body's own JSON, byte for byte: no number
    /// is rounded and no key moves; only what strict readers choke on is mended. A body that is no JSON is a string; one that is
    /// no text is base64.
    /// Its `raw` is the body as it arrived, which is another than `body` where a function ran; one in the object store is left out.
    /// `duplicate` is the id that was asked for, when that event was dropped as a copy of this one.
    pub fn present(&self, body: &[u8], duplicate: Option<&str>) -> String {
        self.present_with(body, duplicate, &Pointed::default())
    }

    /// The event as the API shows it, as [`Self::present`], with the names of the endpoints and the source that it points at.
    pub fn present_with(&self, body: &[u8], duplicate: Option<&str>, pointed: &Pointed) -> String {
        self.show(body, duplicate, pointed, &[])
    }

    fn show(
        &self,
        body: &[u8],
        duplicate: Option<&str>,
        pointed: &Pointed,
        more: &[(&str, &str)],
    ) -> String {
        let data_json = data_json(self.content_type.as_deref(), body);
        let arrived = self.arrived().body.map(|body| match body.bytes {
            Bytes::Here(bytes) => bytes,
            Bytes::Stored(_) => Vec::new(),
        });
        let raw = Text::from_bytes(arrived.as_deref().unwrap_or(body));
        let mut headers = Map::new();
        for (name, value) in self.headers() {
            // Brokers have names that repeat.
            let values = headers.entry(canonical(&name)).or_insert_with(|| json!([]));
            if let Value::Array(values) = values {
                values.push(value.into());
            }
        }
        if !self.mask_id.is_empty() {
            headers.insert("X-Convoy-Source-Id".into(), json!([self.mask_id]));
        }
        let url_path = match self.mask_id.as_str() {
            "" => String::new(),
            mask => format!("/ingest/{mask}"),
        };
        let mut shown = json!({
            "uid": duplicate.unwrap_or(&self.id), "event_type": self.event_type, "source_id": self.source_id,
            "project_id": self.project_id, "headers": headers, "content_type": self.content_type,
            "url_path": url_path, "url_query_params": self.query,
            "idempotency_key": self.idempotency_key.as_deref().unwrap_or_default(),
            "is_duplicate_event": duplicate.is_some(), "duplicate_of": duplicate.map(|_| &self.id),
            "raw_is_base64": raw.is_base64, "is_transformed": self.arrived.is_some(),
            "verification": self.verification.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()),
            "status": self.status, "failure_reason": self.failure_reason,
            "target": self.target().map(|target| target.present()),
            "broker_message_id": self.broker_message_id.as_deref().unwrap_or_default(),
            "source_metadata": pointed.source(&self.source_id),
            "acknowledged_at": rfc3339(self.received_at), "created_at": rfc3339(self.received_at),
            "updated_at": rfc3339(self.received_at), "deleted_at": null,
        });
        if let (Some(endpoints), Some(fields)) = (self.endpoints(), shown.as_object_mut()) {
            let named: Vec<Value> = endpoints.iter().map(|id| pointed.endpoint(id)).collect();
            fields.insert("endpoint_metadata".into(), json!(named));
            fields.insert("endpoints".into(), json!(endpoints));
        }
        let raw = serde_json::to_string(&*raw.text).unwrap_or_default();
        json::with_raw(&shown, &[&[("raw", &*raw), ("data", &*data_json)], more].concat())
    }
}

/// What a body says, as JSON text: its own JSON as it is written, a form as an object, what is no JSON as a string, and what
/// is no text as one of base64.
pub(crate) fn data_json(content_type: Option<&str>, body: &[u8]) -> String {
    let data = payload::data(content_type, body);
    lenient::json(&data)
        .map_or_else(|| Value::from(&*Text::from_bytes(body).text).to_string(), Cow::into_owned)
}

/// `x-github-event` as `X-Github-Event`.
fn canonical(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut chars = part.chars();
        chars
            .next()
            .map(|first| first.to_uppercase().chain(chars).collect::<String>())
            .unwrap_or_default()
    });
    parts.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn stored(content_type: Option<&str>) -> StoredEvent {
        StoredEvent {
            project_id: "p".into(),
            id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            source_id: "s".into(),
            mask_id: "m".into(),
            event_type: "push".into(),
            received_at: 0,
            content_type: content_type.map(Into::into),
            headers: r#"[["x-github-event","push"]]"#.into(),
            query: String::new(),
            idempotency_key: None,
            body: String::new(),
            is_base64: 0,
            body_key: None,
            status: "Success".into(),
            failure_reason: String::new(),
            verification: None,
            target: None,
            broker_message_id: None,
            arrived: None,
            endpoints: None,
        }
    }

    #[test]
    fn what_says_something_of_the_former_body_stays_and_what_a_function_chose_goes_out() {
        let names = |headers: &str, arrived: Option<&str>, is_made: bool| {
            let mut event = stored(None);
            event.headers = headers.into();
            event.arrived = arrived.map(Into::into);
            let out = event.headers_out(is_made).into_iter().map(|(name, _)| name);
            out.collect::<Vec<_>>().join(" ")
        };
        let all = r#"[["digest","of the sender"],["etag","mine"],["x-a","b"]]"#;
        assert_eq!(names(all, None, false), "digest etag x-a");
        assert_eq!(names(all, None, true), "x-a");
        let body = r#"{"body":["{}",false]}"#;
        assert_eq!(names(all, Some(body), false), "x-a");
        let headers = r#"{"headers":[["digest","of the sender"],["etag","theirs"]]}"#;
        assert_eq!(names(all, Some(headers), false), "digest etag x-a");
        assert_eq!(names(all, Some(headers), true), "etag x-a");
    }

    #[test]
    fn json_comes_back_byte_for_byte() {
        let body = br#"{ "z": 1.10, "a": 12345678901234567890123, "u": "\u003c" }"#;
        let shown = stored(Some("application/json")).present(body, None);
        assert!(
            shown.ends_with(
                r#","data":{ "z": 1.10, "a": 12345678901234567890123, "u": "\u003c" }}"#
            ),
            "{shown}"
        );
        assert!(serde_json::from_str::<Value>(&shown).is_ok());
        assert!(shown.contains(r#""X-Github-Event":["push"]"#));
    }

    #[test]
    fn a_header_that_repeats_is_shown_with_all_of_its_values() {
        let mut event = stored(None);
        event.headers = r#"[["x-h","1"],["x-i","2"],["X-H","3"]]"#.into();
        assert!(event.present(b"1", None).contains(r#""X-H":["1","3"]"#));
    }

    #[test]
    fn what_is_no_json_is_a_string_and_what_is_no_text_base64() {
        let data = |content_type, body: &[u8]| {
            let shown: Value =
                serde_json::from_str(&stored(content_type).present(body, None)).unwrap();
            (shown["data"].clone(), shown["raw_is_base64"].clone())
        };
        assert_eq!(data(None, b"Hello, World!"), (json!("Hello, World!"), json!(false)));
        assert_eq!(data(None, &[0xff, 0x00]), (json!("/wA="), json!(true)));
        assert_eq!(data(None, b""), (json!({}), json!(false)));
        assert_eq!(
            data(Some("application/x-www-form-urlencoded"), b"a=1"),
            (json!({"a": "1"}), json!(false))
        );
    }

    #[test]
    fn a_dropped_copy_shows_the_event_it_is_a_copy_of() {
        let shown: Value =
            serde_json::from_str(&stored(None).present(b"{}", Some("copy"))).unwrap();
        assert_eq!(shown["uid"], "copy");
        assert_eq!(shown["is_duplicate_event"], true);
        assert_eq!(shown["duplicate_of"], "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    }
}
