//! Brokers: the keys and reports of companions, what a batch has to know, and dead letters.

use serde_json::{Value, json};

use super::{Param, Statement, statement};
use crate::dead_letter::Wanted;
use crate::page::Direction;
use crate::search::Search;

// --- Control ---

pub fn insert_consumer_key(
    hash: &str,
    id: &str,
    project_id: &str,
    name: &str,
    now_ms: u64,
) -> Statement {
    statement(
        "INSERT INTO consumer_keys (hash, id, project_id, name, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        [hash.into(), id.into(), project_id.into(), name.into(), now_ms.into()],
    )
}

/// The consumer keys of a project, the newest first: rows of [`crate::consumer::StoredKey`].
pub fn consumer_keys(project_id: &str) -> Statement {
    statement(
        "SELECT id, name, created_at, last_used_at FROM consumer_keys WHERE project_id = ?1 ORDER BY id DESC",
        [project_id.into()],
    )
}

/// Deletes a key; a row comes back if there was one.
pub fn delete_consumer_key(project_id: &str, id: &str) -> Statement {
    statement(
        "DELETE FROM consumer_keys WHERE project_id = ?1 AND id = ?2 RETURNING id",
        [project_id.into(), id.into()],
    )
}

/// The project that a companion's key, by its hash, belongs to.
pub fn project_of_consumer_key(hash: &str) -> Statement {
    statement(
        "SELECT p.doc AS doc FROM consumer_keys k JOIN projects p ON p.id = k.project_id WHERE k.hash = ?1",
        [hash.into()],
    )
}

/// Notes that a key is in use, to the minute.
pub fn note_consumer_key(hash: &str, now_ms: u64) -> Statement {
    statement(
        "UPDATE consumer_keys SET last_used_at = ?2 WHERE hash = ?1 AND coalesce(last_used_at, 0) + 60000 <= ?2",
        [hash.into(), now_ms.into()],
    )
}

/// The broker sources of a project, as `doc`.
pub fn pub_sub_sources(project_id: &str) -> Statement {
    statement(
        "SELECT doc FROM sources WHERE project_id = ?1 AND type = 'pub_sub' ORDER BY id",
        [project_id.into()],
    )
}

/// Keeps what a companion says of its sources, `[source, doc]`, as far as they are the project's and nothing later was said, and
/// forgets what nobody has renewed since `before_ms`.
pub fn keep_reports(
    project_id: &str,
    companion: &str,
    version: &str,
    rows: Value,
    now_ms: u64,
    before_ms: u64,
) -> Vec<Statement> {
    vec![
        statement(
            "INSERT INTO consumer_reports (project_id, source_id, companion, version, seen_at, doc) \
             SELECT ?1, j.value ->> 0, ?2, ?3, ?4, j.value ->> 1 FROM json_each(?5) AS j \
             WHERE EXISTS (SELECT 1 FROM sources AS s WHERE s.project_id = ?1 AND s.id = j.value ->> 0) \
             ON CONFLICT (project_id, source_id, companion) DO UPDATE SET \
             version = excluded.version, seen_at = excluded.seen_at, doc = excluded.doc \
             WHERE consumer_reports.seen_at <= excluded.seen_at",
            [project_id.into(), companion.into(), version.into(), now_ms.into(), rows.into()],
        ),
        statement(
            "DELETE FROM consumer_reports WHERE project_id = ?1 AND seen_at < ?2",
            [project_id.into(), before_ms.into()],
        ),
    ]
}

/// What companions said of a source, newest first.
pub fn reports(project_id: &str, source_id: &str) -> Statement {
    statement(
        "SELECT companion, version, seen_at, doc FROM consumer_reports WHERE project_id = ?1 AND source_id = ?2 \
         ORDER BY seen_at DESC",
        [project_id.into(), source_id.into()],
    )
}

/// Which of these endpoints and owners a project has, as `kind` (`endpoint` or `owner`) and `id`.
pub fn known_targets(project_id: &str, endpoints: Value, owners: Value) -> Statement {
    statement(
        "SELECT 'endpoint' AS kind, j.value AS id FROM json_each(?2) AS j WHERE EXISTS \
         (SELECT 1 FROM endpoints AS e WHERE e.project_id = ?1 AND e.id = j.value) UNION ALL \
         SELECT 'owner' AS kind, j.value AS id FROM json_each(?3) AS j WHERE EXISTS \
         (SELECT 1 FROM endpoints AS e WHERE e.project_id = ?1 AND e.owner_id = j.value AND e.owner_id <> '')",
        [project_id.into(), endpoints.into(), owners.into()],
    )
}

