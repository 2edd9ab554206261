//! What messages mean that are not the JSON of an event.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{nothing_else, put};
use crate::api::{ApiError, Faults, check_length};
use crate::fields::Fields;
use crate::header::is_header_name;
use crate::wire::Target;

/// The longest event type, as for events of the API.
const EVENT_TYPE_MAX_CHARS: usize = 256;

/// What messages mean that are not the JSON of an event: their bytes are its body, as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    pub event_type: String,
    /// The header that names the type, where a message has it.
    #[serde(default)]
    pub event_type_header: Option<String>,
    #[serde(default)]
    pub content_type: Option<String>,
    /// `None`: those who subscribed to the source.
    #[serde(default)]
    pub target: Option<Target>,
}

impl Mapping {
    pub(super) fn read(value: Value) -> Result<Self, ApiError> {
        let mut fields = Fields::of("pub_sub.mapping".into(), value)?;
        let mut text = |name: &str| {
            Ok::<_, ApiError>(
                fields
                    .text(name)?
                    .map(|text| text.trim().to_owned())
                    .filter(|text| !text.is_empty()),
            )
        };
        let mode = text("mode")?.unwrap_or_default();
        let event_type = text("event_type")?.unwrap_or_default();
        let event_type_header = text("event_type_header")?.map(|name| name.to_ascii_lowercase());
        let content_type = text("content_type")?;
        let (endpoint, owner) = (text("endpoint_id")?, text("owner_id")?);
        let broadcast = fields.flag("broadcast")?.unwrap_or_default();
        nothing_else(fields, "pub_sub.mapping")?;

        let mut faults = Faults::default();
        if mode != "raw" {
            faults.add(
                "pub_sub.mapping.mode",
                "raw is expected; without a mapping, messages are the JSON of events",
            );
        }
        if event_type.is_empty() {
            faults.add("pub_sub.mapping.event_type", "please provide an event type");
        }
        if event_type_header.as_deref().is_some_and(|name| !is_header_name(name)) {
            faults.add("pub_sub.mapping.event_type_header", "not a header name");
        }
        let is_visible = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if content_type.as_deref().is_some_and(|text| 256 < text.len() || !is_visible(text)) {
            faults.add("pub_sub.mapping.content_type", "not a valid header value");
        }
        let targets = [endpoint.is_some(), owner.is_some(), broadcast];
        if 1 < targets.iter().filter(|given| **given).count() {
            faults.add(
                "pub_sub.mapping",
                "give one of endpoint_id, owner_id and broadcast, or none of them",
            );
        }
        faults.check()?;
        check_length("pub_sub.mapping.event_type", &event_type, EVENT_TYPE_MAX_CHARS)?;
        let target = match (endpoint, owner) {
            (Some(id), _) => Some(Target::Endpoint(id)),
            (_, Some(id)) => Some(Target::Owner(id)),
            _ => broadcast.then_some(Target::Everybody),
        };
        Ok(Self { event_type, event_type_header, content_type, target })
    }

    pub(super) fn present(&self) -> Value {
        let mut shown = json!({"mode": "raw", "event_type": self.event_type, "event_type_header": self.event_type_header,
            "content_type": self.content_type});
        if let Value::Object(shown) = &mut shown {
            match &self.target {
                Some(Target::Endpoint(id)) => put(shown, "endpoint_id", id.as_str().into()),
                Some(Target::Owner(id)) => put(shown, "owner_id", id.as_str().into()),
                Some(Target::Everybody) => put(shown, "broadcast", true.into()),
                Some(Target::Url(_)) | None => {}
            }
        }
        shown
    }
}
