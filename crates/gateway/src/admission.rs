//! What a source takes in: from where, how much, until when, and what it has to look like.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::ApiError;
use crate::cidr::Block;
use crate::event_type::checked_schema;
use crate::fields::Fields;
use crate::pace::{RateLimit, RateLimitInput};
use crate::rejection::Rejection;
use crate::schema::Schema;
use crate::time::{parse_rfc3339, rfc3339};

/// Blocks of one list.
const BLOCKS_MAX: usize = 200;
pub(crate) const REQUESTS_MAX: u64 = 1_000_000_000;

/// The limits of a source, as they are stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Admission {
    /// Blocks of addresses; the first list wins, and an empty one says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_denylist: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_allowlist: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Events that it takes in, in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<Value>,
    /// Whether what does not fit is only noted.
    #[serde(default)]
    pub schema_warns: bool,
    /// Whether the schema is only kept.
    #[serde(default)]
    pub is_schema_off: bool,
}

/// The fields of a source that say what it takes in.
#[derive(Debug, Default)]
pub struct AdmissionInput {
    ip_allowlist: Option<Vec<String>>,
    ip_denylist: Option<Vec<String>>,
    rate_limit: Option<RateLimitInput>,
    expires_at: Option<String>,
    max_requests: Option<u64>,
    json_schema: Option<Value>,
    json_schema_action: Option<String>,
}

impl AdmissionInput {
    pub fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            ip_allowlist: fields.texts("ip_allowlist")?,
            ip_denylist: fields.texts("ip_denylist")?,
            rate_limit: fields.object("rate_limit")?,
            expires_at: fields.text("expires_at")?,
            max_requests: fields.number("max_requests", 0..=REQUESTS_MAX)?,
            json_schema: fields.raw("json_schema"),
            json_schema_action: fields.text("json_schema_action")?,
        })
    }
}

impl Admission {
    /// Applies an update; what is left out stays. An empty list, a count of 0, `""` and `{}` take a limit away.
    pub fn change(&mut self, input: AdmissionInput) -> Result<(), ApiError> {
        for (field, given, stored) in [
            ("ip_allowlist", input.ip_allowlist, &mut self.ip_allowlist),
            ("ip_denylist", input.ip_denylist, &mut self.ip_denylist),
        ] {
            if let Some(given) = given {
                if BLOCKS_MAX < given.len() {
                    return Err(ApiError::bad_request(format!("{field}:at most {BLOCKS_MAX}")));
                }
                let read = |text: &String| match Block::parse(text) {
                    Ok(block) => Ok(block.to_string()),
                    Err(why) => Err(ApiError::bad_request(format!("{field}:{why}"))),
                };
                *stored = given.iter().map(read).collect::<Result<_, _>>()?;
            }
        }
        if let Some(limit) = input.rate_limit {
            self.rate_limit = limit.read_as("rate_limit")?;
        }
        match input.expires_at.as_deref() {
            None => {}
            Some("") => self.expires_at = None,
            Some(text) => {
                self.expires_at = Some(parse_rfc3339(text).ok_or_else(|| {
                    ApiError::bad_request("expires_at:a time like 2030-01-31T00:00:00Z")
                })?);
            }
        }
        if let Some(count) = input.max_requests {
            if REQUESTS_MAX < count {
                return Err(ApiError::bad_request(format!("max_requests:at most {REQUESTS_MAX}")));
            }
            self.max_requests = Some(count).filter(|count| 0 < *count);
        }
        if let Some(schema) = input.json_schema {
            self.json_schema = checked_schema("json_schema", schema)?;
        }
        match input.json_schema_action.as_deref() {
            None | Some("") => {}
            Some(action @ ("reject" | "warn")) => {
                (self.schema_warns, self.is_schema_off) = (action == "warn", false);
            }
            Some("off") => self.is_schema_off = true,
            Some(_) => {
                return Err(ApiError::bad_request("json_schema_action:reject, warn or off"));
            }
        }
        Ok(())
    }

