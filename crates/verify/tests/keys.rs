//! What is a copy, and so is dropped: a key that two events share loses the second.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it fails")]

use std::collections::BTreeSet;

use inlet_verify::{Place, Provider, catalogue};

/// Rows whose key holds neither the time of the event nor the whole body, and why two events of theirs have two keys:
/// by the provider's page where that could be read, else by what was written down of the provider. Columns: why, rows.
const WITHOUT: &str = include_str!("../vectors/keys.tsv");

/// The last words of paths under which senders say when it happened.
const TIMES: &str = "create_time createdAt created_at Date decisionTime eventDateUtc event_time event_timestamp event_triggered_at finished_at generatedDateTime lastActivity lastUpdated occurredAt run_updated_at started_at time timestamp ts updated updated_at";

/// The places of a key, once for each way to read it.
fn alternatives(place: Place<'static>) -> Vec<Vec<Place<'static>>> {
    match place {
        Place::First(places) => places.iter().copied().flat_map(alternatives).collect(),
        Place::All(places) => places.iter().fold(vec![vec![]], |all, place| {
            let next = alternatives(*place);
            let with = |have: Vec<_>| next.iter().map(move |more| [&have[..], more].concat());
            all.into_iter().flat_map(|have| with(have).collect::<Vec<_>>()).collect()
        }),
        place => vec![vec![place]],
    }
}

fn is_told_by_time_or_body(place: &Place<'static>) -> bool {
    let path = match place {
        Place::Whole => return true,
        Place::Body(path)
        | Place::Form(path)
        | Place::FormJson(_, path)
        | Place::Claim(_, path)
        | Place::Xml(path) => path,
        _ => return false,
    };
    path.rsplit(['.', '/']).next().is_some_and(|last| TIMES.split(' ').any(|time| time == last))
}

/// A new row has to say by what its events are told apart.
#[test]
fn a_key_without_time_and_body_has_a_reason() {
    let needs = |row: &&&Provider| {
        let keys = row.event_id.map(alternatives).unwrap_or_default();
        keys.iter().any(|key| !key.iter().any(is_told_by_time_or_body))
    };
    let needed: BTreeSet<_> = catalogue::all().iter().filter(needs).map(|row| row.name).collect();
    let rows = |line: &'static str| line.split_once('\t').unwrap().1.split(' ');
    let given: Vec<_> = WITHOUT.lines().flat_map(rows).collect();
    let listed: BTreeSet<_> = given.iter().copied().collect();
    assert_eq!(given.len(), listed.len(), "a row has one reason");
    let unsaid: Vec<_> = needed.difference(&listed).collect();
    assert!(unsaid.is_empty(), "two events may have one key, and the second be lost: {unsaid:?}");
    let idle: Vec<_> = listed.difference(&needed).collect();
    assert!(idle.is_empty(), "time or body are in the key already: {idle:?}");
}
