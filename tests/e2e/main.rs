//! The Worker from outside: every test speaks HTTP to a gateway in workerd and looks at what it
//! answers, what an endpoint receives, and what the API shows afterwards.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failing test panics, in its helpers too"
)]

mod access;
mod admission;
mod api;
mod at_the_same_time;
mod bad_input;
mod broker_sources;
mod companions;
mod convoy_answers;
mod convoy_events;
mod convoy_fields;
mod convoy_ingest;
mod convoy_limits;
mod convoy_lists;
mod convoy_requests;
mod convoy_shapes;
mod convoy_sources;
mod crowds;
mod dead_letters;
mod dedup;
mod delivery;
mod document;
mod drains;
mod durability;
mod dynamic_events;
mod endpoint_calls;
mod endpoint_health;
mod endpoint_pace;
mod endpoint_tokens;
mod endpoints;
mod event_lists;
mod event_types;
mod events;
mod exact_search;
mod fan_out;
mod figures;
mod filters;
mod first_calls;
mod fresh_events;
mod harness;
mod header_values;
mod holding_up;
mod hookstream;
mod limits;
mod many_sources;
mod mass_actions;
mod meta_events;
mod onboard;
mod operation;
mod owed;
mod parked;
mod payloads;
mod plain_answers;
mod portal;
mod projects;
mod push_batches;
mod python;
mod refusals;
mod resends;
mod room;
mod senders;
mod sent;
mod shards;
mod signatures;
mod silent_stores;
mod source_changes;
mod source_functions;
mod source_lists;
mod sources;
mod story;
mod subscriptions_gone;
mod together;
mod transforms;
mod trust;
mod verifiers;

use std::sync::OnceLock;

use inlet_gateway::time::parse_rfc3339;
use inlet_tests::Gateway;
use serde_json::Value;

/// The gateway that most tests share, in queue mode; every test has a project of its own.
fn gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| Gateway::builder().durability("queue").start())
}

/// The gateway that most tests share, in journal mode; every test has a project of its own.
fn journal_gateway() -> &'static Gateway {
    static GATEWAY: OnceLock<Gateway> = OnceLock::new();
    GATEWAY.get_or_init(|| Gateway::builder().durability("journal").start())
}

/// Unix milliseconds of a time as the API shows it. Pauses are told by these: load makes a receiver's clock a poor witness.
#[track_caller]
fn time(shown: &Value) -> u64 {
    shown.as_str().and_then(parse_rfc3339).unwrap_or_else(|| panic!("{shown} is no time"))
}

/// What must hold in both modes of durability.
fn in_both_modes(check: impl Fn(&'static Gateway)) {
    check(gateway());
    check(journal_gateway());
}
