//! The schemas that what a source brings is checked with.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::schema::Schema;

/// JSON schemas by event type. Each is read when its first event comes: a source is compiled often, and most types
/// are of other sources.
#[derive(Debug, Default)]
pub struct Shapes(BTreeMap<String, (Value, OnceCell<Option<Schema>>)>);

impl Shapes {
    pub fn new(schemas: BTreeMap<String, Value>) -> Self {
        let unread = |(name, schema)| (name, (schema, OnceCell::new()));
        Self(schemas.into_iter().map(unread).collect())
    }

    /// What is wrong with the payload of an event of this type. `payload` is only asked for when there is a schema; it
    /// is `None` when the body has no values.
    pub fn faults<'v>(
        &self,
        event_type: &str,
        payload: impl FnOnce() -> Option<&'v Value>,
    ) -> Vec<String> {
        let Some((written, read)) = self.0.get(event_type) else { return Vec::new() };
        match read.get_or_init(|| Schema::read(written).ok()) {
            Some(schema) => faults(schema, payload()),
            // It could be read when it was saved.
            None => Vec::new(),
        }
    }
}

const FAULT_MAX_CHARS: usize = 300;

/// What is wrong with a payload, as texts.
pub fn faults(schema: &Schema, payload: Option<&Value>) -> Vec<String> {
    match payload {
        // Names of the payload stand in them, as long as the sender made them.
        Some(payload) => schema
            .check(payload)
            .iter()
            .map(|fault| fault.to_string().chars().take(FAULT_MAX_CHARS).collect())
            .collect(),
        None => vec!["the body is not JSON".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_type_with_a_schema_costs_anything() {
        let shapes = Shapes::new(BTreeMap::from([("a".to_owned(), json!({"type": "object"}))]));
        assert_eq!(shapes.faults("b", || panic!("nobody looks at the payload")), [""; 0]);
        let (object, number) = (json!({}), json!(1));
        assert_eq!(shapes.faults("a", || Some(&object)), [""; 0]);
        assert_eq!(shapes.faults("a", || Some(&number)), ["at the root: must be object"]);
        assert_eq!(shapes.faults("a", || None), ["the body is not JSON"]);
    }
}
