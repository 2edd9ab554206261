//! The document of the API says what the gateway does: its paths, what it reads, what it shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use inlet_gateway::document::{
    COMMAND, FILE, generate, operations, parameters, routes, taken_by_any_method, undescribed,
};
use inlet_gateway::search::{Kind, Search};
use serde_json::Value;

#[test]
fn every_route_is_documented_and_every_documented_route_is_there() {
    let mut documented = BTreeSet::new();
    for operation in operations() {
        if !taken_by_any_method(&operation.path) {
            documented.insert((operation.method.to_owned(), operation.path.clone()));
        }
    }
    let routes = routes();
    let missing: Vec<_> = routes.difference(&documented).collect();
    assert!(missing.is_empty(), "no entry in crates/gateway/src/document/operations: {missing:?}");
    let gone: Vec<_> = documented.difference(&routes).collect();
    assert!(gone.is_empty(), "documented, and not in crates/gateway/src/routes.rs: {gone:?}");
}

#[test]
fn every_field_is_described_and_every_described_field_is_there() {
    let wrong = undescribed();
    assert!(
        wrong.is_empty(),
        "mend crates/gateway/src/document/requests.txt or answers.txt:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_example_of_a_body_is_taken_by_its_reader() {
    for operation in operations() {
        for (name, example) in operation.body.iter().flat_map(|body| &body.examples) {
            let body = operation.body.as_ref().unwrap();
            let read = (body.check)(example.to_string().as_bytes());
            assert!(read.is_ok(), "{} {name}: {read:?}", operation.id);
            let badly_formed = (body.check)(b"{");
            assert!(badly_formed.is_err(), "{} takes anything", operation.id);
        }
    }
}

#[test]
fn the_parameters_of_searches_are_those_that_are_read() {
    let mut checked = 0;
    for operation in operations() {
        let read = match operation.id {
            "listEvents" => parameters(|| drop(Search::events(""))),
            "listDeadLetters" => {
                let mut read = parameters(|| drop(Search::dead_letters("")));
                // Newest first, always.
                read.remove("sort");
                read
            }
            "listMetaEvents" => parameters(|| drop(Search::of_dates(Kind::Events, ""))),
            "listDeliveries" | "retryDeliveries" | "countRetry" => {
                parameters(|| drop(Search::deliveries("")))
            }
            _ => continue,
        };
        checked += 1;
        // A page that goes on reads one cursor, one that goes back the other.
        let back = parameters(|| drop(Search::events("direction=prev")));
        let cursors = back.into_iter().filter(|name| name.ends_with("_cursor"));
        let read: BTreeSet<String> = read.into_iter().chain(cursors).collect();
        let documented: BTreeSet<String> =
            operation.query.iter().map(|parameter| parameter.name.to_owned()).collect();
        assert_eq!(documented, read, "{}", operation.id);
    }
    assert_eq!(checked, 6);
}

#[test]
fn names_are_unique_and_references_lead_somewhere() {
    let document = generate();
    let mut ids = BTreeSet::new();
    let known = document["tags"].as_array().unwrap();
    for operation in operations() {
        assert!(ids.insert(operation.id), "{} stands twice", operation.id);
        assert!(known.iter().any(|tag| tag["name"] == operation.tag), "{}", operation.tag);
        let documented = &document["paths"][&operation.path][operation.method.to_ascii_lowercase()];
        assert!(documented["responses"].is_object(), "{} answers nothing", operation.id);
    }
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// What the Worker serves.
#[test]
fn the_file_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FILE);
    let kept = fs::read_to_string(path).unwrap_or_default();
    let current = generate().to_string();
    let is_current = kept.trim_end() == current;
    assert!(is_current, "{FILE} is out of date; write it anew: {COMMAND}");
}
