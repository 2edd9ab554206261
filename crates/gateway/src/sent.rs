//! What a delivery sends, shown with it: body and headers, as they were sent or will be.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::deliver::{Delivery, body_for, masked};
use crate::endpoint::{BYTES, ContentType};
use crate::event::data_json;
use crate::header::is_of_the_body;
use crate::json;
use crate::wire::Text;

/// The body of a delivery, or why it is not shown, and its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub content_type: Option<String>,
    pub body: Result<Vec<u8>, String>,
    /// Sensitive ones are masked.
    pub headers: Vec<(String, String)>,
}

/// Why a list does not show what a delivery sends where the body is not in the row of the event.
const LARGE: &str = "the body is large: see the delivery itself";
/// Why a list does not show what a delivery sends where a function makes it.
pub const MADE: &str = "a function of the subscription makes it: see the delivery itself";
const GONE: &str = "the event is gone";

impl Sent {
    /// What is sent of an event, whose body is read already. The headers of a call that was made are those of its last
    /// attempt, as it was made.
    pub fn new(
        delivery: &Delivery,
        content_type: Option<String>,
        headers: &[(String, String)],
        body: Result<Vec<u8>, String>,
    ) -> Self {
        let headers = match delivery.last_attempt() {
            Some(last) => last.request_headers,
            None => {
                let own = content_type.as_deref().or(body.is_ok().then_some(BYTES));
                let own = own.map(|name| ("content-type".to_owned(), name.to_owned()));
                let all: Vec<_> = own.into_iter().chain(headers.iter().cloned()).collect();
                masked(&all, None)
            }
        };
        Self { content_type, body, headers }
    }

    /// What a list shows of what is sent: what the row of the delivery brings of its event, made into what the endpoint `takes`.
    /// `withheld`: why that is not what is sent.
    pub fn in_list(delivery: &Delivery, withheld: Option<&str>, takes: ContentType) -> Self {
        let event = delivery.event.as_deref();
        let event = event.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let Some(event) = event.filter(Value::is_object) else {
            return Self::new(delivery, None, &[], Err(GONE.into()));
        };
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        let headers: Option<Vec<(String, String)>> =
            text("headers").and_then(|list| json::read(list).ok());
        let mut headers = headers.unwrap_or_default();
        let is_made = withheld.is_some() || takes == ContentType::Form;
        if is_made || event.get("is_made").and_then(Value::as_u64) == Some(1) {
            headers.retain(|(name, _)| !is_of_the_body(name));
        }
        let is_base64 = event.get("is_base64").and_then(Value::as_u64) == Some(1);
        let body = match (text("body"), withheld) {
            (_, Some(why)) => Err(why.to_owned()),
            (None, None) => Err(LARGE.to_owned()),
            (Some(body), None) => {
                Ok(Text { text: body.into(), is_base64 }.to_bytes().unwrap_or_default())
            }
        };
        let content_type = text("content_type").map(ToOwned::to_owned);
        let body = body.and_then(|body| {
            let sent = body_for(takes, content_type.as_deref(), &body).map(Cow::into_owned);
            sent.map_err(|why| why.to_string())
        });
        let content_type = takes.of_body(content_type.as_deref());
        Self::new(delivery, content_type, &headers, body)
    }

