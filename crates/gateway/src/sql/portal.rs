//! Portal links, their tokens, and what belongs to an owner.

use serde_json::{Value, json};

use super::{Statement, doc, statement};
use crate::portal::PortalLink;
use crate::search::delivered_to;

pub fn insert_portal_link(link: &PortalLink) -> Statement {
    statement(
        "INSERT INTO portal_links (project_id, id, name, owner_id, doc) VALUES (?1, ?2, ?3, ?4, ?5)",
        [
            link.project_id.as_str().into(),
            link.uid.as_str().into(),
            link.name.as_str().into(),
            link.owner_id.as_str().into(),
            doc(link),
        ],
    )
}

/// Replaces a link that was last changed at `before_ms`; a row comes back if there was one.
pub fn update_portal_link(link: &PortalLink, before_ms: u64) -> Statement {
    statement(
        "UPDATE portal_links SET name = ?3, owner_id = ?4, doc = ?5 WHERE project_id = ?1 AND id = ?2 \
         AND doc ->> '$.updated_at' = ?6 RETURNING id, doc",
        [
            link.project_id.as_str().into(),
            link.uid.as_str().into(),
            link.name.as_str().into(),
            link.owner_id.as_str().into(),
            doc(link),
            before_ms.into(),
        ],
    )
}

