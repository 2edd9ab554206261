//! Event types out of an [OpenAPI](https://spec.openapis.org/oas/v3.1.1.html) document: each of its webhooks is one.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{EventType, checked_schema};
use crate::api::{ApiError, NAME_MAX_CHARS, TEXT_MAX_CHARS, check_length};
use crate::fields::{Fields, FromFields, check_line};
use crate::ids::Fill;
use crate::time;

/// Event types that one document makes.
const WEBHOOKS_MAX: usize = 500;
/// References that lead to each other.
const HOPS_MAX: usize = 16;
const SCHEMAS: &str = "#/components/schemas/";

/// The body of `POST /event-types/import`.
#[derive(Debug)]
pub struct ImportInput {
    spec: Option<Value>,
}

impl FromFields for ImportInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { spec: fields.raw("spec") })
    }
}

/// What a document says of one event type.
#[derive(Debug, PartialEq)]
pub struct Imported {
    name: String,
    description: String,
    json_schema: Option<Value>,
}

fn refused(what: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("spec:{what}"))
}

/// A document, or what has to be read before it is one.
#[derive(Debug)]
pub enum Spec {
    Read(Document),
    /// A text in YAML, which is read outside: see [`Document::of_yaml`].
    Yaml(String),
}

impl ImportInput {
    pub fn spec(self) -> Result<Spec, ApiError> {
        Ok(Spec::Read(Document(match self.spec {
            None => return Err(refused("please provide an OpenAPI document")),
            Some(Value::String(text)) if text.trim_start().starts_with('{') => {
                serde_json::from_str(&text)
                    .map_err(|error| refused(format!("not JSON: {error}")))?
            }
            Some(Value::String(text)) => return Ok(Spec::Yaml(text)),
            Some(document) => document,
        })))
    }
}

/// An `OpenAPI` document, perhaps.
#[derive(Debug)]
pub struct Document(Value);

impl Document {
    /// `answer` is what the reader of YAML says: `=` and the JSON, or `!` and what is wrong, and where.
    pub fn of_yaml(answer: &str) -> Result<Self, ApiError> {
        let fault = |what: &dyn std::fmt::Display| refused(format!("not YAML: {what}"));
        match answer.strip_prefix('=') {
            Some(text) => serde_json::from_str(text).map(Self).map_err(|error| fault(&error)),
            None => Err(fault(&answer.trim_start_matches('!'))),
        }
    }

    /// All webhooks of the document, or why it cannot be used.
    pub fn read(&self) -> Result<Vec<Imported>, ApiError> {
        let Self(document) = self;
        let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
        if !version.starts_with("3.") {
            return Err(refused("a document of OpenAPI 3 is expected"));
        }
        let webhooks = document.get("webhooks").or_else(|| document.get("x-webhooks"));
        let webhooks = webhooks.and_then(Value::as_object).filter(|webhooks| !webhooks.is_empty());
        let webhooks = webhooks.ok_or_else(|| refused("there are no webhooks in it"))?;
        if WEBHOOKS_MAX < webhooks.len() {
            return Err(refused(format!("at most {WEBHOOKS_MAX} webhooks")));
        }
        webhooks.iter().map(|(name, item)| webhook(document, name, item)).collect()
    }
}

fn webhook(document: &Value, name: &str, item: &Value) -> Result<Imported, ApiError> {
    let at = |what: String| refused(format!("webhooks.{name}: {what}"));
    if name.trim().is_empty() {
        return Err(refused("a webhook needs a name"));
    }
    check_length("spec:webhooks", name, NAME_MAX_CHARS)?;
    check_line("spec:webhooks", name)?;
    let item = resolved(document, item).map_err(at)?;
    let methods = ["post", "put", "patch", "get", "delete"];
    let Some(operation) = methods.iter().find_map(|method| item.get(method)) else {
        return Err(at("has no operation".into()));
    };
    let text =
        |name: &str| operation.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let description = text("description").or_else(|| text("summary")).unwrap_or_default();
    let mut imported = Imported {
        name: name.trim().to_owned(),
        description: description.chars().take(TEXT_MAX_CHARS).collect(),
        json_schema: None,
    };
    let Some(body) = operation.get("requestBody") else { return Ok(imported) };
    let body = resolved(document, body).map_err(at)?;
    let contents = body.get("content").and_then(Value::as_object).into_iter().flatten();
    let mut json = contents.filter(|(kind, _)| kind.to_ascii_lowercase().contains("json"));
    if let Some(schema) = json.find_map(|(_, content)| content.get("schema")) {
        let own = own_schema(document, schema).map_err(at)?;
        imported.json_schema = checked_schema("spec", own).map_err(|error| at(error.message))?;
    }
    Ok(imported)
}

