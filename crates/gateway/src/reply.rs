//! What the sender of a request reads.

use std::borrow::Cow;

use serde_json::json;

const JSON: &str = "application/json";

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

    /// This reply, which no browser is to run: its text may be that of whoever made the source, and pages with other people's
    /// tokens lie on its origin.
    #[must_use]
    pub fn apart(mut self) -> Self {
        if self.content_type != JSON {
            self.headers.extend(named(vec![
                ("content-security-policy", "sandbox; default-src 'none'".to_owned()),
                ("x-content-type-options", "nosniff".to_owned()),
            ]));
        }
        self
    }

    /// This reply, with the seconds in `Retry-After` after which it may be another, if that is known.
    #[must_use]
    pub fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.headers.extend(seconds.map(|seconds| ("retry-after".into(), seconds.to_string())));
        self
    }

    /// Convoy's envelope without data: `{"status":…,"message":…}`.
    pub fn message(status: u16, ok: bool, message: &str) -> Self {
        let body = json!({"status": ok, "message": message}).to_string().into_bytes();
        Self { status, content_type: JSON.into(), headers: Vec::new(), body }
    }
}