// --- Events ---

/// Which of these keys, `[scope, key]`, are held, by their place among them: `at` and `event_id`.
pub fn held_claims(rows: Value, now_ms: u64) -> Statement {
    statement(
        "SELECT j.key AS at, c.event_id AS event_id FROM json_each(?1) AS j \
         JOIN claims AS c ON c.source_id = j.value ->> 0 AND c.key = j.value ->> 1 WHERE ?2 < c.expires_at",
        [rows.into(), now_ms.into()],
    )
}

/// What waits longest: `event_at`, when the oldest event arrived that waits in a journal, and `look_at`, when the sweep was to
/// look after a delivery that waits for more than its endpoint; null when none does. The fields of an envelope have their
/// time near the front, and reading all of a packed row for it would cost more than the row did.
pub fn oldest_waiting() -> Statement {
    let of = |journal: u8| {
        format!(
            "SELECT * FROM (SELECT CAST(substr(j.meta, instr(j.meta, '\"at\":') + 5, 13) AS INTEGER) AS at \
             FROM journal_state AS s JOIN journal_{journal} AS j ON j.seq > s.done WHERE s.journal = {journal} \
             ORDER BY j.seq LIMIT 1)"
        )
    };
    Statement {
        sql: format!(
            "SELECT (SELECT min(at) FROM ({} UNION ALL {})) AS event_at, \
             (SELECT min(since) FROM (SELECT since FROM parked ORDER BY due_at LIMIT 100)) AS parked_at, \
             (SELECT min(look_at) FROM deliveries WHERE look_at < {}) AS look_at",
            of(0),
            of(1),
            super::hold::BEHIND_MS
        ),
        params: Vec::new(),
    }
}

/// Since when the oldest delivery waits that a dispatcher could take, as `due_at`, of those that are watched here: by the sweep, or by
/// what is noted of their fan-out. What is watched by a queue alone is not seen.
pub fn oldest_due(now_ms: u64) -> Statement {
    let due = "coalesce(due_at, created_at)";
    Statement {
        sql: format!(
            "SELECT min(at) AS due_at FROM (SELECT min({due}) AS at FROM (\
             SELECT due_at, created_at, status, hold FROM deliveries WHERE look_at IS NOT NULL ORDER BY look_at LIMIT 500) \
             WHERE status IN ('Scheduled', 'Retry') AND coalesce(hold, '') <> 'endpoint' AND {due} <= ?1 \
             UNION ALL SELECT * FROM (SELECT o.at AS at FROM outbox AS o WHERE EXISTS (SELECT 1 FROM json_each(o.deliveries) AS j \
             JOIN deliveries AS d ON d.project_id = j.value ->> 0 AND d.id = j.value ->> 1 \
             WHERE d.status = 'Scheduled' AND d.hold IS NULL AND d.due_at IS NULL) ORDER BY o.at, o.id LIMIT 1))"
        ),
        params: vec![now_ms.into()],
    }
}

/// Keeps dead letters, and says under which `id`: a message that comes again has one already, and so has what cannot be read and
/// is met again. `[id, kind, reason, payload, is_base64, at, project, source, event, broker_message, detail, body_key,
/// length]`.
pub fn insert_dead_letters(rows: Value) -> Statement {
    statement(
        "INSERT INTO dead_letters (id, kind, reason, payload, is_base64, at, project_id, source_id, event_id, broker_message_id, \
         detail, body_key, length) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
         value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12 FROM json_each(?1) \
         WHERE true ON CONFLICT (id) DO NOTHING \
         ON CONFLICT (source_id, broker_message_id) WHERE kind = 'broker' AND broker_message_id IS NOT NULL \
         DO UPDATE SET reason = excluded.reason \
         ON CONFLICT (substr(id, 11)) WHERE kind = 'unreadable' DO UPDATE SET reason = excluded.reason \
         RETURNING id, source_id, broker_message_id",
        [rows.into()],
    )
}

const DEAD_LETTER_COLUMNS: &str = "id, kind, reason, payload, is_base64, at, project_id, source_id, event_id, broker_message_id, \
    detail, body_key, length";

/// A dead letter that is no delivery, as a row of [`crate::dead_letter::Stored`].
pub fn dead_letter(project_id: &str, id: &str) -> Statement {
    Statement {
        sql: format!(
            "SELECT {DEAD_LETTER_COLUMNS} FROM dead_letters WHERE project_id = ?1 AND id = ?2"
        ),
        params: vec![project_id.into(), id.into()],
    }
}