/// What a reference within the document leads to.
fn resolved<'d>(document: &'d Value, mut value: &'d Value) -> Result<&'d Value, String> {
    for _ in 0..HOPS_MAX {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Ok(value) };
        let place = reference.strip_prefix('#');
        value = place
            .and_then(|place| document.pointer(place))
            .ok_or_else(|| format!("there is nothing at {reference} in the document"))?;
    }
    Err("references that lead to each other".into())
}

/// A schema that stands for itself: what it refers to in the document comes along as `$defs`.
fn own_schema(document: &Value, schema: &Value) -> Result<Value, String> {
    let mut names = BTreeSet::new();
    let mut own = translated(schema, &mut names)?;
    let mut defs = Map::new();
    while let Some(name) = names.iter().find(|name| !defs.contains_key(*name)).cloned() {
        let found = document.pointer(&format!("/components/schemas/{name}"));
        let found =
            found.ok_or_else(|| format!("there is nothing at {SCHEMAS}{name} in the document"))?;
        let def = translated(found, &mut names)?;
        defs.insert(name, def);
    }
    if !defs.is_empty() {
        // Names are as they are written in a pointer; as a key each is the name itself.
        let defs: Map<String, Value> = defs
            .into_iter()
            .map(|(name, def)| (name.replace("~1", "/").replace("~0", "~"), def))
            .collect();
        match own.as_object_mut() {
            Some(fields) => fields.insert("$defs".into(), defs.into()),
            None => return Err("the schema of a payload is an object".into()),
        };
    }
    Ok(own)
}

/// A schema in the words of JSON Schema. `OpenAPI` 3.0 has a few of its own.
fn translated(schema: &Value, names: &mut BTreeSet<String>) -> Result<Value, String> {
    let Value::Object(fields) = schema else { return Ok(schema.clone()) };
    let mut made = Map::new();
    for (keyword, value) in fields {
        let value = match (keyword.as_str(), value) {
            ("$ref", Value::String(reference)) => {
                let Some(name) = reference.strip_prefix(SCHEMAS) else {
                    return Err(format!("{reference} is not in {SCHEMAS}"));
                };
                names.insert(name.to_owned());
                json!(format!("#/$defs/{name}"))
            }
            ("properties" | "patternProperties", Value::Object(inner)) => {
                let inner =
                    inner.iter().map(|(name, one)| Ok((name.clone(), translated(one, names)?)));
                Value::Object(inner.collect::<Result<_, String>>()?)
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(inner)) => {
                inner.iter().map(|one| translated(one, names)).collect::<Result<_, _>>()?
            }
            (
                "items"
                | "additionalProperties"
                | "not"
                | "contains"
                | "propertyNames"
                | "if"
                | "then"
                | "else",
                inner,
            ) => translated(inner, names)?,
            // Which of several schemas is meant follows from the schemas.
            ("nullable" | "discriminator", _) => continue,
            ("exclusiveMinimum" | "exclusiveMaximum", Value::Bool(_)) => continue,
            (_, value) => value.clone(),
        };
        made.insert(keyword.clone(), value);
    }
    let is_true = |name: &str| fields.get(name) == Some(&Value::Bool(true));
    for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if is_true(flag)
            && let Some(bound) = made.remove(bound)
        {
            made.insert(flag.into(), bound);
        }
    }
    if is_true("nullable") {
        let rest = Value::Object(made);
        return Ok(json!({"anyOf": [{"type": "null"}, rest]}));
    }
    Ok(Value::Object(made))
}

