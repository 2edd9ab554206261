//! Many endpoints with their subscriptions, in few statements: a transaction has a limit of them.

use serde_json::{Value, json};

use super::{Statement, add_event_types, statement};
use crate::event_type;
use crate::ids::Fill;
use crate::onboard::{Onboarded, ROWS_TOGETHER};

fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Inserts all of them, and the event types that they name.
pub fn insert_onboarded(
    project_id: &str,
    made: &[Onboarded],
    now_ms: u64,
    fill: Fill<'_>,
) -> Vec<Statement> {
    let mut statements = Vec::new();
    for some in made.chunks(ROWS_TOGETHER) {
        let endpoints: Vec<Value> = some
            .iter()
            .map(|made| {
                let endpoint = &made.endpoint;
                json!([endpoint.uid, endpoint.name, endpoint.owner_id, text(endpoint)])
            })
            .collect();
        statements.push(statement(
            "INSERT INTO endpoints (project_id, id, name, owner_id, doc) \
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2)",
            [project_id.into(), json!(endpoints).into()],
        ));
        let subscriptions: Vec<Value> = some
            .iter()
            .map(|made| {
                let made = &made.subscription;
                json!([made.uid, made.name, made.endpoint_id, text(made)])
            })
            .collect();
        statements.push(statement(
            "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) \
             SELECT ?1, value ->> 0, value ->> 1, '', value ->> 2, value ->> 3 FROM json_each(?2)",
            [project_id.into(), json!(subscriptions).into()],
        ));
    }
    let mut types: Vec<String> =
        made.iter().flat_map(|made| made.subscription.event_types.clone()).collect();
    types.sort_unstable();
    types.dedup();
    let types = event_type::of_subscription(&types, project_id, now_ms, fill);
    statements.extend(types.chunks(ROWS_TOGETHER).map(|some| add_event_types(project_id, some)));
    statements
}
