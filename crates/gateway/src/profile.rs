//! How a source is known beside its name, and which of its parts rest.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{ApiError, TEXT_MAX_CHARS, check_length};
use crate::fields::Fields;

const SLUG_MAX_CHARS: usize = 128;
/// Characters of a source's id that end the slug of one which was given none. A slug that is given does not end in those of
/// another source, so the two are never the same.
pub const SLUG_ID_CHARS: usize = 8;

/// How a source is known beside its name, and which of its parts rest, as it is stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Unique in the project; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub slug: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Of a source that takes nothing in: whether that is only for a while.
    #[serde(default)]
    pub is_paused: bool,
    /// Copies are events of their own, whatever is said of keys.
    #[serde(default)]
    pub is_dedup_disabled: bool,
    /// A test session that nobody has claimed: it goes some time after its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_session: bool,
}

/// The fields of a source that are read here.
#[derive(Debug, Default)]
pub struct ProfileInput {
    slug: Option<String>,
    description: Option<String>,
    pub(crate) is_dedup_disabled: Option<bool>,
}

impl ProfileInput {
    pub fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            slug: fields.text("slug")?,
            description: fields.text("description")?,
            is_dedup_disabled: fields.flag("is_dedup_disabled")?,
        })
    }
}

impl Profile {
    /// Applies an update; what is left out stays, and `""` takes a text away.
    pub fn change(&mut self, input: ProfileInput) -> Result<(), ApiError> {
        if let Some(slug) = input.slug {
            check_slug(&slug)?;
            self.slug = slug;
        }
        if let Some(description) = input.description {
            check_length("description", &description, TEXT_MAX_CHARS)?;
            self.description = description;
        }
        self.is_dedup_disabled = input.is_dedup_disabled.unwrap_or(self.is_dedup_disabled);
        Ok(())
    }

    pub fn status(&self, is_disabled: bool) -> &'static str {
        match (is_disabled, self.is_paused) {
            (false, _) => "active",
            (true, true) => "paused",
            (true, false) => "disabled",
        }
    }

    /// Adds what is stored here to a source as Convoy's dialect shows it.
    pub fn present_into(&self, source: &mut Value, is_disabled: bool) {
        let Some(fields) = source.as_object_mut() else { return };
        for (name, value) in [
            ("slug", json!(self.slug)),
            ("description", json!(self.description)),
            ("status", json!(self.status(is_disabled))),
            ("is_dedup_disabled", json!(self.is_dedup_disabled)),
        ] {
            fields.insert(name.to_owned(), value);
        }
    }
}

fn check_slug(slug: &str) -> Result<(), ApiError> {
    let fits = slug.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !fits || SLUG_MAX_CHARS < slug.len() {
        return Err(ApiError::bad_request(format!(
            "slug:lower-case letters, digits and hyphens (^[a-z0-9-]+$), at most {SLUG_MAX_CHARS}"
        )));
    }
    Ok(())
}

/// What another source of the project has already.
pub fn slug_taken(slug: &str) -> ApiError {
    ApiError::new(409, format!("slug:{slug} is that of another source of this project"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_goes_into_a_url_as_it_is() {
        let with = |slug: &str| {
            let mut fields = Fields::of(String::new(), json!({"slug": slug})).unwrap();
            Profile::default().change(ProfileInput::take(&mut fields).unwrap())
        };
        for slug in ["", "a", "my-source-2", &"a".repeat(128)] {
            assert!(with(slug).is_ok(), "{slug}");
        }
        for slug in ["A", "my source", "my_source", "ä", "a/b", &"a".repeat(129)] {
            let error = with(slug).unwrap_err();
            assert!(error.message.starts_with("slug:lower-case letters"), "{slug}");
        }
    }
}
