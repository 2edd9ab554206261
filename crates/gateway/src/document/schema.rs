//! JSON schemas: of requests from what is read, of answers from what is shown.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::record::{Read, Readers};
use super::words::{self, Field};
use crate::fields::Kind;

/// A schema with its `default` said in words. Makers of types take a property with a `default` for one that is always there,
/// which in a request it is not.
pub(super) fn without_default(mut schema: Value) -> Value {
    let Value::Object(fields) = &mut schema else { return schema };
    let Some(default) = fields.remove("default") else { return schema };
    let default = match default {
        Value::String(text) => format!("Default: `{text}`."),
        other => format!("Default: `{other}`."),
    };
    let about = fields.get("description").and_then(Value::as_str).unwrap_or_default();
    let about = format!("{about} {default}").trim().to_owned();
    fields.insert("description".into(), about.into());
    schema
}

/// Lays the keywords of `more`, a JSON object, over a schema. `replace` stands for all that was inferred.
fn with(mut schema: Value, about: &str, more: &str) -> Value {
    let mut more: Map<String, Value> = if more.is_empty() { Map::new() } else { parsed(more) };
    if let Some(whole) = more.remove("replace") {
        schema = whole;
    }
    let Value::Object(fields) = &mut schema else { return schema };
    if !about.is_empty() {
        fields.insert("description".into(), json!(about));
    }
    fields.extend(more);
    without_default(schema)
}

fn parsed(text: &str) -> Map<String, Value> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => object,
        other => panic!("{text} is not a JSON object: {other:?}"),
    }
}

/// Says of every object of which nothing more is said that it may hold anything: makers of types take it for one that is empty.
pub(super) fn open_objects(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let is_object = match fields.get("type") {
                Some(Value::String(of)) => of == "object",
                Some(Value::Array(several)) => several.iter().any(|of| of == "object"),
                _ => false,
            };
            let none = |name: &str| match fields.get(name) {
                None => true,
                Some(of) => of.as_object().is_some_and(Map::is_empty),
            };
            if is_object && none("properties") && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".into(), json!(true));
            }
            let parts = fields.iter_mut().filter(|(name, _)| !name.starts_with("example"));
            parts.for_each(|(_, part)| open_objects(part));
        }
        Value::Array(items) => items.iter_mut().for_each(open_objects),
        _ => {}
    }
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The schema of everything that a reader reads.
pub(super) fn of_reader(name: &str, readers: &Readers) -> Value {
    let words = words::of(name, &words::requests());
    let mut properties = Map::new();
    for (field, read) in readers.get(name).into_iter().flatten() {
        let schema = match read {
            Read::Plain(Kind::Text) => json!({"type": "string"}),
            Read::Plain(Kind::Number) => json!({"type": "integer", "minimum": 0}),
            Read::Plain(Kind::Flag) => json!({"type": "boolean"}),
            Read::Plain(Kind::Texts) => json!({"type": "array", "items": {"type": "string"}}),
            Read::Plain(Kind::Raw) => json!({}),
            Read::Object(inner) => reference(inner),
            Read::Objects(inner) => json!({"type": "array", "items": reference(inner)}),
        };
        let about = words.iter().find(|(of, ..)| of == field);
        let (about, more) = about.map_or(("", ""), |(_, about, more)| (*about, *more));
        properties.insert(field.clone(), with(schema, about, more));
    }
    json!({"type": "object", "properties": properties})
}

/// The schema that all `samples` fit, with what is known beyond them.
pub(super) fn of_samples(name: &str, samples: &[Value]) -> Value {
    let words = words::of(name, &words::answers());
    let samples: Vec<&Value> = samples.iter().collect();
    infer("", &samples, &words)
}

fn infer(path: &str, samples: &[&Value], words: &[Field]) -> Value {
    let mut types: Vec<&str> = Vec::new();
    for sample in samples {
        let name = match sample {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !types.contains(&name) {
            types.push(name);
        }
    }
    types.sort_unstable();
    let mut schema = Map::new();
    match types.as_slice() {
        [] => {}
        [one] => drop(schema.insert("type".into(), json!(one))),
        several => drop(schema.insert("type".into(), json!(several))),
    }
    if types.contains(&"string") && path.ends_with("_at") {
        schema.insert("format".into(), json!("date-time"));
    }
    let items: Vec<&Value> =
        samples.iter().filter_map(|sample| sample.as_array()).flatten().collect();
    if !items.is_empty() {
        schema.insert("items".into(), infer(&format!("{path}[]"), &items, words));
    }
    let objects: Vec<&Map<String, Value>> =
        samples.iter().filter_map(|sample| sample.as_object()).collect();
    if !objects.is_empty() {
        let mut fields: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (field, value) in objects.iter().copied().flatten() {
            fields.entry(field).or_default().push(value);
        }
        let required: Vec<&str> = fields
            .iter()
            .filter(|(_, values)| values.len() == objects.len())
            .map(|(field, _)| *field)
            .collect();
        let properties: Map<String, Value> = fields
            .iter()
            .map(|(field, values)| {
                let path =
                    if path.is_empty() { (*field).to_owned() } else { format!("{path}.{field}") };
                ((*field).to_owned(), infer(&path, values, words))
            })
            .collect();
        schema.insert("properties".into(), Value::Object(properties));
        schema.insert("required".into(), json!(required));
    }
    let (about, more) = words
        .iter()
        .find(|(of, ..)| *of == path)
        .map_or(("", ""), |(_, about, more)| (*about, *more));
    with(Value::Object(schema), about, more)
}

/// The paths of all that `sample` holds, as `answers.txt` names them.
pub(super) fn paths(sample: &Value, at: &str, found: &mut Vec<String>) {
    match sample {
        Value::Object(fields) => {
            for (field, value) in fields {
                let path = if at.is_empty() { field.clone() } else { format!("{at}.{field}") };
                found.push(path.clone());
                paths(value, &path, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                paths(item, &format!("{at}[]"), found);
            }
        }
        _ => {}
    }
}
