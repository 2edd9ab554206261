//! Meta events: how they become durable together with what they tell of.

use serde_json::Value;

use super::{DELIVERY_COLUMNS, Journal, Statement, statement};

impl Journal {
    /// Appends an envelope if the lease of a delivery is still held: to be run in the transaction that records what became of
    /// it, before that gives the lease back.
    pub fn append_leased(
        self,
        meta: &str,
        body: &str,
        project_id: &str,
        delivery_id: &str,
        lease_until: u64,
    ) -> Statement {
        let sql = format!(
            "INSERT INTO {} (meta, body, is_base64) SELECT ?1, ?2, 0 WHERE EXISTS (SELECT 1 FROM deliveries \
             WHERE project_id = ?3 AND id = ?4 AND lease_until = ?5)",
            self.table()
        );
        statement(
            &sql,
            [meta.into(), body.into(), project_id.into(), delivery_id.into(), lease_until.into()],
        )
    }
}

/// Notes a meta event beside the change that it tells of, until it is in the journal or on a queue.
pub fn note_meta_event(id: &str, meta: &str, body: &str) -> Statement {
    statement(
        "INSERT INTO meta_events_noted (id, meta, body) SELECT ?1, ?2, ?3 WHERE true ON CONFLICT (id) DO NOTHING",
        [id.into(), meta.into(), body.into()],
    )
}

/// Notes several: triples of id, fields and body.
pub fn note_meta_events(rows: Value) -> Statement {
    statement(
        "INSERT INTO meta_events_noted (id, meta, body) SELECT value ->> 0, value ->> 1, value ->> 2 \
         FROM json_each(?1) WHERE true ON CONFLICT (id) DO NOTHING",
        [rows.into()],
    )
}

/// The oldest meta events that are noted, of each shard in turn: one that fails leaves the others theirs.
pub fn noted_meta_events() -> Statement {
    statement(
        "SELECT id, meta, body FROM (SELECT id, meta, body, row_number() OVER (\
         PARTITION BY CASE WHEN json_valid(meta) THEN meta ->> '$.n' END ORDER BY id) AS turn \
         FROM meta_events_noted) ORDER BY turn, id LIMIT 100",
        [],
    )
}

/// Forgets meta events that are durable elsewhere.
pub fn forget_meta_events(ids: Value) -> Statement {
    statement(
        "DELETE FROM meta_events_noted WHERE id IN (SELECT value FROM json_each(?1))",
        [ids.into()],
    )
}

/// The deliveries with these ids, all of one project.
pub fn deliveries_of_ids(project_id: &str, ids: Value) -> Statement {
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE project_id = ?1 AND id IN (SELECT value FROM json_each(?2))"
    );
    statement(&sql, [project_id.into(), ids.into()])
}

/// [`note_meta_event`], if an endpoint is active: to be run before it is taken out of use.
pub fn note_if_active(note: &Statement, project_id: &str, endpoint_id: &str) -> Statement {
    let mut params = note.params.clone();
    params.extend([project_id.into(), endpoint_id.into()]);
    let sql = "INSERT INTO meta_events_noted (id, meta, body) SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM endpoints \
         WHERE project_id = ?4 AND id = ?5 AND doc ->> '$.status' = 'active') ON CONFLICT (id) DO NOTHING";
    Statement { sql: sql.to_owned(), params }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sql::tests::{database, run};
    use crate::sql::{Kept, if_changed, insert_deliveries, insert_events, lease, record};

    #[test]
    fn a_meta_event_is_written_by_whoever_records_the_delivery_and_by_nobody_else() {
        let db = database();
        let event =
            json!(["p", "e", "s", "m", "t", 5, null, "[]", "", null, 0, null, "Success", "", "{}"]);
        run(&db, &insert_events(json!([event]), None));
        let row = json!(["p", "d", "e", "sub", "end", "s", "t", "at_least_once", 5]);
        run(&db, &insert_deliveries(json!([row])));
        run(&db, &lease(json!([["p", "d"]]), true, 1_000, 2_000));
        let tell = |lease: u64| {
            run(&db, &Journal::at(0).append_leased("m", "b", "p", "d", lease));
            let row = json!(["p", "d", "Success", "", "attempt", null, null, 50, lease]);
            for statement in record(json!([row])) {
                run(&db, &statement);
            }
        };
        tell(1_999);
        assert_eq!(run(&db, &Journal::at(0).waiting()).len(), 0, "another's lease");
        tell(2_000);
        tell(2_000);
        assert_eq!(run(&db, &Journal::at(0).waiting()).len(), 1);
        assert_eq!(run(&db, &deliveries_of_ids("p", json!(["d", "x"]))).len(), 1);
        assert_eq!(run(&db, &deliveries_of_ids("q", json!(["d"]))).len(), 0);
    }

    #[test]
    fn a_noted_meta_event_stays_until_it_is_durable_elsewhere() {
        let db = database();
        for id in ["b", "b"] {
            run(&db, &note_meta_event(id, "meta", "body"));
        }
        let several = ["b", "a", "a"].map(|id| json!([id, "of several", "body"]));
        run(&db, &note_meta_events(json!(several)));
        let ids = |db: &rusqlite::Connection| {
            run(db, &noted_meta_events())
                .iter()
                .map(|row| row["id"].to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&db), ["\"a\"", "\"b\""]);
        let noted = run(&db, &noted_meta_events());
        assert_eq!((&noted[0]["meta"], &noted[1]["meta"]), (&json!("of several"), &json!("meta")));
        run(&db, &forget_meta_events(json!(["a", "c"])));
        assert_eq!(ids(&db), ["\"b\""]);
        run(&db, &note_if_active(&note_meta_event("d", "meta", "body"), "p", "e"));
        assert_eq!(ids(&db), ["\"b\""], "there is no such endpoint");
        let sql = "INSERT INTO endpoints (project_id, id, name, owner_id, doc) VALUES ('p', 'e', '', '', '{\"status\":\"active\"}')";
        run(&db, &statement(sql, []));
        run(&db, &note_if_active(&note_meta_event("d", "meta", "body"), "p", "e"));
        assert_eq!(ids(&db), ["\"b\"", "\"d\""]);
        run(&db, &statement("UPDATE endpoints SET doc = '{\"updated_at\":7}'", []));
        for (id, at) in [("early", 6), ("then", 7)] {
            let note = note_meta_event(id, "meta", "body");
            run(&db, &if_changed(note, Kept::Endpoint("p", "e"), at));
        }
        assert_eq!(ids(&db), ["\"b\"", "\"d\"", "\"then\""]);
    }
}
