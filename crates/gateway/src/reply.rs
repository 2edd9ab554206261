//! What the sender of a request reads.

use std::borrow::Cow;

use serde_json::json;

/// An HTTP answer, before any runtime has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    /// Lower-case names.
    pub headers: Vec<(Cow<'static, str>, String)>,
    pub body: Vec<u8>,
}

/// Headers with names of ours.
pub fn named(headers: Vec<(&'static str, String)>) -> Vec<(Cow<'static, str>, String)> {
    headers.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

impl Reply {
    /// Sends a person on to the page at `place`.
    pub fn sent_on(place: &str) -> Self {
        let headers = named(vec![("location", place.to_owned())]);
        Self { status: 302, content_type: "text/plain".into(), headers, body: Vec::new() }
    }

    /// Convoy's envelope without data: `{"status":…,"message":…}`.
    pub fn message(status: u16, ok: bool, message: &str) -> Self {
        let body = json!({"status": ok, "message": message}).to_string().into_bytes();
        Self { status, content_type: "application/json".into(), headers: Vec::new(), body }
    }
}
