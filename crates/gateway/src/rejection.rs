//! Why a request was not taken in, by whose turn it is to act. A status is an instruction to the sender:
//! change something (4xx), or keep the event and try again (5xx with `Retry-After`).

use inlet_verify::Refused;

use crate::reply::Reply;

/// Seconds after which a sender may try again when the fault is ours.
pub(crate) const RETRY_AFTER_S: u64 = 10;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    // The sender must change something; sending the same again cannot help.
    #[error("Resource not found")]
    UnknownSource,
    #[error("source is disabled")]
    Disabled,
    #[error("source is paused")]
    Paused,
    #[error("Source type needs to be HTTP")]
    NotHttp,
    #[error("method not allowed: this ingest URL takes {allow}")]
    Method { allow: &'static str },
    #[error("request body too large: the limit is {limit_bytes} bytes")]
    TooLarge { limit_bytes: u64 },
    #[error("request headers too large")]
    HeadersTooLarge,
    /// The cause is for the source's owner; the sender learns only that it was not believed.
    #[error("Request verification failed")]
    Refused {
        status: u16,
        cause: Refused,
        custom: Option<Box<(String, String)>>,
        /// How a 401 asks for credentials.
        challenge: Option<&'static str>,
    },
    /// The key that signs could not be had: the sender keeps the event and tries again.
    #[error("the signature cannot be checked right now")]
    NotCheckable { cause: Refused },
    #[error("{0}")]
    EventType(String),
    /// What does not fit, each with its place.
    #[error("request body does not fit the JSON schema: {}", .0.join(", "))]
    Schema(Vec<String>),
    #[error("{reason}")]
    Handshake { status: u16, reason: &'static str },
    #[error("Invalid request format")]
    Unreadable,
    #[error("this address may not send to this source")]
    Address { client: Option<String> },
    #[error("the source has expired")]
    Expired,
    #[error("the source has had all of its requests")]
    UsedUp,
    /// Too many requests in a time; after so many seconds there is room again.
    #[error("exceeded rate limit")]
    Limited { seconds: u64 },

    // We must act; the sender keeps the event and tries again.
    #[error("the gateway cannot store events right now")]
    NotDurable,
    #[error("the gateway holds too many large bodies right now")]
    Busy,
    /// The line is slow, or the gateway is: the sender keeps the event.
    #[error("the request body took too long to arrive")]
    Late,
    #[error("the gateway cannot read its configuration right now")]
    NoConfig,
    /// The operator has to set or restore `ENCRYPTION_KEY`.
    #[error("the gateway is not configured")]
    NoKey,
}

impl Rejection {
    /// Whether a record of it is kept for the source's owner: of all but what no source is known for, and what the gateway
    /// cannot do right now, for a record is as much as that.
    pub fn is_kept(&self) -> bool {
        !matches!(self, Self::UnknownSource | Self::NotDurable | Self::NoConfig | Self::NoKey)
    }

    /// Whether many readings of the request are tried to explain it: that may take the time of tens of usual requests.
    pub fn is_diagnosed(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// The one table from causes to statuses: `(status, label for logs and metrics)`.
    pub fn status(&self) -> (u16, &'static str) {
        match self {
            Self::UnknownSource => (404, "unknown_source"),
            Self::Disabled => (403, "disabled"),
            Self::Paused => (403, "paused"),
            Self::NotHttp => (400, "not_http"),
            Self::Method { .. } => (405, "method"),
            Self::TooLarge { .. } => (413, "too_large"),
            Self::HeadersTooLarge => (431, "headers_too_large"),
            Self::Refused { status, cause, .. } => (*status, cause.label()),
            Self::EventType(_) => (400, "event_type"),
            Self::Schema(_) => (422, "schema"),
            Self::Handshake { status, .. } => (*status, "handshake"),
            Self::Unreadable => (400, "unreadable"),
            Self::Address { .. } => (403, "address"),
            Self::Expired => (410, "expired"),
            Self::UsedUp => (410, "used_up"),
            Self::Limited { .. } => (429, "limited"),
            Self::NotCheckable { .. } => (503, "not_checkable"),
            Self::NotDurable => (503, "not_durable"),
            Self::Busy => (503, "busy"),
            Self::Late => (503, "late"),
            Self::NoConfig => (503, "no_config"),
            Self::NoKey => (503, "no_key"),
        }
    }

    /// What the source's owner reads beyond the text that the sender gets. It is not for the log: it may quote the request.
    pub fn detail(&self) -> String {
        match self {
            Self::Refused { cause, .. } | Self::NotCheckable { cause } => cause.to_string(),
            Self::Address { client } => {
                format!("{self}: {}", client.as_deref().unwrap_or("its address is not known"))
            }
            other => other.to_string(),
        }
    }

    /// What the sender gets.
    pub fn reply(&self) -> Reply {
        let (status, _) = self.status();
        let mut reply = Reply::message(status, false, &self.to_string());
        if let Self::Refused { custom: Some(custom), .. } = self {
            (reply.content_type, reply.body) = (custom.0.clone(), custom.1.clone().into_bytes());
        }
        if let Self::Refused { status: 401, challenge: Some(challenge), .. } = self {
            reply.headers.push(("www-authenticate".into(), (*challenge).to_owned()));
        }
        if let Self::Schema(faults) = self {
            let text = self.to_string();
            let body =
                serde_json::json!({"status": false, "message": text, "validation_errors": faults});
            reply.body = body.to_string().into_bytes();
        }
        if let Self::Method { allow } = self {
            reply.headers.push(("allow".into(), (*allow).to_owned()));
        }
        reply.retry_after(match self {
            Self::Limited { seconds } => Some(*seconds),
            _ => (500 <= status).then_some(RETRY_AFTER_S),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose a rejection is; a new one has to be put here, and into the list.
    fn is_ours(rejection: &Rejection) -> bool {
        match rejection {
            Rejection::UnknownSource
            | Rejection::Disabled
            | Rejection::Paused
            | Rejection::NotHttp
            | Rejection::Method { .. }
            | Rejection::TooLarge { .. }
            | Rejection::HeadersTooLarge
            | Rejection::Refused { .. }
            | Rejection::EventType(_)
            | Rejection::Schema(_)
            | Rejection::Handshake { .. }
            | Rejection::Unreadable
            | Rejection::Address { .. }
            | Rejection::Expired
            | Rejection::UsedUp
            | Rejection::Limited { .. } => false,
            Rejection::NotCheckable { .. }
            | Rejection::NotDurable
            | Rejection::Busy
            | Rejection::Late
            | Rejection::NoConfig
            | Rejection::NoKey => true,
        }
    }

    fn all() -> [Rejection; 22] {
        let cause = Refused::NoSecret;
        [
            Rejection::UnknownSource,
            Rejection::Disabled,
            Rejection::Paused,
            Rejection::NotHttp,
            Rejection::Method { allow: "POST" },
            Rejection::TooLarge { limit_bytes: 1 },
            Rejection::HeadersTooLarge,
            Rejection::Refused { status: 401, cause: cause.clone(), custom: None, challenge: None },
            Rejection::NotCheckable { cause },
            Rejection::EventType("no type".into()),
            Rejection::Schema(vec!["a fault".into()]),
            Rejection::Handshake { status: 400, reason: "no handshake" },
            Rejection::Unreadable,
            Rejection::Address { client: None },
            Rejection::Expired,
            Rejection::UsedUp,
            Rejection::Limited { seconds: 3 },
            Rejection::NotDurable,
            Rejection::Busy,
            Rejection::Late,
            Rejection::NoConfig,
            Rejection::NoKey,
        ]
    }

    #[test]
    fn a_status_says_whether_the_same_may_be_sent_again_and_when() {
        for rejection in all() {
            let reply = rejection.reply();
            let after = reply.headers.iter().find(|(name, _)| *name == "retry-after");
            let after = after.map(|(_, value)| value.as_str());
            let expect = match &rejection {
                Rejection::Limited { .. } => (429, Some("3")),
                ours if is_ours(ours) => (503, Some("10")),
                theirs => {
                    assert!((400..500).contains(&reply.status), "{theirs:?}");
                    (reply.status, None)
                }
            };
            assert_eq!((reply.status, after), expect, "{rejection:?}");
        }
    }

    #[test]
    fn each_cause_has_a_label_of_its_own_and_a_text() {
        let mut labels: Vec<&str> = all().iter().map(|rejection| rejection.status().1).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), all().len());
        assert!(all().iter().all(|rejection| !rejection.to_string().is_empty()));
    }

    #[test]
    fn every_cause_that_a_source_is_known_for_is_kept_but_those_of_a_store_that_is_down() {
        for rejection in all() {
            let (_, label) = rejection.status();
            let is_nobodys =
                ["unknown_source", "not_durable", "no_config", "no_key"].contains(&label);
            assert_eq!(rejection.is_kept(), !is_nobodys, "{label}");
        }
    }

    #[test]
    fn the_sender_does_not_learn_why_it_was_not_believed() {
        let cause = Refused::NoSecret;
        let rejection = Rejection::Refused { status: 401, cause, custom: None, challenge: None };
        let body = String::from_utf8(rejection.reply().body).unwrap();
        assert_eq!(body, r#"{"message":"Request verification failed","status":false}"#);
        assert_eq!(rejection.detail(), "the source has no secret");
    }
}
