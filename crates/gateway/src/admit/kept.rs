//! What of a request stays with its event.

use std::collections::BTreeSet;

use inlet_verify::Headers;

use super::Compiled;
use crate::fields::line_fault;
use crate::header::{is_credential, is_credential_parameter, is_of_the_broker, sendable};
use crate::rejection::Rejection;

/// Headers that belong to one connection or one hop, or that the runtime adds: never kept.
pub(crate) const HOP_HEADERS: &[&str] = &[
    "accept-encoding",
    "cdn-loop",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "true-client-ip",
    "via",
    "x-real-ip",
];

/// An event type is a name.
const EVENT_TYPE_MAX_BYTES: usize = 256;

pub(super) fn check_event_type(event_type: &str) -> Result<(), Rejection> {
    if EVENT_TYPE_MAX_BYTES < event_type.len() {
        let text = format!("event type too long: at most {EVENT_TYPE_MAX_BYTES} bytes");
        return Err(Rejection::EventType(text));
    }
    match line_fault(event_type) {
        None => Ok(()),
        Some(fault) => Err(Rejection::EventType(format!("event type:{fault}"))),
    }
}

impl Compiled {
    /// The headers that stay with the event and go on to its endpoints: without those of one hop, and without what may be
    /// a credential or a signature, unless `forward_headers` names it.
    pub(super) fn kept_headers(&self, headers: &Headers) -> Vec<(String, String)> {
        let hop = headers.get("connection").unwrap_or_default().to_ascii_lowercase();
        let hop: BTreeSet<&str> = hop.split(',').map(str::trim).collect();
        let keep = |name: &str| {
            let is_ours = name == "content-type" || is_of_the_broker(name);
            if HOP_HEADERS.contains(&name) || is_ours || hop.contains(name) {
                return false;
            }
            match &self.source.forward_headers {
                Some(listed) => listed.iter().any(|listed| listed == name),
                None => {
                    let added = ["cf-", "x-forwarded-", "inlet-", "x-convoy-"];
                    let added = added.iter().any(|prefix| name.starts_with(prefix));
                    let private = is_credential(name)
                        || self.credential_headers.iter().any(|credential| credential == name);
                    !added && !private
                }
            }
        };
        let kept = headers.iter().filter(|(name, _)| keep(name));
        kept.map(|(name, value)| (name.to_owned(), sendable(value).into_owned())).collect()
    }

    /// The query that stays with the event and goes on to its endpoints: without what may be a credential or a signature, unless
    /// `forward_query` names it. What is kept stays as it is written.
    pub(super) fn kept_query(&self, query: &str) -> String {
        let keep = |pair: &&str| {
            let mut names = url::form_urlencoded::parse(pair.as_bytes());
            let Some((name, _)) = names.next() else { return true };
            match &self.source.forward_query {
                Some(listed) => listed.iter().any(|listed| *listed == name),
                None => {
                    let is_asked = self.credential_parameters.iter().any(|asked| *asked == name);
                    !is_asked && !is_credential_parameter(&name)
                }
            }
        };
        query.split('&').filter(keep).collect::<Vec<_>>().join("&")
    }
}
