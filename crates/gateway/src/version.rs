//! Versions of the API: a caller names the one it was written for in `X-Convoy-Version`. Only endpoints differ.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::api::{ApiError, one_json};
use crate::pace::seconds;

/// A version of the API; they are in the order of their dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Times are texts like `10s`, and signatures simple unless they are said to be advanced.
    V20240101,
    /// Endpoints have a `title` and a `target_url`.
    V20240401,
    V20251124,
}

/// What `X-Convoy-Version` calls the newest version.
pub const NEWEST: &str = "2025-11-24";

/// Fields that are times.
const TIMES: [&str; 2] = ["http_timeout", "rate_limit_duration"];
/// Names, and those that they had.
const NAMES: [(&str, &str); 2] = [("name", "title"), ("url", "target_url")];

impl Version {
    /// The version that a header names; the newest when there is none.
    pub fn of(header: &str) -> Result<Self, ApiError> {
        match header.trim() {
            "2024-01-01" => Ok(Self::V20240101),
            "2024-04-01" => Ok(Self::V20240401),
            NEWEST | "" => Ok(Self::V20251124),
            _ => Err(ApiError::bad_request("Invalid API version")),
        }
    }

    /// The version as `X-Convoy-Version` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V20240101 => "2024-01-01",
            Self::V20240401 => "2024-04-01",
            Self::V20251124 => NEWEST,
        }
    }

    /// The body of an endpoint's creation or change, as the newest version has it. The older names are always read.
    pub fn read_endpoint(self, body: &[u8], is_new: bool) -> Result<Cow<'_, [u8]>, ApiError> {
        if Self::V20240401 <= self {
            return Ok(Cow::Borrowed(body));
        }
        let Value::Object(mut fields) = one_json(body)? else {
            return Ok(Cow::Borrowed(body));
        };
        for name in TIMES {
            if let Some(value @ Value::String(_)) = fields.get_mut(name) {
                *value = seconds(value).map(Value::from).ok_or_else(|| {
                    ApiError::bad_request(format!("{name}:a time in whole seconds, like 10s or 1m"))
                })?;
            }
        }
        if is_new {
            fields.entry("advanced_signatures").or_insert(json!(false));
        }
        Ok(Cow::Owned(Value::Object(fields).to_string().into_bytes()))
    }

    /// An endpoint as this version shows it.
    pub fn show_endpoint(self, mut endpoint: Value) -> Value {
        let Some(fields) = endpoint.as_object_mut() else { return endpoint };
        if self < Self::V20251124 {
            for (name, older) in NAMES {
                if let Some(value) = fields.remove(name) {
                    fields.insert(older.to_owned(), value);
                }
            }
        }
        if self < Self::V20240401 {
            for name in TIMES {
                if let Some(value) = fields.get_mut(name) {
                    *value = json!(format!("{value}s"));
                }
            }
        }
        endpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_of_three() {
        assert_eq!(Version::of("").unwrap(), Version::V20251124);
        for name in ["2024-01-01", "2024-04-01", "2025-11-24"] {
            assert_eq!(Version::of(name).unwrap().name(), name);
        }
        for header in ["2024-02-30", "1", "2025-11-24x", "latest"] {
            assert_eq!(Version::of(header).unwrap_err().message, "Invalid API version");
        }
    }

    #[test]
    fn the_oldest_version_has_times_as_texts_and_simple_signatures() {
        let read = |body: &str, is_new| {
            let read = Version::V20240101.read_endpoint(body.as_bytes(), is_new)?;
            Ok::<Value, ApiError>(serde_json::from_slice(&read).unwrap())
        };
        assert_eq!(
            read(r#"{"title":"a","http_timeout":"1m30s","rate_limit_duration":5}"#, true).unwrap(),
            json!({"title": "a", "http_timeout": 90, "rate_limit_duration": 5, "advanced_signatures": false})
        );
        assert_eq!(read(r#"{"http_timeout":"7s"}"#, false).unwrap(), json!({"http_timeout": 7}));
        assert!(read(r#"{"http_timeout":"soon"}"#, true).is_err());
        let body = br#"{"http_timeout":"7s"}"#;
        assert_eq!(Version::V20240401.read_endpoint(body, true).unwrap(), &body[..]);
    }

    #[test]
    fn older_versions_show_the_older_names() {
        let endpoint =
            json!({"name": "a", "url": "u", "http_timeout": 10, "rate_limit_duration": 0});
        let show = |version: Version| version.show_endpoint(endpoint.clone());
        assert_eq!(show(Version::V20251124), endpoint);
        assert_eq!(
            show(Version::V20240401),
            json!({"title": "a", "target_url": "u", "http_timeout": 10, "rate_limit_duration": 0})
        );
        assert_eq!(
            show(Version::V20240101),
            json!({"title": "a", "target_url": "u", "http_timeout": "10s", "rate_limit_duration": "0s"})
        );
    }
}
