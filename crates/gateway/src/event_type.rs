//! Event types: the names of what happens in a project, and what the payloads of each look like.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{ApiError, Faults, NAME_MAX_CHARS, TEXT_MAX_CHARS, check_length};
use crate::fields::{Fields, FromFields};
use crate::ids::{self, Fill};
use crate::json;
use crate::push::Push;
use crate::schema::Schema;
use crate::time::{self, rfc3339};

pub mod import;

/// The type that stands for all of them; every project has it.
pub const ALL: &str = "*";
/// Bytes of all schemas of a project's event types: they travel to the edge with each of its sources.
pub const SCHEMAS_MAX_BYTES: usize = 262_144;

/// An event type, as it is stored. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventType {
    pub uid: String,
    pub project_id: String,
    pub name: String,
    pub category: String,
    pub description: String,
    /// What a payload has to look like to be taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<u64>,
    pub created_at: u64,
    pub updated_at: u64,
}

/// The body of `POST` and `PUT /event-types`.
#[derive(Debug, Default)]
pub struct EventTypeInput {
    name: Option<String>,
    category: Option<String>,
    description: Option<String>,
    json_schema: Option<Value>,
}

impl FromFields for EventTypeInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.text("name")?,
            category: fields.text("category")?,
            description: fields.text("description")?,
            json_schema: fields.raw("json_schema"),
        })
    }
}

impl EventType {
    /// A type that has nothing but its name.
    pub fn named(name: &str, project_id: &str, now_ms: u64, fill: Fill<'_>) -> Self {
        Self {
            uid: ids::uid(now_ms, fill),
            project_id: project_id.to_owned(),
            name: name.to_owned(),
            category: String::new(),
            description: String::new(),
            json_schema: None,
            deprecated_at: None,
            created_at: now_ms,
            updated_at: now_ms,
        }
    }

    pub fn create(
        input: EventTypeInput,
        project_id: &str,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Self, ApiError> {
        let name = input.name.as_deref().unwrap_or_default().trim().to_owned();
        let mut faults = Faults::default();
        if name.is_empty() {
            faults.add("name", "please provide a name for this event type");
        }
        faults.check()?;
        check_length("name", &name, NAME_MAX_CHARS)?;
        let mut made = Self::named(&name, project_id, now_ms, fill);
        made.apply(input)?;
        Ok(made)
    }

    /// Applies an update; what is left out stays. The name does not change: events that are stored bear it.
    pub fn update(&mut self, input: EventTypeInput, now_ms: u64) -> Result<(), ApiError> {
        if let Some(name) = input.name.as_deref().map(str::trim)
            && !name.is_empty()
            && name != self.name
        {
            return Err(ApiError::bad_request(
                "name:the name of an event type does not change; create another one",
            ));
        }
        self.apply(input)?;
        self.updated_at = time::after(now_ms, self.updated_at);
        Ok(())
    }

    fn apply(&mut self, input: EventTypeInput) -> Result<(), ApiError> {
        if let Some(category) = input.category {
            check_length("category", &category, NAME_MAX_CHARS)?;
            self.category = category;
        }
        if let Some(description) = input.description {
            check_length("description", &description, TEXT_MAX_CHARS)?;
            self.description = description;
        }
        if let Some(schema) = input.json_schema {
            let schema = checked_schema("json_schema", schema)?;
            if schema.is_some() && self.name == ALL {
                return Err(ApiError::bad_request(
                    "json_schema:* stands for all event types, and no event has it; give the types schemas of their own",
                ));
            }
            self.json_schema = schema;
        }
        Ok(())
    }

    /// Marks the type as one not to be used any more. Its events are taken in as before.
    pub fn deprecate(&mut self, now_ms: u64) {
        self.deprecated_at.get_or_insert(now_ms);
        self.updated_at = time::after(now_ms, self.updated_at);
    }

    /// The type as the API shows it.
    pub fn present(&self) -> Value {
        json!({
            "uid": self.uid, "project_id": self.project_id, "name": self.name, "category": self.category,
            "description": self.description, "json_schema": self.json_schema,
            "deprecated_at": self.deprecated_at.map(rfc3339),
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at),
        })
    }
}

/// The schemas of some event types, ready to check payloads.
#[derive(Debug, Default)]
pub struct Schemas(HashMap<String, Schema>);

impl Schemas {
    pub fn of(types: Vec<EventType>) -> Self {
        let read = |one: EventType| Some((one.name, Schema::stored(&one.json_schema?)?));
        Self(types.into_iter().filter_map(read).collect())
    }

