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
                json!([made.uid, made.name, made.endpoint_id, text(made), made.weight()])
            })
            .collect();
        statements.push(statement(
            "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc, weight) \
             SELECT ?1, value ->> 0, value ->> 1, '', value ->> 2, value ->> 3, value ->> 4 FROM json_each(?2)",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;
    use crate::endpoint::Endpoint;
    use crate::sql::tests::{database, run, vault};
    use crate::sql::{endpoint, event_types, paces};
    use crate::subscription::Subscription;

    #[test]
    fn endpoints_are_inserted_with_their_subscriptions_and_the_types_that_these_name() {
        let db = database();
        let made: Vec<Onboarded> = (0..=ROWS_TOGETHER)
            .map(|n| {
                let at = u64::try_from(n).unwrap();
                let body = json!({"name": format!("{n}"), "url": "https://example.com/"});
                let input = parse(body.to_string().as_bytes()).unwrap();
                let (endpoint, secret) =
                    Endpoint::create(input, "p", false, &vault(), at, &mut |b| b.fill(1)).unwrap();
                let types = if n % 2 == 0 { ["paid"] } else { ["*"] };
                let body = json!({"name": "s", "endpoint_id": endpoint.uid, "filter_config": {"event_types": types}});
                let input = parse(body.to_string().as_bytes()).unwrap();
                let subscription =
                    Subscription::create(input, "p", false, at, &mut |b| b.fill(1)).unwrap();
                Onboarded { endpoint, secret, subscription }
            })
            .collect();
        for statement in insert_onboarded("p", &made, 5, &mut |b| b.fill(2)) {
            run(&db, &statement);
        }
        for Onboarded { endpoint: made, subscription, .. } in &made {
            let stored = run(&db, &endpoint("p", &made.uid));
            assert_eq!(stored, [json!({"doc": text(made)})]);
            let of_it = run(&db, &paces("p", &made.uid));
            assert_eq!((of_it.len(), &of_it[0]["id"]), (1, &json!(subscription.uid)));
        }
        let types = run(&db, &event_types("p"));
        assert_eq!(types.len(), 1, "{types:?}");
        assert!(types[0]["doc"].as_str().unwrap().contains("\"paid\""));
    }
}
