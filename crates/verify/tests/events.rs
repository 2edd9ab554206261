//! What the events of each row are called, on a request as the provider sends it: `vectors/events.tsv`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it fails")]

use std::collections::HashSet;

use inlet_verify::{Hash, Headers, Request, catalogue, digest};

const EVENTS: &str = include_str!("../vectors/events.tsv");

/// Columns: row, headers, body, the parts of the dedup key, type; `-` for none. In the key, `{sha256}` is the hash of the
/// body; which alternative was taken, and how many items there are, are parts of it.
#[test]
fn every_row_names_its_events() {
    let (mut wrong, mut seen, mut names) = (Vec::new(), HashSet::new(), HashSet::new());
    for line in EVENTS.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        let [name, lines, body, key, kind] = columns[..] else { panic!("{line}") };
        let row = catalogue::find(name).unwrap();
        let form = ("content-type", "application/x-www-form-urlencoded");
        let is_form = !body.starts_with(['{', '[', '<']);
        let lines = lines.split("; ").filter_map(|line| line.split_once(": "));
        let headers: Headers = lines
            .chain(is_form.then_some(form))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let url = "https://hooks.example.com/in";
        let request = Request { method: "POST", url, headers: &headers, body: body.as_bytes() };
        let sha256 = hex::encode(digest(Hash::Sha256, &[body.as_bytes()]));
        let found =
            row.event_parts(&request).map(|parts| parts.join("|").replace(&sha256, "{sha256}"));
        let found = (found.as_deref().unwrap_or("-"), row.event_type(&request));
        let found = (found.0, found.1.as_deref().unwrap_or("-"));
        if found != (key, kind) {
            wrong.push(format!("{line}\n    {found:?}"));
        }
        // Two events of one provider are never one.
        let is_new = seen.insert((name, key.replace("{sha256}", &sha256)));
        assert!(is_new || key == "-", "{name}: {key}");
        names.insert(row.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for row in catalogue::all() {
        assert!(names.contains(row.name), "{} has no line", row.name);
    }
}
