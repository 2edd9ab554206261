//! What a source has brought, as reads of it show.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::time::rfc3339;

/// A row of `source_counts`: how many events came, and when the last of them, Unix milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub struct SourceCount {
    pub source_id: String,
    pub events: u64,
    pub last_event_at: u64,
}

/// Adds to a source, as it is shown, its count. One without a row has brought nothing.
pub fn count_into(shown: &mut Value, source_id: &str, counts: &[SourceCount]) {
    let count = counts.iter().find(|count| count.source_id == source_id);
    let events = count.map_or(0, |count| count.events);
    let last = count.map(|count| rfc3339(count.last_event_at));
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("event_count".into(), json!(events));
        fields.insert("last_event_at".into(), json!(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_gets_its_own_count() {
        let mut sources = [json!({"uid": "a"}), json!({"uid": "b"})];
        let counts = [SourceCount { source_id: "b".into(), events: 7, last_event_at: 1_000 }];
        for (source, uid) in sources.iter_mut().zip(["a", "b"]) {
            count_into(source, uid, &counts);
        }
        let last = "1970-01-01T00:00:01.000Z";
        assert_eq!(sources[0], json!({"uid": "a", "event_count": 0, "last_event_at": null}));
        assert_eq!(sources[1], json!({"uid": "b", "event_count": 7, "last_event_at": last}));
    }
}