    /// Refuses limits of a source that reads a broker: what comes from there is taken as it comes.
    pub fn check_none(&self) -> Result<(), ApiError> {
        for (field, given, instead) in [
            ("ip_allowlist", !self.ip_allowlist.is_empty(), "messages come from a broker"),
            ("ip_denylist", !self.ip_denylist.is_empty(), "messages come from a broker"),
            (
                "rate_limit",
                self.rate_limit.is_some(),
                "the companion takes what the gateway can take; endpoints and subscriptions have limits",
            ),
            ("expires_at", self.expires_at.is_some(), "disable the source, or delete it"),
            ("max_requests", self.max_requests.is_some(), "disable the source, or delete it"),
            ("json_schema", self.json_schema.is_some(), "event types have schemas"),
        ] {
            if given {
                return Err(ApiError::bad_request(format!(
                    "{field} has no effect on a pub_sub source: {instead}"
                )));
            }
        }
        Ok(())
    }

    /// Adds the limits to a source as the API shows it.
    pub fn present_into(&self, source: &mut Value) {
        let Some(fields) = source.as_object_mut() else { return };
        let action = match (self.is_schema_off, self.schema_warns) {
            (true, _) => "off",
            (false, true) => "warn",
            (false, false) => "reject",
        };
        for (name, value) in [
            ("ip_allowlist", json!(self.ip_allowlist)),
            ("ip_denylist", json!(self.ip_denylist)),
            (
                "rate_limit",
                self.rate_limit.map_or(json!({"count": 0, "duration": 0}), RateLimit::present),
            ),
            ("expires_at", json!(self.expires_at.map(rfc3339))),
            ("max_requests", json!(self.max_requests)),
            ("json_schema", json!(self.json_schema)),
            ("json_schema_action", json!(action)),
        ] {
            fields.insert(name.to_owned(), value);
        }
    }
}

/// The limits of a source, ready for use.
#[derive(Debug)]
pub struct Gate {
    allowed: Vec<Block>,
    denied: Vec<Block>,
    expires_at: Option<u64>,
    pub schema: Option<Schema>,
}

impl Gate {
    pub fn new(admission: &Admission) -> Self {
        let blocks =
            |list: &[String]| list.iter().filter_map(|text| Block::parse(text).ok()).collect();
        let schema = admission.json_schema.as_ref().filter(|_| !admission.is_schema_off);
        Self {
            allowed: blocks(&admission.ip_allowlist),
            denied: blocks(&admission.ip_denylist),
            expires_at: admission.expires_at,
            schema: schema.and_then(Schema::stored),
        }
    }

