//! The schemas that what a source brings is checked with.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::{Rc, Weak};

use serde_json::Value;

use crate::schema::Schema;

/// JSON schemas by event type. Each is read when its first event comes: a source is compiled often, and most types
/// are of other sources.
#[derive(Debug, Default)]
pub struct Shapes {
    by_type: BTreeMap<String, (Value, OnceCell<Option<Schema>>)>,
    /// Bytes of the schemas as they are written, and what tells them from others of the same project.
    bytes: usize,
    print: u64,
}

impl Shapes {
    pub fn new(schemas: BTreeMap<String, Value>) -> Self {
        let (bytes, print) = print_of(&schemas);
        let unread = |(name, schema)| (name, (schema, OnceCell::new()));
        Self { by_type: schemas.into_iter().map(unread).collect(), bytes, print }
    }

    /// Bytes of the schemas as they are written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is wrong with the payload of an event of this type. `payload` is only asked for when there is a schema; it
    /// is `None` when the body has no values.
    pub fn faults<'v>(
        &self,
        event_type: &str,
        payload: impl FnOnce() -> Option<&'v Value>,
    ) -> Vec<String> {
        let Some((written, read)) = self.by_type.get(event_type) else { return Vec::new() };
        match read.get_or_init(|| Schema::stored(written)) {
            Some(schema) => faults(schema, payload()),
            // It could be read when it was saved.
            None => Vec::new(),
        }
    }
}

fn print_of(schemas: &BTreeMap<String, Value>) -> (usize, u64) {
    let mut hasher = DefaultHasher::new();
    let mut bytes = 0;
    for (name, schema) in schemas {
        let schema = schema.to_string();
        bytes += name.len() + schema.len();
        (name, schema).hash(&mut hasher);
    }
    (bytes, hasher.finish())
}

/// Projects of which nothing is held any more are forgotten from this many on.
const PROJECTS_MAX: usize = 1_000;

/// The schemas of projects: each once, however many of its sources are held.
#[derive(Debug, Default)]
pub struct Shared(HashMap<String, Weak<Shapes>>);

impl Shared {
    pub fn of(&mut self, project_id: &str, schemas: BTreeMap<String, Value>) -> Rc<Shapes> {
        if schemas.is_empty() {
            return Rc::default();
        }
        let held = self.0.get(project_id).and_then(Weak::upgrade);
        if let Some(held) = held.filter(|held| (held.bytes, held.print) == print_of(&schemas)) {
            return held;
        }
        if PROJECTS_MAX <= self.0.len() {
            self.0.retain(|_, held| 0 < held.strong_count());
        }
        let shapes = Rc::new(Shapes::new(schemas));
        self.0.insert(project_id.to_owned(), Rc::downgrade(&shapes));
        shapes
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
    fn the_schemas_of_a_project_are_held_once_until_they_change() {
        let of = |kind: &str| BTreeMap::from([("a".to_owned(), json!({"type": kind}))]);
        let mut shared = Shared::default();
        let first = shared.of("p", of("object"));
        assert!(Rc::ptr_eq(&first, &shared.of("p", of("object"))));
        assert!(!Rc::ptr_eq(&first, &shared.of("q", of("object"))), "no two projects share");
        let second = shared.of("p", of("number"));
        assert!(!Rc::ptr_eq(&first, &second), "a change");
        assert!(Rc::ptr_eq(&second, &shared.of("p", of("number"))));
        assert_eq!((first.bytes(), shared.of("p", BTreeMap::new()).bytes()), (18, 0));
        drop((first, second));
        for n in 0..PROJECTS_MAX {
            shared.of(&n.to_string(), of("object"));
        }
        assert!(shared.0.len() <= PROJECTS_MAX, "what nobody uses is forgotten");
    }

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