/// Says why a dead letter could not be replayed.
pub fn blame_dead_letter(project_id: &str, id: &str, reason: &str) -> Statement {
    statement(
        "UPDATE dead_letters SET reason = ?3 WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into(), reason.into()],
    )
}

pub fn delete_dead_letter(project_id: &str, id: &str) -> Statement {
    statement(
        "DELETE FROM dead_letters WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    )
}

/// A page of dead letters and one more, without their payloads: those that are no deliveries. `end` is what
/// [`super::scan_end`] found for the deliveries beside them.
pub fn dead_letters(
    search: &Search,
    project_id: &str,
    wanted: &Wanted,
    end: Option<&str>,
) -> Statement {
    let mut params: Vec<Param> =
        vec![project_id.into(), search.low.as_str().into(), search.high.as_str().into()];
    let mut condition = String::new();
    let (on, until, order) = match search.page.direction {
        Direction::Next => ("<=", ">", "DESC"),
        Direction::Prev => (">", "<=", "ASC"),
    };
    let bounds = [(on, search.page.cursor.as_deref()), (until, end)];
    let bounds = bounds.map(|(compare, value)| (format!("id {compare}"), value));
    for (column, value) in bounds.into_iter().chain([("kind =".to_owned(), wanted.kind.as_deref())])
    {
        if let Some(value) = value {
            params.push(value.into());
            condition.push_str(&format!(" AND {column} ?{}", params.len()));
        }
    }
    if !wanted.sources.is_empty() {
        params.push(json!(wanted.sources).into());
        let place = params.len();
        condition.push_str(&format!(" AND source_id IN (SELECT value FROM json_each(?{place}))"));
    }
    let limit = search.page.limit();
    let sql = format!(
        "SELECT id, kind, reason, '' AS payload, 0 AS is_base64, at, project_id, source_id, event_id, broker_message_id, detail, \
         body_key, length FROM dead_letters WHERE project_id = ?1 AND id >= ?2 AND id <= ?3{condition} \
         ORDER BY id {order} LIMIT {limit}"
    );
    Statement { sql, params }
}

/// Takes a delivery that was given up off the list; a row comes back if it was there.
pub fn discard_delivery(project_id: &str, id: &str, now_ms: u64) -> Statement {
    statement(
        "UPDATE deliveries SET status = 'Discarded', updated_at = ?3 WHERE project_id = ?1 AND id = ?2 AND status = 'Failure' \
         RETURNING id",
        [project_id.into(), id.into(), now_ms.into()],
    )
}

/// The oldest dead letters of a project before an id: `id`, `body_key`, and the `event_id` of an event that was never stored.
pub fn expired_dead_letters(project_id: &str, before_id: &str) -> Statement {
    statement(
        "SELECT id, body_key, CASE kind WHEN 'event' THEN event_id END AS event_id FROM dead_letters \
         WHERE project_id = ?1 AND id < ?2 ORDER BY id LIMIT 500",
        [project_id.into(), before_id.into()],
    )
}

pub fn expire_dead_letters(project_id: &str, last_id: &str) -> Statement {
    statement(
        "DELETE FROM dead_letters WHERE project_id = ?1 AND id <= ?2",
        [project_id.into(), last_id.into()],
    )
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::super::tests::{database, run};
    use super::*;
    use crate::dead_letter::DeadLetter;

    #[test]
    fn a_batch_learns_whom_it_can_reach_and_what_is_held() {
        let db = database();
        for (project, id, owner) in [("p", "e1", "o1"), ("q", "e2", "o2")] {
            let sql = "INSERT INTO endpoints (project_id, id, name, owner_id, doc) VALUES (?1, ?2, 'n', ?3, '{}')";
            run(&db, &statement(sql, [project.into(), id.into(), owner.into()]));
        }
        let known = run(&db, &known_targets("p", json!(["e1", "e2"]), json!(["o1", "o2", ""])));
        assert_eq!(
            known,
            [json!({"kind": "endpoint", "id": "e1"}), json!({"kind": "owner", "id": "o1"})]
        );

        run(&db, &super::super::claim(json!([["s", "k", "event", 10, 20]])));
        let keys = json!([["s", "other"], ["s", "k"], ["t", "k"]]);
        assert_eq!(
            run(&db, &held_claims(keys.clone(), 19)),
            [json!({"at": 1, "event_id": "event"})]
        );
        assert!(run(&db, &held_claims(keys, 20)).is_empty());
    }

    #[test]
    fn the_oldest_that_waits_is_found_in_rows_of_one_and_of_many() {
        use crate::wire::{Body, Pack, tests::envelope};
        let db = database();
        let oldest = || run(&db, &oldest_waiting())[0]["event_at"].clone();
        assert_eq!(oldest(), Value::Null);
        let mut sent = envelope(Body::Inline(b"{}".to_vec()));
        sent.meta.event_type = r#""at":5"#.into();
        let mut pack = Pack::default();
        assert!(pack.push(&sent) && pack.push(&sent));
        let (meta, body) = pack.into_row();
        run(&db, &Journal::at(0).append(meta, body.text.into_owned(), false));
        assert_eq!(oldest(), 1_700_000_000_000_u64);
        sent.meta.received_at = 1_600_000_000_000;
        let (meta, body) = sent.to_row();
        run(&db, &Journal::at(3_600_000).append(meta, body.text.into_owned(), false));
        assert_eq!(oldest(), 1_600_000_000_000_u64);
        for journal in Journal::both(0) {
            run(&db, &journal.done(1, 0));
        }
        assert_eq!(oldest(), Value::Null);
    }

    #[test]
    fn the_oldest_delivery_that_waits_is_found_by_its_fan_out_or_its_watch() {
        use super::super::{hold, insert_deliveries, insert_events, insert_outbox, lease, watch};
        let db = database();
        let due = |now: u64| run(&db, &oldest_due(now))[0]["due_at"].clone();
        assert_eq!(due(9_000), Value::Null);
        let event = json!([
            "p", "ev", "s", "m", "x", 5, null, "[]", "", null, 0, null, "Success", "", "{}"
        ]);
        run(&db, &insert_events(json!([event]), None));
        let row =
            |id: &str, at: u64| json!(["p", id, "ev", "s", "e", "s", "x", "at_least_once", at]);
        run(&db, &insert_deliveries(json!([row("d1", 1_000), row("d2", 2_000)])));
        run(&db, &insert_outbox(1_000, "o1", json!([["p", "d1"]])));
        run(&db, &insert_outbox(2_000, "o2", json!([["p", "d2"]])));
        assert_eq!(due(9_000), 1_000);
        run(&db, &hold::hold_for_endpoint(json!([["p", "d1"]]), "paused", 3_000));
        assert_eq!(due(9_000), 2_000, "what waits for its endpoint is nobody's fault");
        run(&db, &lease(json!([["p", "d2"]]), false, 4_000, 5_000));
        assert_eq!(due(9_000), Value::Null);

        run(&db, &insert_deliveries(json!([row("d3", 6_000)])));
        run(&db, &watch(&json!([["p", "d3"]]).to_string(), 7_000));
        assert_eq!(due(9_000), 6_000);
        run(&db, &hold::release("p", "e", (hold::Release::OfEndpoint, ""), 5_500, 60_000));
        assert_eq!((due(9_000), due(5_400)), (json!(5_500), Value::Null), "not before its time");
        let rest = json!([["p", "d1"], ["p", "d3"]]);
        assert_eq!(run(&db, &hold::end(rest, 9_000)).len(), 2);
        assert_eq!(due(9_000), Value::Null);
    }

    #[test]
    fn a_delivery_is_taken_off_the_list_once_and_only_if_it_was_given_up() {
        let db = database();
        for (id, status) in [("over", "Failure"), ("waits", "Retry")] {
            let sql = "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, \
                delivery_mode, status, created_at, updated_at) VALUES ('p', ?1, '', '', '', '', '', '', ?2, 0, 0)";
            run(&db, &statement(sql, [id.into(), status.into()]));
        }
        let discard = |project: &str, id: &str| run(&db, &discard_delivery(project, id, 5)).len();
        assert_eq!((discard("q", "over"), discard("p", "waits")), (0, 0));
        assert_eq!((discard("p", "over"), discard("p", "over")), (1, 0));
        let left =
            run(&db, &statement("SELECT status, updated_at FROM deliveries ORDER BY id", []));
        let row = |status: &str, at: u64| json!({"status": status, "updated_at": at});
        assert_eq!(left, [row("Discarded", 5), row("Retry", 0)]);
    }

    #[test]
    fn keys_and_reports_are_a_projects_own() {
        let db = database();
        run(&db, &statement("INSERT INTO projects (id, name, doc) VALUES ('p', 'n', '{}')", []));
        run(&db, &insert_consumer_key("hash", "k", "p", "name", 5));
        assert_eq!(run(&db, &project_of_consumer_key("hash")).len(), 1);
        for (at, used) in [(60_000, 60_000), (60_001, 60_000), (120_000, 120_000)] {
            run(&db, &note_consumer_key("hash", at));
            assert_eq!(run(&db, &consumer_keys("p"))[0]["last_used_at"], used);
        }
        assert!(run(&db, &delete_consumer_key("q", "k")).is_empty());
        assert_eq!(run(&db, &delete_consumer_key("p", "k")).len(), 1);
        assert!(run(&db, &project_of_consumer_key("hash")).is_empty());

        let sql = "INSERT INTO sources (project_id, id, mask_id, name, type, provider, doc) VALUES ('p', 's', 'm', 'n', 'pub_sub', '', '{}')";
        run(&db, &statement(sql, []));
        assert_eq!(run(&db, &pub_sub_sources("p")).len(), 1);
        for at in [10, 20] {
            for statement in
                keep_reports("p", "c", "1", json!([["s", "{}"], ["foreign", "{}"]]), at, 5)
            {
                run(&db, &statement);
            }
        }
        let kept = run(&db, &reports("p", "s"));
        assert_eq!((kept.len(), &kept[0]["seen_at"]), (1, &json!(20)));
        assert!(run(&db, &reports("p", "foreign")).is_empty());
        for statement in keep_reports("p", "c2", "1", json!([]), 30, 21) {
            run(&db, &statement);
        }
        assert!(run(&db, &reports("p", "s")).is_empty());
    }

    #[test]
    fn dead_letters_are_listed_by_project_and_removed_with_age() {
        let db = database();
        let row = |id: &str, project: &str, source: &str| {
            json!([id, "broker", "why", "{}", 0, 5, project, source, null, "m-1", "{}", null, 2])
        };
        run(
            &db,
            &insert_dead_letters(json!([
                row("1", "p", "s"),
                row("2", "p", "t"),
                row("3", "q", "s")
            ])),
        );
        let until = |query: &str, end: Option<&str>| {
            let (search, wanted) = Search::dead_letters(query).unwrap();
            let rows = run(&db, &dead_letters(&search, "p", &wanted, end));
            rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let ids = |query: &str| until(query, None);
        // As a cursor, which is a uid: between the two.
        let middle = "1".repeat(26);
        assert_eq!(ids(""), ["2", "1"]);
        assert_eq!(until("", Some("1")), ["2"]);
        assert_eq!(ids(&format!("direction=prev&prev_page_cursor={middle}")), ["2"]);
        assert_eq!(ids(&format!("next_page_cursor={middle}")), ["1"]);
        assert_eq!(ids("sourceId=s&kind=broker"), ["1"]);
        assert_eq!(ids("kind=event").len(), 0);
        assert!(Search::dead_letters("kind=x").is_err());
        run(&db, &blame_dead_letter("p", "2", "still"));
        assert_eq!(run(&db, &dead_letter("p", "2"))[0]["reason"], "still");
        assert!(run(&db, &dead_letter("q", "2")).is_empty());
        let old = run(&db, &expired_dead_letters("p", "2"));
        assert_eq!(old, [json!({"id": "1", "body_key": null, "event_id": null})]);
        run(&db, &expire_dead_letters("p", "1"));
        run(&db, &delete_dead_letter("p", "3"));
        assert_eq!(ids(""), ["2"]);
    }

    #[test]
    fn what_cannot_be_read_is_one_dead_letter_however_often_it_is_met() {
        let db = database();
        let [journal, other] = Journal::both(0);
        let keep = |place: &str, reason: &str, now: u64| {
            let letter =
                DeadLetter::of_unreadable(b"{".to_vec(), "p", ("journal", place), reason, now);
            let kept = run(&db, &insert_dead_letters(json!([letter.row()])));
            assert!(letter.is_kept_as(kept[0]["id"].as_str().unwrap(), "", None));
            (letter.id, kept[0]["id"].as_str().unwrap().to_owned())
        };
        let (first, kept) = keep(&journal.place(0, 3, 7, 0), "why", 1_000);
        assert_eq!(first, kept);
        let (again, kept) = keep(&journal.place(0, 3, 7, 0), "why still", 5_000_000);
        assert_eq!(kept, first);
        assert_ne!(again, first, "its time is another");
        let row = run(&db, &dead_letter("p", &first));
        assert_eq!(
            (&row[0]["at"], &row[0]["reason"]),
            (&json!(1_000), &json!("why still (in the journal)"))
        );
        for place in [
            other.place(0, 3, 7, 0),
            journal.place(1, 3, 7, 0),
            journal.place(0, 4, 7, 0),
            journal.place(0, 3, 8, 0),
            journal.place(0, 3, 7, 1),
        ] {
            let (new, kept) = keep(&place, "why", 5_000_000);
            assert_eq!(new, kept);
        }
    }
}
