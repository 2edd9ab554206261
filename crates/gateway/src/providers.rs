//! The catalogue of providers, for people and dashboards.

use inlet_verify::{Confidence, Integrity, Provider, catalogue};
use serde_json::{Value, json};

/// All rows whose name holds `search`, case aside.
pub fn list(search: &str) -> Value {
    let search = search.trim().to_ascii_lowercase();
    let found = catalogue::all().iter().filter(|row| row.name.contains(&search));
    found.map(|row| describe(row)).collect()
}

/// The row of that name or alias.
pub fn get(name: &str) -> Option<Value> {
    catalogue::find(&name.to_ascii_lowercase()).map(describe)
}

fn describe(row: &Provider) -> Value {
    let confidence = match row.confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    };
    let integrity = match row.integrity {
        Integrity::Full => "full",
        Integrity::Partial => "partial",
        Integrity::None => "none",
    };
    let mode = if row.observe() { "observe" } else { "enforce" };
    let scheme = row.describe();
    let place = |place: &Option<inlet_verify::Location>| place.as_ref().map(ToString::to_string);
    json!({
        "name": row.name, "documentation": row.docs, "confidence": confidence, "mode": mode,
        "integrity": integrity, "algorithm": scheme.algorithm, "signature": scheme.places,
        "tolerance_seconds": scheme.tolerance_seconds, "secret": scheme.secret,
        "needs_secret": row.needs_secret(), "hands_over_secret": row.hands_over_secret(),
        "handshakes": row.questions.len(), "has_handshake": !row.questions.is_empty(),
        "dedup_key": place(&row.event_id), "event_type": place(&row.event_type),
        "failure_status": row.failure_status, "note": row.note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_where_it_is_documented_and_what_it_takes() {
        let all = list("");
        let rows = all.as_array().unwrap();
        assert!(250 < rows.len());
        for row in rows {
            for field in ["name", "documentation", "algorithm", "secret"] {
                assert!(!row[field].as_str().unwrap().is_empty(), "{row} has no {field}");
            }
            assert_eq!(get(row["name"].as_str().unwrap()).unwrap(), *row);
        }
    }

    #[test]
    fn rows_are_found_by_part_of_their_name_and_by_alias() {
        assert!(list("STRI").as_array().unwrap().iter().any(|row| row["name"] == "stripe"));
        assert_eq!(list("no such provider"), json!([]));
        assert_eq!(get("GitHub").unwrap()["dedup_key"], "header `x-github-delivery`");
        assert!(get("twitter").is_some() && get("x").is_some());
        assert!(get("no-such").is_none());
    }
}
