//! What an answer says of what it points at: endpoints and sources, by name. What is gone has its id alone.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::endpoint::ContentType;

/// A row of [`crate::sql::pointed`].
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    kind: String,
    id: String,
    /// What is shown.
    shown: String,
}

/// What is shown of the endpoints and sources that one answer points at.
#[derive(Debug, Clone, Default)]
pub struct Pointed(Vec<(String, String, Value)>);

impl Pointed {
    pub fn new(rows: Vec<Row>) -> Self {
        let read = |row: Row| {
            let shown = serde_json::from_str(&row.shown).ok()?;
            Some((row.kind, row.id, shown))
        };
        Self(rows.into_iter().filter_map(read).collect())
    }

    fn find(&self, kind: &str, id: &str) -> Value {
        let found = self.0.iter().find(|(have, uid, _)| have == kind && uid == id);
        found.map_or_else(|| json!({"uid": id}), |(.., shown)| shown.clone())
    }

    pub fn endpoint(&self, id: &str) -> Value {
        self.find("endpoint", id)
    }

    pub fn source(&self, id: &str) -> Value {
        self.find("source", id)
    }

    /// What an endpoint takes.
    pub fn takes(&self, endpoint_id: &str) -> ContentType {
        let content_type = self.endpoint(endpoint_id).get("content_type").cloned();
        content_type.and_then(|name| serde_json::from_value(name).ok()).unwrap_or_default()
    }

    /// Lays over a delivery or a subscription, as it is shown, what is at both its ends.
    pub fn lay_over(&self, shown: &mut Value, endpoint_id: &str, source_id: &str) {
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("endpoint_metadata".into(), self.endpoint(endpoint_id));
            fields.insert("source_metadata".into(), self.source(source_id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_named_and_what_is_gone_is_not() {
        let row = |kind: &str, id: &str, shown: Value| Row {
            kind: kind.into(),
            id: id.into(),
            shown: shown.to_string(),
        };
        let form = "application/x-www-form-urlencoded";
        let pointed = Pointed::new(vec![
            row("endpoint", "e", json!({"uid": "e", "name": "E", "content_type": form})),
            row("source", "s", json!({"uid": "s", "name": "S"})),
        ]);
        let mut shown = json!({});
        pointed.lay_over(&mut shown, "e", "s");
        assert_eq!(shown["endpoint_metadata"]["name"], "E");
        assert_eq!(shown["source_metadata"]["name"], "S");
        pointed.lay_over(&mut shown, "s", "");
        assert_eq!(shown["endpoint_metadata"], json!({"uid": "s"}), "an id is of one kind");
        assert_eq!(shown["source_metadata"], json!({"uid": ""}));
        assert!(pointed.takes("e") == ContentType::Form);
        assert!(pointed.takes("gone") == ContentType::Json);
    }
}
