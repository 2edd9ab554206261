//! The API keys of a project.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{ApiError, NAME_MAX_CHARS, check_length};
use crate::fields::{Fields, FromFields};
use crate::ids::{self, Fill};
use crate::project::Project;
use crate::time::{parse_rfc3339, rfc3339};

/// Keys of a project that are valid at a time.
pub const KEYS_MAX: usize = 100;
/// The longest overlap of an old key with a new one, in hours.
const OVERLAP_MAX_H: u64 = 8_760;

/// A key: `CO.` + 16 + `.` + 64 random characters. It is shown once; only its keyed hash is stored. Times are Unix milliseconds.
#[derive(Debug)]
pub struct NewApiKey {
    pub uid: String,
    /// Empty for the key that a project has by itself.
    pub name: String,
    pub key: String,
    /// `None`: never.
    pub expires_at: Option<u64>,
    pub created_at: u64,
}

impl NewApiKey {
    pub fn generate(now_ms: u64, fill: Fill<'_>) -> Self {
        let key = ids::key("CO.", &mut *fill);
        Self {
            uid: ids::uid(now_ms, fill),
            name: String::new(),
            key,
            expires_at: None,
            created_at: now_ms,
        }
    }

    /// A key beside the project's own.
    pub fn create(input: KeyInput, now_ms: u64, fill: Fill<'_>) -> Result<Self, ApiError> {
        let name = input.name.unwrap_or_default().trim().to_owned();
        if name.is_empty() {
            return Err(ApiError::bad_request("name:please provide a name for this key"));
        }
        check_length("name", &name, NAME_MAX_CHARS)?;
        let expires_at = match input.expires_at.as_deref() {
            None | Some("") => None,
            Some(text) => Some(parse_rfc3339(text).filter(|at| now_ms < *at).ok_or_else(|| {
                ApiError::bad_request("expires_at:a time to come like 2030-01-31T00:00:00Z")
            })?),
        };
        Ok(Self { name, expires_at, ..Self::generate(now_ms, fill) })
    }

    /// What of the key may be shown again.
    pub fn mask(&self) -> &str {
        self.key.split('.').nth(1).unwrap_or_default()
    }

    /// The key, in clear this one time.
    pub fn present(&self, project: &Project) -> Value {
        present(&self.uid, &self.name, &self.key, self.expires_at, self.created_at, project)
    }

    /// Convoy's answer to a new project: the project and its key.
    pub fn present_with(&self, project: &Project) -> Value {
        json!({"api_key": self.present(project), "project": project.present()})
    }
}

fn present(
    uid: &str,
    name: &str,
    key: &str,
    expires_at: Option<u64>,
    created_at: u64,
    project: &Project,
) -> Value {
    let own = format!("{}'s default key", project.name);
    json!({
        "uid": uid, "name": if name.is_empty() { &own } else { name }, "key": key, "key_type": "project",
        "role": {"type": "project_admin", "project": project.uid},
        "expires_at": expires_at.map(rfc3339), "created_at": rfc3339(created_at),
    })
}

/// A key as it is stored.
#[derive(Debug, Deserialize)]
pub struct StoredKey {
    id: String,
    name: String,
    mask: String,
    created_at: u64,
    expires_at: Option<u64>,
}

impl StoredKey {
    /// The key as the API shows it: masked.
    pub fn present(&self, project: &Project) -> Value {
        let key = match self.mask.as_str() {
            "" => "CO.********".to_owned(),
            mask => format!("CO.{mask}.********"),
        };
        present(&self.id, &self.name, &key, self.expires_at, self.created_at, project)
    }
}

/// The body of `POST /api-keys`.
#[derive(Debug)]
pub struct KeyInput {
    name: Option<String>,
    expires_at: Option<String>,
}

impl FromFields for KeyInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { name: fields.text("name")?, expires_at: fields.text("expires_at")? })
    }
}

/// The body of `PUT /security/keys/regenerate`.
#[derive(Debug, Default)]
pub struct RegenerateInput {
    expiration: Option<u64>,
}

impl FromFields for RegenerateInput {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { expiration: fields.number("expiration", 0..=OVERLAP_MAX_H)? })
    }
}

impl RegenerateInput {
    /// Until when the old key is valid: for `expiration` hours, or not at all any more.
    pub fn old_until(&self, now_ms: u64) -> Result<u64, ApiError> {
        let hours = self.expiration.unwrap_or(0);
        if OVERLAP_MAX_H < hours {
            return Err(ApiError::bad_request(format!("expiration:at most {OVERLAP_MAX_H} hours")));
        }
        Ok(now_ms.saturating_add(hours * 3_600_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    #[test]
    fn an_api_key_has_convoys_form() {
        let key = NewApiKey::generate(0, &mut |b| b.fill(9));
        let parts: Vec<_> = key.key.split('.').map(str::len).collect();
        assert_eq!(parts, [2, 16, 64]);
        assert!(key.key.starts_with(&format!("CO.{}.", key.mask())));
    }

    #[test]
    fn a_key_needs_a_name_and_an_end_that_is_to_come() {
        let create = |body: &str| {
            let input = parse(body.as_bytes()).unwrap();
            NewApiKey::create(input, 1_700_000_000_000, &mut |b| b.fill(9))
        };
        assert!(create("{}").unwrap_err().message.starts_with("name:"));
        for end in ["2020-01-01T00:00:00Z", "soon"] {
            let body = format!(r#"{{"name":"a","expires_at":"{end}"}}"#);
            assert!(create(&body).unwrap_err().message.starts_with("expires_at:"), "{end}");
        }
        let key = create(r#"{"name":"a","expires_at":"2030-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(key.expires_at, Some(1_893_456_000_000));
    }

    #[test]
    fn the_old_key_ends_at_once_or_after_some_hours() {
        let until = |body: &str| parse::<RegenerateInput>(body.as_bytes()).unwrap().old_until(5);
        assert_eq!(until("{}"), Ok(5));
        assert_eq!(until(r#"{"expiration":2}"#), Ok(7_200_005));
        assert!(until(r#"{"expiration":99999}"#).is_err());
    }
}