/// Lays what was imported over the types that are there: `(changed, new)`, and when those were last changed.
pub fn apply(
    imported: Vec<Imported>,
    mut known: Vec<EventType>,
    project_id: &str,
    now_ms: u64,
    fill: Fill<'_>,
) -> (Vec<(EventType, u64)>, Vec<EventType>) {
    let (mut changed, mut new) = (Vec::new(), Vec::new());
    for one in imported {
        let at = known.iter().position(|known| known.name == one.name);
        let is_new = at.is_none();
        let mut made = match at {
            Some(at) => known.swap_remove(at),
            None => EventType::named(&one.name, project_id, now_ms, &mut *fill),
        };
        let before = made.updated_at;
        (made.description, made.json_schema) = (one.description, one.json_schema);
        if is_new {
            new.push(made);
        } else {
            made.updated_at = time::after(now_ms, before);
            changed.push((made, before));
        }
    }
    (changed, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: Value) -> Result<Vec<Imported>, String> {
        let document = match (ImportInput { spec: Some(spec) }.spec()) {
            Ok(Spec::Read(document)) => Ok(document),
            Ok(Spec::Yaml(answer)) => Document::of_yaml(&answer),
            Err(error) => Err(error),
        };
        document.and_then(|document| document.read()).map_err(|error| error.message)
    }

    fn document(schema: Value) -> Value {
        json!({"openapi": "3.1.0", "webhooks": {"order.paid": {"post": {"summary": "An order is paid",
            "requestBody": {"content": {"application/json": {"schema": schema}}}}}},
            "components": {"schemas": {
                "Order": {"type": "object", "required": ["id"], "properties": {
                    "id": {"type": "string"}, "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}}}},
                "Line": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Line"}, "n": {"type": "integer", "format": "int32"}}}}}})
    }

    #[test]
    fn a_webhook_is_an_event_type_with_all_that_its_schema_refers_to() {
        let spec = document(json!({"$ref": "#/components/schemas/Order"}));
        let imported = read(spec.to_string().into()).unwrap();
        assert_eq!(
            (imported[0].name.as_str(), imported[0].description.as_str()),
            ("order.paid", "An order is paid")
        );
        let schema =
            crate::schema::Schema::read(imported[0].json_schema.as_ref().unwrap()).unwrap();
        let faults = |payload: Value| {
            schema.check(&payload).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(faults(json!({"id": "1", "lines": [{"next": {"n": 1}}]})), [""; 0]);
        assert_eq!(
            faults(json!({"lines": [{"next": {"n": "1"}}]})),
            ["at /id: is required", "at /lines/0/next/n: must be integer"]
        );
        assert_eq!(read(spec).unwrap(), imported);
    }

    #[test]
    fn the_words_of_openapi_3_0_are_translated() {
        let spec = document(
            json!({"type": "object", "discriminator": {"propertyName": "k"}, "properties": {
            "a": {"type": "string", "nullable": true}, "b": {"minimum": 1, "exclusiveMinimum": true}, "nullable": {"type": "boolean"}}}),
        );
        let imported = read(spec).unwrap();
        let schema =
            crate::schema::Schema::read(imported[0].json_schema.as_ref().unwrap()).unwrap();
        assert!(schema.check(&json!({"a": null, "b": 2, "nullable": true})).is_empty());
        assert_eq!(schema.check(&json!({"a": 1, "b": 1, "nullable": 1})).len(), 3);
    }

    #[test]
    fn a_document_that_cannot_be_used_says_why() {
        for (spec, expect) in [
            (json!("{"), "spec:not JSON: EOF while parsing an object at line 1 column 1"),
            (
                json!("!bad indentation at line 2 column 4"),
                "spec:not YAML: bad indentation at line 2 column 4",
            ),
            (json!("=["), "spec:not YAML: EOF while parsing a list at line 1 column 1"),
            (json!("=3"), "spec:a document of OpenAPI 3 is expected"),
            (json!({"swagger": "2.0"}), "spec:a document of OpenAPI 3 is expected"),
            (json!({"openapi": "3.0.0", "paths": {}}), "spec:there are no webhooks in it"),
            (
                json!({"openapi": "3.1.0", "webhooks": {"a": {}}}),
                "spec:webhooks.a: has no operation",
            ),
            (
                json!({"openapi": "3.1.0", "webhooks": {"a": {"$ref": "#/x"}}}),
                "spec:webhooks.a: there is nothing at #/x in the document",
            ),
            (
                document(json!({"$ref": "#/components/schemas/None"})),
                "spec:webhooks.order.paid: there is nothing at #/components/schemas/None in the document",
            ),
            (
                document(json!({"type": "text"})),
                "spec:webhooks.order.paid: invalid JSON schema: at /type: one of null, boolean, integer, number, string, array and object is expected",
            ),
        ] {
            assert_eq!(read(spec).unwrap_err(), expect);
        }
        let circle = json!({"openapi": "3.1.0", "x-webhooks": {"a": {"$ref": "#/x-webhooks/a"}}});
        assert_eq!(
            read(circle).unwrap_err(),
            "spec:webhooks.a: references that lead to each other"
        );
    }
}