    /// Lays it over a delivery as it is shown, as JSON text: `metadata.data` is the body's own JSON, byte for byte.
    pub fn lay_over(&self, mut shown: Value) -> String {
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            let values = headers.entry(name.clone()).or_insert_with(|| json!([]));
            if let Value::Array(values) = values {
                values.push(value.as_str().into());
            }
        }
        let mut metadata = Map::new();
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("headers".into(), headers.into());
            if let Some(Value::Object(own)) = fields.remove("metadata") {
                metadata = own;
            }
        }
        let raw = self.body.as_deref().ok().map(Text::from_bytes);
        metadata.insert("raw".into(), json!(raw.as_ref().map(|raw| &raw.text)));
        metadata
            .insert("raw_is_base64".into(), raw.as_ref().is_some_and(|raw| raw.is_base64).into());
        metadata.insert("is_data_omitted".into(), self.body.is_err().into());
        metadata.insert("omitted_because".into(), json!(self.body.as_ref().err()));
        let data = match &self.body {
            Ok(body) => data_json(self.content_type.as_deref(), body),
            Err(_) => "null".to_owned(),
        };
        let metadata = json::with_raw(&metadata.into(), &[("data", &data)]);
        json::with_raw(&shown, &[("metadata", &metadata)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::Undeliverable;

    fn delivery(event: Value) -> Delivery {
        let row = json!({"project_id": "p", "id": "d", "event_id": "e", "subscription_id": "", "endpoint_id": "x",
            "source_id": "s", "event_type": "t", "delivery_mode": "at_least_once", "status": "Scheduled",
            "description": "", "attempts": 0, "attempt": null, "due_at": null, "created_at": 0, "updated_at": 0,
            "replay": null, "event": event.to_string()});
        serde_json::from_value(row).unwrap()
    }

    fn event(body: &str) -> Value {
        json!({"headers": r#"[["x-a","1"],["X-Api-Key","secret"],["x-a","2"]]"#, "content_type": "application/json",
            "body": body, "is_base64": 0})
    }

    #[test]
    fn a_list_shows_what_is_sent_byte_for_byte_and_masks_credentials() {
        let body = r#"{ "z": 1.10, "a": 12345678901234567890123 }"#;
        let sent = Sent::in_list(&delivery(event(body)), None, ContentType::Json);
        let text = sent.lay_over(json!({"uid": "d", "metadata": {"num_trials": 0}}));
        assert!(text.ends_with(&format!(",\"data\":{body}}}}}")), "{text}");
        let shown: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&shown["metadata"]["raw"], &shown["metadata"]["num_trials"]),
            (&json!(body), &json!(0))
        );
        assert_eq!(
            shown["headers"],
            json!({"content-type": ["application/json"], "x-a": ["1", "2"],
            "X-Api-Key": ["********"]})
        );
    }

    #[test]
    fn a_form_is_shown_as_it_is_sent_with_its_fields_as_data() {
        let sent = Sent::in_list(&delivery(event(r#"{"a":"b c"}"#)), None, ContentType::Form);
        assert_eq!(sent.body, Ok(b"a=b+c".to_vec()));
        let text = sent.lay_over(json!({"metadata": {}}));
        assert!(
            text.contains(r#""raw":"a=b+c""#) && text.contains(r#""data":{"a":"b c"}"#),
            "{text}"
        );
        let list = Sent::in_list(&delivery(event("[1]")), None, ContentType::Form);
        let why = Undeliverable::NoForm.to_string();
        assert_eq!(list.body, Err(why));
    }

    #[test]
    fn a_body_without_a_type_is_shown_with_the_one_that_it_is_sent_with() {
        let event = json!({"headers": "[]", "body": "x", "is_base64": 0});
        let sent = Sent::in_list(&delivery(event), None, ContentType::Json);
        assert_eq!(sent.headers, [("content-type".to_owned(), BYTES.to_owned())]);
        assert_eq!(sent.content_type, None);
    }

    #[test]
    fn what_is_not_shown_says_why() {
        for (event, withheld, expect) in [
            (json!(null), None, GONE),
            (event("{}"), Some(MADE), MADE),
            (json!({"headers": "[]", "body": null}), None, LARGE),
        ] {
            let text = Sent::in_list(&delivery(event), withheld, ContentType::Json)
                .lay_over(json!({"metadata": {}}));
            let shown: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(shown["metadata"]["omitted_because"], expect);
            assert_eq!(
                (&shown["metadata"]["data"], &shown["metadata"]["is_data_omitted"]),
                (&json!(null), &json!(true))
            );
        }
    }
}