pub fn portal_link(project_id: &str, id: &str) -> Statement {
    statement(
        "SELECT doc FROM portal_links WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    )
}

/// Takes a link away, and all that opens it.
pub fn revoke_portal_link(project_id: &str, id: &str) -> Vec<Statement> {
    vec![
        void_portal_tokens(project_id, id),
        statement(
            "DELETE FROM portal_links WHERE project_id = ?1 AND id = ?2",
            [project_id.into(), id.into()],
        ),
    ]
}

/// Takes all tokens of a link away.
pub fn void_portal_tokens(project_id: &str, link_id: &str) -> Statement {
    statement(
        "DELETE FROM portal_tokens WHERE project_id = ?1 AND link_id = ?2",
        [project_id.into(), link_id.into()],
    )
}

/// Stores a token, by its hash, for a link that is there, and forgets those of the link that have ended.
pub fn insert_portal_token(
    hash: &str,
    project_id: &str,
    link_id: &str,
    expires_at: Option<u64>,
    now_ms: u64,
) -> Vec<Statement> {
    vec![
        statement(
            "DELETE FROM portal_tokens WHERE project_id = ?1 AND link_id = ?2 AND expires_at <= ?3",
            [project_id.into(), link_id.into(), now_ms.into()],
        ),
        statement(
            "INSERT INTO portal_tokens (hash, project_id, link_id, expires_at) SELECT ?1, ?2, ?3, ?4 \
             WHERE EXISTS (SELECT 1 FROM portal_links WHERE project_id = ?2 AND id = ?3)",
            [hash.into(), project_id.into(), link_id.into(), expires_at.into()],
        ),
    ]
}

/// What a token opens, by its hash: `project` and `link`.
pub fn portal_of_token(hash: &str, now_ms: u64) -> Statement {
    statement(
        "SELECT p.doc AS project, l.doc AS link FROM portal_tokens AS t \
         JOIN portal_links AS l ON l.project_id = t.project_id AND l.id = t.link_id JOIN projects AS p ON p.id = t.project_id \
         WHERE t.hash = ?1 AND (t.expires_at IS NULL OR t.expires_at > ?2)",
        [hash.into(), now_ms.into()],
    )
}

/// A row when the subscription leads to one of `endpoints`.
pub fn subscription_of_endpoints(
    project_id: &str,
    id: &str,
    endpoints: &[String],
    may_have_source: bool,
) -> Statement {
    statement(
        "SELECT 1 AS found FROM subscriptions WHERE project_id = ?1 AND id = ?2 \
         AND endpoint_id IN (SELECT value FROM json_each(?3)) AND (?4 OR source_id = '')",
        [project_id.into(), id.into(), json!(endpoints).into(), u64::from(may_have_source).into()],
    )
}

/// A row when the event, or the one that it is a dropped copy of, was for one of `endpoints`.
pub fn event_of_endpoints(project_id: &str, id: &str, endpoints: &[String]) -> Statement {
    let sql = format!(
        "SELECT 1 AS found FROM events AS t WHERE t.project_id = ?1 \
         AND t.id = coalesce((SELECT event_id FROM duplicates WHERE project_id = ?1 AND id = ?2), ?2) AND {}",
        delivered_to().replace("{}", "?3")
    );
    statement(&sql, [project_id.into(), id.into(), json!(endpoints).into()])
}

/// Those of the deliveries `ids` that go to none of `endpoints`, or are not there; at most one row.
pub fn deliveries_of_others(project_id: &str, ids: Value, endpoints: &[String]) -> Statement {
    statement(
        "SELECT 1 AS found FROM json_each(?2) AS j WHERE NOT EXISTS (SELECT 1 FROM deliveries AS d \
         WHERE d.project_id = ?1 AND d.id = j.value AND d.endpoint_id IN (SELECT value FROM json_each(?3))) LIMIT 1",
        [project_id.into(), ids.into(), json!(endpoints).into()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tests::{database, run, vault};

    fn link() -> PortalLink {
        let input = crate::api::parse(br#"{"name":"n","owner_id":"o"}"#).unwrap();
        PortalLink::create(input, "p", &vault(), 0, &mut |b| b.fill(5)).unwrap().0
    }

    #[test]
    fn a_token_opens_its_link_until_it_ends_or_is_revoked() {
        let db = database();
        let link = link();
        run(
            &db,
            &statement("INSERT INTO projects (id, name, doc) VALUES ('p', 'p', 'project')", []),
        );
        run(&db, &insert_portal_link(&link));
        let store = |hash: &str, link: &str, end: Option<u64>, now: u64| {
            for statement in insert_portal_token(hash, "p", link, end, now) {
                run(&db, &statement);
            }
        };
        store("static", &link.uid, None, 0);
        store("hour", &link.uid, Some(100), 0);
        store("stray", "no-such-link", None, 0);
        let opens = |hash: &str, now: u64| run(&db, &portal_of_token(hash, now)).len();
        assert_eq!((opens("static", 0), opens("hour", 99), opens("hour", 100)), (1, 1, 0));
        assert_eq!((opens("stray", 0), opens("other", 0)), (0, 0));
        store("another", &link.uid, Some(200), 100);
        let left = run(&db, &statement("SELECT hash FROM portal_tokens ORDER BY hash", []));
        assert_eq!(json!(left), json!([{"hash": "another"}, {"hash": "static"}]));
        for (project, left) in [("q", 1), ("p", 0)] {
            run(&db, &void_portal_tokens(project, &link.uid));
            assert_eq!(opens("static", 100), left, "{project}");
        }
        assert_eq!(run(&db, &portal_link("p", &link.uid)).len(), 1);
        store("static", &link.uid, None, 100);
        for statement in revoke_portal_link("p", &link.uid) {
            run(&db, &statement);
        }
        assert_eq!(opens("static", 0), 0);
        assert_eq!(run(&db, &portal_link("p", &link.uid)).len(), 0);
    }

    #[test]
    fn what_goes_to_endpoints_of_others_is_theirs() {
        let db = database();
        let (mine, theirs) = (vec!["e1".to_owned(), "e2".to_owned()], vec!["e3".to_owned()]);
        let event = crate::ids::lowest(1_000);
        let row = json!([
            "p", event, "s", "m", "t", 5, null, "[]", "", null, 0, null, "Success", "", "{}"
        ]);
        run(&db, &crate::sql::insert_events(json!([row]), None));
        let delivery = crate::ids::delivery_uid(&event, "sub");
        let row = json!(["p", delivery, event, "sub", "e1", "s", "t", "at_least_once", 5]);
        run(&db, &crate::sql::insert_deliveries(json!([row])));
        run(
            &db,
            &statement(
                "INSERT INTO duplicates (project_id, id, event_id, received_at) VALUES ('p', 'copy', ?1, 0)",
                [event.as_str().into()],
            ),
        );
        run(
            &db,
            &statement(
                "INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) VALUES ('p', 'sub', '', '', 'e1', '{}')",
                [],
            ),
        );
        let found = |statement: Statement| run(&db, &statement).len();
        for (project, endpoints, expect) in [("p", &mine, 1), ("p", &theirs, 0), ("q", &mine, 0)] {
            assert_eq!(found(event_of_endpoints(project, &event, endpoints)), expect);
            assert_eq!(found(event_of_endpoints(project, "copy", endpoints)), expect);
            let found_with = |any| found(subscription_of_endpoints(project, "sub", endpoints, any));
            assert_eq!((found_with(true), found_with(false)), (expect, expect));
            assert_eq!(
                found(deliveries_of_others(project, json!([delivery]), endpoints)),
                1 - expect
            );
        }
        assert_eq!(found(deliveries_of_others("p", json!([delivery, "none"]), &mine)), 1);
        assert_eq!(found(deliveries_of_others("p", json!([]), &mine)), 0);
    }
}
