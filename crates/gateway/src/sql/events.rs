//! Events and deliveries: whom pushed events are for, lists, replays.

use serde_json::json;

use super::{Statement, doc, statement};
use crate::endpoint::Endpoint;
use crate::push::DYNAMIC_NAME;
use crate::subscription::Subscription;

/// The subscriptions of endpoints, as `doc`; `endpoints` are pairs of project and endpoint.
pub fn subscriptions_of_endpoints(endpoints: &[(&str, &str)]) -> Statement {
    statement(
        "SELECT s.doc AS doc FROM json_each(?1) AS j JOIN subscriptions AS s INDEXED BY subscriptions_by_endpoint \
         ON s.project_id = j.value ->> 0 AND s.endpoint_id = j.value ->> 1",
        [json!(endpoints).into()],
    )
}

/// The endpoints of owners; `owners` are pairs of project and owner.
pub fn endpoints_of_owners(owners: &[(&str, &str)]) -> Statement {
    statement(
        "SELECT e.project_id AS project_id, e.owner_id AS owner_id, e.id AS endpoint_id FROM json_each(?1) AS j \
         JOIN endpoints AS e INDEXED BY endpoints_by_owner \
         ON e.project_id = j.value ->> 0 AND e.owner_id = j.value ->> 1 AND e.owner_id <> ''",
        [json!(owners).into()],
    )
}

/// All subscriptions of projects, as `doc`.
pub fn subscriptions_of_projects(projects: &[&str]) -> Statement {
    statement(
        "SELECT s.doc AS doc FROM json_each(?1) AS j JOIN subscriptions AS s ON s.project_id = j.value",
        [json!(projects).into()],
    )
}

/// The oldest endpoint of a project with this URL, as `doc`.
pub fn endpoint_of_url(project_id: &str, url: &str) -> Statement {
    statement(
        "SELECT doc FROM endpoints INDEXED BY endpoints_by_url WHERE project_id = ?1 AND doc ->> '$.url' = ?2 \
         ORDER BY id LIMIT 1",
        [project_id.into(), url.into()],
    )
}

/// Inserts an endpoint unless the project has one with its URL.
pub fn insert_endpoint_of_new_url(endpoint: &Endpoint) -> Statement {
    statement(
        "INSERT INTO endpoints (project_id, id, name, owner_id, doc) SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS \
         (SELECT 1 FROM endpoints WHERE project_id = ?1 AND doc ->> '$.url' = ?6)",
        [
            endpoint.project_id.as_str().into(),
            endpoint.uid.as_str().into(),
            endpoint.name.as_str().into(),
            endpoint.owner_id.as_str().into(),
            doc(endpoint),
            endpoint.url.as_str().into(),
        ],
    )
}

/// Gives the subscription that dynamic events keep for an endpoint these event types, or inserts it.
pub fn subscribe_dynamic(subscription: &Subscription) -> Vec<Statement> {
    let types = json!(subscription.event_types);
    vec![
        statement(
            "UPDATE subscriptions SET doc = json_set(doc, '$.event_types', json(?4), '$.updated_at', ?5) \
             WHERE project_id = ?1 AND endpoint_id = ?2 AND name = ?3 AND doc -> '$.event_types' <> json(?4)",
            [
                subscription.project_id.as_str().into(),
                subscription.endpoint_id.as_str().into(),
                DYNAMIC_NAME.into(),
                types.into(),
                subscription.updated_at.into(),
            ],
        ),
        statement(
            "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) SELECT ?1, ?2, ?3, '', ?4, ?5 \
             WHERE NOT EXISTS (SELECT 1 FROM subscriptions WHERE project_id = ?1 AND endpoint_id = ?4 AND name = ?3)",
            [
                subscription.project_id.as_str().into(),
                subscription.uid.as_str().into(),
                DYNAMIC_NAME.into(),
                subscription.endpoint_id.as_str().into(),
                doc(subscription),
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tests::{database, run};

    #[test]
    fn the_look_ups_of_targets_are_sound() {
        let db = database();
        for (project, id, owner, url) in
            [("p", "1", "o", "u"), ("p", "2", "", "u"), ("p", "3", "o", "v"), ("q", "4", "o", "u")]
        {
            let sql = "INSERT INTO endpoints (project_id, id, name, owner_id, doc) VALUES (?1, ?2, '', ?3, ?4)";
            let doc = json!({"url": url}).to_string();
            run(&db, &statement(sql, [project.into(), id.into(), owner.into(), doc.into()]));
            let sql = "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) VALUES (?1, ?2, '', '', ?2, ?2)";
            run(&db, &statement(sql, [project.into(), id.into()]));
        }
        let docs = |statement: &Statement| -> Vec<String> {
            let rows = run(&db, statement);
            let mut docs: Vec<_> = rows.iter().map(|row| row["doc"].to_string()).collect();
            docs.sort();
            docs
        };
        assert_eq!(docs(&subscriptions_of_endpoints(&[("p", "1"), ("p", "4")])), ["\"1\""]);
        assert_eq!(docs(&subscriptions_of_projects(&["p"])).len(), 3);
        assert_eq!(docs(&endpoint_of_url("p", "u")).len(), 1);
        assert_eq!(docs(&endpoint_of_url("q", "v")).len(), 0);
        let owned = run(&db, &endpoints_of_owners(&[("p", "o"), ("p", "")]));
        let owned: Vec<_> = owned.iter().map(|row| row["endpoint_id"].as_str().unwrap()).collect();
        assert_eq!(owned, ["1", "3"]);
    }

    #[test]
    fn dynamic_events_make_one_endpoint_and_one_subscription() {
        let db = database();
        let vault =
            crate::vault::Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
        for (n, types) in [(1u8, "a"), (2, "a"), (3, "b")] {
            let input = crate::api::parse(br#"{"name":"a","url":"https://example.com/"}"#).unwrap();
            let endpoint =
                Endpoint::create(input, "p", false, &vault, 0, &mut |b| b.fill(n)).unwrap().0;
            run(&db, &insert_endpoint_of_new_url(&endpoint));
            let body =
                json!({"name": "x", "endpoint_id": "e", "filter_config": {"event_types": [types]}});
            let input = crate::api::parse(body.to_string().as_bytes()).unwrap();
            let subscription =
                Subscription::create(input, "p", false, 0, &mut |b| b.fill(n)).unwrap();
            for statement in subscribe_dynamic(&subscription) {
                run(&db, &statement);
            }
            let rows = run(&db, &subscriptions_of_projects(&["p"]));
            let stored: Subscription =
                serde_json::from_str(rows[0]["doc"].as_str().unwrap()).unwrap();
            assert_eq!((rows.len(), stored.event_types), (1, vec![types.to_owned()]));
        }
        let rows = run(&db, &statement("SELECT count(*) AS n FROM endpoints", []));
        assert_eq!(rows[0]["n"], 1);
    }
}