    /// Refuses an event that does not fit the schema of its type.
    pub fn check(&self, push: &Push) -> Result<(), ApiError> {
        let Some(schema) = self.0.get(&push.event_type) else { return Ok(()) };
        let data = json::read_bytes(&push.data)
            .map_err(|error| ApiError::bad_request(format!("data:{error}")))?;
        let faults: Vec<String> = schema.check(&data).iter().map(ToString::to_string).collect();
        if faults.is_empty() {
            return Ok(());
        }
        Err(ApiError::bad_request(format!(
            "data does not fit the JSON schema of its event type: {}",
            faults.join(", ")
        )))
    }
}

/// A schema that can be used. One that asks for nothing (`{}`) is none.
pub fn checked_schema(field: &str, schema: Value) -> Result<Option<Value>, ApiError> {
    if !schema.is_object() {
        return Err(ApiError::bad_request(format!(
            "body contains incorrect JSON type for field \"{field}\""
        )));
    }
    if let Err(fault) = Schema::read(&schema) {
        return Err(ApiError::bad_request(format!("invalid JSON schema: {fault}")));
    }
    Ok(Some(schema).filter(|schema| *schema != json!({})))
}

/// Refuses schemas that are too large together. `others` are those that are stored.
pub fn check_sum(
    others: &[EventType],
    changed: &[EventType],
    new: &[EventType],
) -> Result<(), ApiError> {
    let size =
        |one: &EventType| one.json_schema.as_ref().map_or(0, |schema| schema.to_string().len());
    let names: BTreeSet<&str> = changed.iter().map(|one| one.name.as_str()).collect();
    let stays = |other: &&EventType| !names.contains(other.name.as_str());
    let sum: usize = others.iter().filter(stays).chain(changed).chain(new).map(size).sum();
    if SCHEMAS_MAX_BYTES < sum {
        return Err(ApiError::bad_request(format!(
            "json_schema:the schemas of a project's event types have at most {SCHEMAS_MAX_BYTES} bytes together"
        )));
    }
    Ok(())
}

/// The types that a subscription names, each once, to be made where they are not there yet.
pub fn of_subscription(
    names: &[String],
    project_id: &str,
    now_ms: u64,
    fill: Fill<'_>,
) -> Vec<EventType> {
    let names: BTreeSet<&str> =
        names.iter().map(String::as_str).filter(|name| *name != ALL).collect();
    let short = names.into_iter().filter(|name| name.chars().count() <= NAME_MAX_CHARS);
    short.map(|name| EventType::named(name, project_id, now_ms, &mut *fill)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn create(body: &str) -> Result<EventType, String> {
        let input = parse(body.as_bytes()).map_err(|error| error.message)?;
        EventType::create(input, "p", 5, &mut |b| b.fill(1)).map_err(|error| error.message)
    }

    #[test]
    fn a_type_needs_a_name_and_a_schema_that_can_be_used() {
        assert_eq!(create("{}").unwrap_err(), "name:please provide a name for this event type");
        let bad = r#"{"name":"a","json_schema":{"type":"text"}}"#;
        assert!(create(bad).unwrap_err().starts_with("invalid JSON schema: at /type: "));
        let wrong = r#"{"name":"a","json_schema":"{}"}"#;
        assert_eq!(
            create(wrong).unwrap_err(),
            "body contains incorrect JSON type for field \"json_schema\""
        );
        let all = create(r#"{"name":"*","json_schema":{"type":"object"}}"#).unwrap_err();
        assert!(all.starts_with("json_schema:* stands for all event types"), "{all}");
        assert!(create(r#"{"name":"*","json_schema":{}}"#).is_ok());
        assert_eq!(create(r#"{"name":"a","json_schema":{}}"#).unwrap().json_schema, None);
        assert!(create(&format!(r#"{{"name":"{}"}}"#, "x".repeat(257))).is_err());
    }

    #[test]
    fn a_type_changes_all_but_its_name() {
        let mut made =
            create(r#"{"name":"a","category":"c","json_schema":{"type":"object"}}"#).unwrap();
        let update = |body: &str| parse::<EventTypeInput>(body.as_bytes()).unwrap();
        assert!(made.update(update(r#"{"name":"b"}"#), 6).is_err());
        made.update(update(r#"{"name":"a","description":"d"}"#), 6).unwrap();
        assert_eq!((made.category.as_str(), made.description.as_str()), ("c", "d"));
        assert!(made.json_schema.is_some());
        made.update(update(r#"{"json_schema":{}}"#), 6).unwrap();
        assert_eq!(made.json_schema, None);
        made.deprecate(7);
        made.deprecate(8);
        assert_eq!(made.deprecated_at, Some(7));
    }

    #[test]
    fn a_subscription_names_its_types_once_and_never_all() {
        let names = ["b", "*", "a", "b"].map(str::to_owned);
        let made = of_subscription(&names, "p", 0, &mut |b| b.fill(1));
        let names: Vec<_> = made.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