    /// Whether a request may come in at all. `client` is the address it comes from, where that is known; it is only asked
    /// for when there is a list.
    pub fn check(
        &self,
        client: impl FnOnce() -> Option<String>,
        now_ms: u64,
    ) -> Result<(), Rejection> {
        if self.expires_at.is_some_and(|end| end <= now_ms) {
            return Err(Rejection::Expired);
        }
        if self.allowed.is_empty() && self.denied.is_empty() {
            return Ok(());
        }
        let client: Option<IpAddr> = client().and_then(|text| text.trim().parse().ok());
        let is_in = |blocks: &[Block]| {
            client.is_some_and(|client| blocks.iter().any(|block| block.holds(client)))
        };
        // A sender that cannot be told from those that are denied is not let in either.
        let is_denied = !self.denied.is_empty() && (client.is_none() || is_in(&self.denied));
        let is_allowed = self.allowed.is_empty() || is_in(&self.allowed);
        if is_denied || !is_allowed {
            return Err(Rejection::Address { client: client.map(|client| client.to_string()) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(body: &Value) -> Result<Admission, String> {
        let mut fields = Fields::of(String::new(), body.clone()).unwrap();
        let mut admission = Admission::default();
        let input = AdmissionInput::take(&mut fields).map_err(|error| error.message)?;
        admission.change(input).map_err(|error| error.message)?;
        Ok(admission)
    }

    fn check(body: &Value, client: Option<&str>, now_ms: u64) -> u16 {
        let gate = Gate::new(&admission(body).unwrap());
        match gate.check(|| client.map(str::to_owned), now_ms) {
            Ok(()) => 200,
            Err(rejection) => rejection.status().0,
        }
    }

    #[test]
    fn lists_of_addresses_decide_who_comes_in() {
        let allow = json!({"ip_allowlist": ["192.0.2.0/24", "2001:db8::/32"]});
        let deny = json!({"ip_denylist": ["192.0.2.0/24"]});
        let both = json!({"ip_allowlist": ["192.0.2.0/24"], "ip_denylist": ["192.0.2.7"]});
        for (lists, client, expect) in [
            (&allow, Some("192.0.2.1"), 200),
            (&allow, Some("2001:db8::7"), 200),
            (&allow, Some("198.51.100.1"), 403),
            (&allow, None, 403),
            (&allow, Some("unknown"), 403),
            (&deny, Some("192.0.2.1"), 403),
            (&deny, Some("::ffff:192.0.2.1"), 403),
            (&deny, Some("198.51.100.1"), 200),
            (&deny, None, 403),
            (&both, Some("192.0.2.6"), 200),
            (&both, Some("192.0.2.7"), 403),
        ] {
            assert_eq!(check(lists, client, 0), expect, "{lists} {client:?}");
        }
        let gate = Gate::new(&Admission::default());
        assert_eq!(gate.check(|| panic!("nobody asks for the address"), 0), Ok(()));
    }

    #[test]
    fn a_source_ends_when_it_says() {
        let until = json!({"expires_at": "1970-01-01T00:00:01Z"});
        assert_eq!((check(&until, None, 999), check(&until, None, 1_000)), (200, 410));
    }

    #[test]
    fn limits_that_mean_nothing_are_refused_and_can_be_taken_away() {
        for (body, expect) in [
            (
                json!({"ip_allowlist": ["192.0.2.1/24"]}),
                "ip_allowlist:192.0.2.1/24 begins at 192.0.2.0/24",
            ),
            (
                json!({"ip_denylist": [""]}),
                "ip_denylist: is neither an address nor a block of them",
            ),
            (
                json!({"rate_limit": {"count": 1, "duration": 0}}),
                "rate_limit.duration:seconds as a number, or a text like 10s; from 1 to 86400 seconds",
            ),
            (json!({"expires_at": "soon"}), "expires_at:a time like 2030-01-31T00:00:00Z"),
            (
                json!({"json_schema": {"type": "x"}}),
                "invalid JSON schema: at /type: one of null, boolean, integer, number, string, array and object is expected",
            ),
            (json!({"json_schema_action": "drop"}), "json_schema_action:reject, warn or off"),
            (
                json!({"max_requests": -1}),
                "max_requests:a whole number from 0 to 1000000000, in digits alone",
            ),
        ] {
            assert_eq!(admission(&body).unwrap_err(), expect, "{body}");
        }
        let full = json!({"ip_allowlist": ["192.0.2.1"], "rate_limit": {"count": 1, "duration": "10s"}, "max_requests": 5,
            "expires_at": "2030-01-31T00:00:00Z", "json_schema": {"type": "object"}, "json_schema_action": "warn"});
        let mut stored = admission(&full).unwrap();
        let mut shown = json!({});
        stored.present_into(&mut shown);
        assert_eq!(shown["ip_allowlist"], json!(["192.0.2.1/32"]));
        assert_eq!(
            admission(&shown).unwrap().max_requests,
            Some(5),
            "what is shown can be sent back"
        );
        let none = json!({"ip_allowlist": [], "rate_limit": {"count": 0}, "max_requests": 0, "expires_at": "", "json_schema": {}, "json_schema_action": "reject"});
        let input = AdmissionInput::take(&mut Fields::of(String::new(), none).unwrap()).unwrap();
        stored.change(input).unwrap();
        let mut shown = json!({});
        stored.present_into(&mut shown);
        let mut expect = json!({});
        Admission::default().present_into(&mut expect);
        assert_eq!(shown, expect);
    }
}
