//! The catalogue of providers, for people and dashboards.

use inlet_verify::{Confidence, Integrity, Provider, catalogue};
use serde_json::{Value, json};

/// All rows of which a name or an alias holds `search`, with case, spaces and hyphens aside.
pub fn list(search: &str) -> Value {
    let search = search.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    let holds = |row: &&&'static Provider| {
        row.name.contains(&search) || catalogue::aliases(row).any(|alias| alias.contains(&search))
    };
    catalogue::all().iter().filter(holds).map(|row| describe(row)).collect()
}

/// The row of that name or alias.
pub fn get(name: &str) -> Option<Value> {
    catalogue::find(&name.to_ascii_lowercase()).map(describe)
}

/// Said of rows whose places of id and type are from memory.
const UNCONFIRMED: &str = "no page that we could read says where the dedup key or the event type stands: look at an event of yours, and \
    set `idempotency_keys` or `event_type_location` on the source where it differs";

/// What protects the source of a provider that signs nothing.
const INSTEAD: &str = "a verifier of your own, which has to be chosen: `basic_auth` (user and password in the URL that the \
    provider is given), `api_key` (a header, where the provider lets you add one), `scheme` with the algorithm `token` \
    (`?token=…` in the URL), or `noop`, which relies on the URL itself being secret; an `ip_allowlist` helps with all";

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
    let place =
        |place: &Option<inlet_verify::Location>| place.as_ref().map(inlet_verify::Place::in_words);
    let reason = |text: &'static str| Some(text).filter(|text| !text.is_empty());
    let event_type = row.event_type.as_ref().map(inlet_verify::Place::as_type_in_words);
    let aliases: Vec<_> = catalogue::aliases(row).collect();
    let handshakes: Vec<_> = row.questions.iter().map(|question| question.in_words()).collect();
    let methods: &[&str] = if row.by_get { &["POST", "GET"] } else { &["POST"] };
    let instead = row.is_unsigned().then_some(INSTEAD);
    json!({
        "name": row.name, "aliases": aliases, "documentation": row.docs, "confidence": confidence, "mode": mode,
        "integrity": integrity, "algorithm": scheme.algorithm, "signature": scheme.places,
        "headers": scheme.headers, "timestamp": scheme.timestamp, "tolerance_seconds": scheme.tolerance_seconds, "secret": scheme.secret,
        "needs_secret": row.needs_secret(), "hands_over_secret": row.hands_over_secret(),
        "handshakes": handshakes, "has_handshake": !row.questions.is_empty(),
        "dedup_key": place(&row.event_id), "no_dedup_key": reason(row.no_event_id),
        "event_type": event_type, "no_event_type": reason(row.no_event_type),
        "unconfirmed": row.unconfirmed.then_some(UNCONFIRMED),
        "failure_status": row.failure_status, "note": row.note, "signs": !row.is_unsigned(), "protect_with": instead,
        "methods": methods,
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
        assert_eq!(get("twitter").unwrap()["aliases"], json!(["twitter"]));
        let found = list("Microsoft Teams");
        assert_eq!(found[0]["name"], "ms_teams_outgoing");
        assert!(get("twitter").is_some() && get("x").is_some());
        assert!(get("no-such").is_none());
    }

    #[test]
    fn every_part_of_a_place_is_named() {
        for (name, field, want) in [
            (
                "flutterwave_v3",
                "dedup_key",
                json!("`event` of the body with `data.id` of the body"),
            ),
            ("stripe", "timestamp", json!("`t=` in the signature header, in seconds")),
            ("slack", "headers", json!(["x-slack-request-timestamp", "x-slack-signature"])),
            ("braintree", "signature", json!(["form field `bt_signature`"])),
            ("twilio", "handshakes", json!([])),
            ("github", "timestamp", Value::Null),
        ] {
            assert_eq!(get(name).unwrap()[field], want, "{name}");
        }
    }

    #[test]
    fn who_signs_nothing_is_said_with_what_protects_instead() {
        for (name, signs) in [("strava", false), ("bitpay", false), ("github", true)] {
            let row = get(name).unwrap();
            assert_eq!((&row["signs"], row["protect_with"].is_string()), (&json!(signs), !signs));
        }
        assert_eq!(get("twilio").unwrap()["methods"], json!(["POST", "GET"]));
        assert_eq!(get("stripe").unwrap()["methods"], json!(["POST"]));
        assert_eq!(
            get("bitpay").unwrap()["mode"],
            "enforce",
            "the operator's own verifier is no hearsay"
        );
    }

    #[test]
    fn what_is_from_memory_says_so() {
        for (name, from_memory) in [("github", false), ("podium", true), ("oura", true)] {
            assert_eq!(get(name).unwrap()["unconfirmed"].is_string(), from_memory, "{name}");
        }
    }

    #[test]
    fn every_handshake_is_told_apart() {
        for row in catalogue::all() {
            let words: Vec<_> = row.questions.iter().map(|question| question.in_words()).collect();
            assert!(words.iter().all(|text| !text.is_empty()), "{}", row.name);
            let distinct: std::collections::HashSet<_> = words.iter().collect();
            assert_eq!(distinct.len(), words.len(), "{}", row.name);
        }
    }
}
