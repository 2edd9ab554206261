//! Events and deliveries: whom pushed events are for, lists, replays.

use serde_json::{Value, json};

use super::range::Range;
use super::{DELIVERY_COLUMNS, DELIVERY_EVENT, EVENT_COLUMNS, Param, Statement, doc, statement};
use crate::api::Direction;
use crate::endpoint::Endpoint;
use crate::push::DYNAMIC_NAME;
use crate::search::{Kind, Search};
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

/// The oldest endpoint of a project with this URL, as `doc`. Those of owners are not meant: an owner may choose any URL, and
/// would see what goes to it.
pub fn endpoint_of_url(project_id: &str, url: &str) -> Statement {
    statement(
        "SELECT doc FROM endpoints INDEXED BY endpoints_by_url WHERE project_id = ?1 AND doc ->> '$.url' = ?2 \
         AND owner_id = '' ORDER BY id LIMIT 1",
        [project_id.into(), url.into()],
    )
}

/// Inserts an endpoint unless the project has one with its URL that is nobody's.
pub fn insert_endpoint_of_new_url(endpoint: &Endpoint) -> Statement {
    statement(
        "INSERT INTO endpoints (project_id, id, name, owner_id, doc) SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS \
         (SELECT 1 FROM endpoints WHERE project_id = ?1 AND doc ->> '$.url' = ?6 AND owner_id = '')",
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
            "UPDATE subscriptions SET doc = json_set(doc, '$.event_types', json(?4), '$.updated_at', CAST(?5 AS INTEGER)) \
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

// --- Lists ---

/// Payloads up to this many bytes stand in a list.
const LISTED_BODY_MAX_BYTES: u64 = 16_384;

fn table(search: &Search) -> &'static str {
    match search.kind {
        Kind::Events => "events",
        Kind::Deliveries => "deliveries",
    }
}

fn order(search: &Search) -> &'static str {
    if search.goes_down() { "DESC" } else { "ASC" }
}

/// Where the rows end that a page may look at, as `id`: for the next page the first that it may not, because a cursor
/// includes its row; for the page before the last that it may. No row when they do not end before the list does, `None` when
/// there is no such limit.
pub fn scan_end(search: &Search, project_id: &str, rows: u64) -> Option<Statement> {
    let (condition, params) = Range::of(search, project_id).condition();
    let offset = match search.page.direction {
        Direction::Next => rows,
        Direction::Prev => rows.checked_sub(1)?,
    };
    let (table, order) = (table(search), order(search));
    let sql = format!(
        "SELECT t.id AS id FROM {table} AS t WHERE {condition} ORDER BY t.id {order} LIMIT 1 OFFSET {offset}"
    );
    Some(Statement { sql, params })
}

/// All of a search but its columns: `(from and where, params)`. `end` is what [`scan_end`] found.
fn found(search: &Search, project_id: &str, end: Option<&str>) -> (String, Vec<Param>) {
    let mut range = Range::of(search, project_id);
    if let Some(end) = end {
        match (search.page.direction, search.goes_down()) {
            (Direction::Next, true) => range.from(end, false),
            (Direction::Next, false) => range.up_to(end, false),
            (Direction::Prev, true) => range.from(end, true),
            (Direction::Prev, false) => range.up_to(end, true),
        }
    }
    let (mut condition, mut params) = range.condition();
    for wanted in &search.conditions {
        params.push(wanted.param.as_str().into());
        let sql = wanted.sql.replace("{}", &format!("?{}", params.len()));
        condition.push_str(&format!(" AND {sql}"));
    }
    (format!("FROM {} AS t WHERE {condition}", table(search)), params)
}

/// One page and a row: whole rows, but for large payloads of events, whose `body_key` is then set. `columns` are read
/// instead when there are any.
pub fn search(search: &Search, project_id: &str, end: Option<&str>, columns: &[&str]) -> Statement {
    let (from, params) = found(search, project_id, end);
    let columns: Vec<String> = match (search.kind, columns) {
        (_, [_, ..]) => columns.iter().map(|column| format!("t.{column} AS {column}")).collect(),
        (Kind::Deliveries, []) => DELIVERY_COLUMNS
            .split(", ")
            .map(|column| format!("t.{column} AS {column}"))
            .chain([DELIVERY_EVENT.to_owned()])
            .collect(),
        (Kind::Events, []) => EVENT_COLUMNS
            .split(", ")
            .map(|column| match column {
                "body" => format!(
                    "CASE WHEN length(t.body) <= {LISTED_BODY_MAX_BYTES} THEN t.body ELSE '' END AS body"
                ),
                "body_key" => format!(
                    "CASE WHEN length(t.body) <= {LISTED_BODY_MAX_BYTES} THEN t.body_key ELSE 'large' END AS body_key"
                ),
                column => format!("t.{column} AS {column}"),
            })
            .collect(),
    };
    let (columns, order, limit) = (columns.join(", "), order(search), search.page.limit());
    Statement {
        sql: format!("SELECT {columns} {from} ORDER BY t.id {order} LIMIT {limit}"),
        params,
    }
}

/// How many rows a search finds, as `n`, up to `most`.
pub fn count(search: &Search, project_id: &str, end: Option<&str>, most: u64) -> Statement {
    let (from, params) = found(search, project_id, end);
    Statement { sql: format!("SELECT count(*) AS n FROM (SELECT 1 {from} LIMIT {most})"), params }
}

/// Whether the list has a row before `id`, by the range alone.
pub fn has_before(search: &Search, project_id: &str, id: &str) -> Statement {
    let mut range = Range::whole(search, project_id);
    if search.ascending {
        range.up_to(id, false);
    } else {
        range.from(id, false);
    }
    let (condition, params) = range.condition();
    let table = table(search);
    let sql = format!("SELECT 1 AS found FROM {table} AS t WHERE {condition} LIMIT 1");
    Statement { sql, params }
}

// --- Again ---

/// Notes that events, pairs of project and event, have somebody who wants them after all.
pub fn note_wanted(events: Value) -> Statement {
    statement(
        "UPDATE events SET status = 'Success', failure_reason = '' \
         WHERE (project_id, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1)) AND status = 'Failure'",
        [events.into()],
    )
}

/// Puts deliveries that are over back to their start, if they have one of `statuses`, and under the eye of the sweep. `ids`
/// are pairs of project and delivery. Those it did come back.
pub fn reschedule(ids: Value, statuses: &[&str], now_ms: u64, look_at: u64) -> Statement {
    statement(
        "UPDATE deliveries SET status = 'Scheduled', description = '', due_at = NULL, lease_until = NULL, look_at = ?4, \
         updated_at = ?3 WHERE (project_id, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1)) \
         AND status IN (SELECT value FROM json_each(?2)) RETURNING project_id, id, endpoint_id",
        [ids.into(), json!(statuses).into(), now_ms.into(), look_at.into()],
    )
}

/// Those of these deliveries that have a status, as `id`.
pub fn deliveries_by_id(project_id: &str, ids: Value, status: &str) -> Statement {
    statement(
        "SELECT id FROM deliveries WHERE project_id = ?1 AND id IN (SELECT value FROM json_each(?2)) AND status = ?3",
        [project_id.into(), ids.into(), status.into()],
    )
}

// --- Retention ---

/// Events that one step of the retention removes, and deliveries.
pub const EXPIRE_ROWS: usize = 500;

/// The oldest events before the uid `cutoff`, as `id` and `body_key`, in order.
pub fn expired_events(project_id: &str, cutoff: &str) -> Statement {
    Statement {
        sql: format!(
            "SELECT id, body_key FROM events WHERE project_id = ?1 AND id < ?2 ORDER BY id LIMIT {EXPIRE_ROWS}"
        ),
        params: vec![project_id.into(), cutoff.into()],
    }
}

/// Removes the events up to `last`, which [`expired_events`] gave, with their claims: those whose time is over, or all. A
/// claim that outlives its event is noted, to be removed by [`expire_claims`]. Bodies in R2 are removed before.
pub fn expire_events(
    project_id: &str,
    last: &str,
    now_ms: u64,
    all_claims: bool,
) -> Vec<Statement> {
    let until = if all_claims { u64::MAX >> 11 } else { now_ms };
    let with_until =
        |sql: String| Statement { sql, params: vec![project_id.into(), last.into(), until.into()] };
    // The key of an event is among its source's, or among its project's.
    let left = |scope: &str| {
        format!(
            "SELECT c.expires_at, c.source_id, c.key FROM events AS e JOIN claims AS c \
             ON c.source_id = e.{scope} AND c.key = e.idempotency_key AND c.event_id = e.id \
             WHERE e.project_id = ?1 AND e.id <= ?2 AND c.expires_at > ?3"
        )
    };
    let keys = |scope: &str| {
        format!(
            "SELECT {scope}, idempotency_key FROM events \
             WHERE project_id = ?1 AND id <= ?2 AND idempotency_key IS NOT NULL"
        )
    };
    vec![
        with_until(format!(
            "INSERT INTO claims_left (expires_at, source_id, key) SELECT * FROM ({} UNION {}) WHERE true \
             ON CONFLICT DO NOTHING",
            left("source_id"),
            left("project_id")
        )),
        with_until(format!(
            "DELETE FROM claims WHERE (source_id, key) IN ({} UNION {}) AND expires_at <= ?3",
            keys("source_id"),
            keys("project_id")
        )),
        statement(
            "DELETE FROM events WHERE project_id = ?1 AND id <= ?2",
            [project_id.into(), last.into()],
        ),
    ]
}

/// Removes claims that outlived their events, now that their time is over. One that was taken over since stays: it is
/// another event's. The last statement gives back a row for each.
pub fn expire_claims(now_ms: u64) -> Vec<Statement> {
    let over = format!(
        "SELECT expires_at, source_id, key FROM claims_left WHERE expires_at <= ?1 ORDER BY expires_at LIMIT {EXPIRE_ROWS}"
    );
    let sql = |sql: String| Statement { sql, params: vec![now_ms.into()] };
    vec![
        sql(format!(
            "DELETE FROM claims WHERE (source_id, key) IN (SELECT source_id, key FROM ({over})) AND expires_at <= ?1"
        )),
        sql(format!(
            "DELETE FROM claims_left WHERE (expires_at, source_id, key) IN ({over}) RETURNING key"
        )),
    ]
}

/// The oldest notes of copies before the uid `cutoff`, as `id`, in order.
pub fn expired_duplicates(project_id: &str, cutoff: &str) -> Statement {
    Statement {
        sql: format!(
            "SELECT id FROM duplicates WHERE project_id = ?1 AND id < ?2 ORDER BY id LIMIT {EXPIRE_ROWS}"
        ),
        params: vec![project_id.into(), cutoff.into()],
    }
}

/// Removes the notes of copies up to `last`, which [`expired_duplicates`] gave.
pub fn expire_duplicates(project_id: &str, last: &str) -> Statement {
    statement(
        "DELETE FROM duplicates WHERE project_id = ?1 AND id <= ?2",
        [project_id.into(), last.into()],
    )
}

/// Removes the refused requests of a project that are older than `before_ms`.
pub fn expire_rejections(project_id: &str, before_ms: u64) -> Statement {
    statement(
        "DELETE FROM rejections WHERE project_id = ?1 AND at < ?2",
        [project_id.into(), before_ms.into()],
    )
}

/// Removes the oldest deliveries before `cutoff` with their attempts. The last statement gives back a row for each
/// delivery.
pub fn expire_deliveries(project_id: &str, cutoff: &str) -> Vec<Statement> {
    let oldest = |table: &str| {
        format!(
            "SELECT id FROM {table} WHERE project_id = ?1 AND id < ?2 ORDER BY id LIMIT {EXPIRE_ROWS}"
        )
    };
    let sql = |sql: String| Statement { sql, params: vec![project_id.into(), cutoff.into()] };
    vec![
        sql(format!("DELETE FROM attempts WHERE delivery_id IN ({})", oldest("deliveries"))),
        sql(format!(
            "DELETE FROM deliveries WHERE project_id = ?1 AND id IN ({}) RETURNING id",
            oldest("deliveries")
        )),
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

    /// Twenty events of two sources, `e00` (the oldest) to `e19`, as ids of one project.
    fn twenty() -> (rusqlite::Connection, Vec<String>) {
        let db = database();
        let ids: Vec<String> = (0..20).map(|n| crate::ids::lowest(1000 * n)).collect();
        let rows: Vec<Value> = (0u64..20)
            .zip(&ids)
            .map(|(n, id)| {
                let body = json!({"n": n, "deep": {"is": n % 2 == 0}, "text": format!("Text {n}")});
                json!([
                    "p",
                    id,
                    format!("s{}", n % 2),
                    "m",
                    "t",
                    1000 * n,
                    null,
                    "[]",
                    "",
                    null,
                    0,
                    null,
                    "Success",
                    "",
                    body.to_string()
                ])
            })
            .collect();
        run(&db, &crate::sql::insert_events(json!(rows), None));
        let rows: Vec<Value> = (0..20)
            .zip(&ids)
            .map(|(n, id)| {
                let own = crate::ids::delivery_uid(id, "sub");
                json!(["p", own, id, "sub", format!("e{}", n % 4), "s", "t", "at_least_once", 5])
            })
            .collect();
        run(&db, &crate::sql::insert_deliveries(json!(rows)));
        (db, ids)
    }

    /// All pages of a list, as the numbers of the events, and how many pages there were.
    fn all_pages(
        db: &rusqlite::Connection,
        ids: &[String],
        query: &str,
        scan: u64,
    ) -> (Vec<usize>, usize) {
        let (mut numbers, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let asked = Search::events(&format!("{query}&next_page_cursor={cursor}")).unwrap();
            let end = asked.scan_rows().and_then(|_| scan_end(&asked, "p", scan));
            let end = end.and_then(|end| Some(run(db, &end).first()?["id"].as_str()?.to_owned()));
            let rows = run(db, &search(&asked, "p", end.as_deref(), &[]));
            let found: Vec<String> =
                rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
            let (pagination, shown, _) = asked.pagination(&found, end.as_deref(), false);
            let number = |id: &String| ids.iter().position(|have| have == id).unwrap();
            numbers.extend(found[..shown].iter().map(number));
            pages += 1;
            assert!(pages < 50, "the cursor does not move");
            if !pagination.has_next_page {
                return (numbers, pages);
            }
            cursor = pagination.next_page_cursor;
        }
    }

    #[test]
    fn pages_show_each_event_once_however_few_rows_they_may_look_at() {
        let (db, ids) = twenty();
        let newest =
            |step: usize, of: usize| (0..20).rev().filter(|n| n % step == of).collect::<Vec<_>>();
        for scan in [1, 3, 7, 19, 20, 100] {
            let all = |query: &str| all_pages(&db, &ids, query, scan).0;
            assert_eq!(all("perPage=3"), newest(1, 0), "{scan}");
            assert_eq!(all("perPage=3&sourceId=s1"), newest(2, 1), "{scan}");
            assert_eq!(all("perPage=3&endpointId=e2"), newest(4, 2), "{scan}");
            assert_eq!(all("sourceId=s1&sourceId=s0"), newest(1, 0), "{scan}");
            let mut oldest = newest(2, 1);
            oldest.reverse();
            assert_eq!(all("perPage=3&sourceId=s1&sort=asc"), oldest, "{scan}");
            assert_eq!(all("query=TEXT 1"), [19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 1], "{scan}");
            assert_eq!(all("body={\"deep\":{\"is\":true},\"n\":4}"), [4], "{scan}");
            assert_eq!(all("body={\"n\":\"4\"}"), [0; 0], "{scan}");
            assert_eq!(all("body={\"deep\":{\"is\":1}}"), [0; 0], "{scan}");
            assert_eq!(all("startDate=1970-01-01T00:00:05&endDate=1970-01-01T00:00:07"), [7, 6, 5]);
        }
        assert_eq!(all_pages(&db, &ids, "sourceId=none", 3), (vec![], 7));
    }

    #[test]
    fn going_back_shows_what_was_shown_before() {
        let (db, ids) = twenty();
        for sort in ["asc", "desc"] {
            let query = format!("perPage=3&sourceId=s1&sort={sort}");
            let (mut expect, _) = all_pages(&db, &ids, &query, 100);
            expect.truncate(expect.iter().position(|n| *n == 9).unwrap());
            for scan in [1, 2, 5, 100] {
                let (mut numbers, mut cursor) = (Vec::new(), ids[9].clone());
                for _ in 0..50 {
                    let asked = Search::events(&format!(
                        "{query}&direction=prev&prev_page_cursor={cursor}"
                    ))
                    .unwrap();
                    let end = scan_end(&asked, "p", scan).map(|end| run(&db, &end));
                    let end = end.and_then(|rows| Some(rows.first()?["id"].as_str()?.to_owned()));
                    let rows = run(&db, &search(&asked, "p", end.as_deref(), &["id"]));
                    let found: Vec<String> =
                        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
                    let (pagination, shown, turned) =
                        asked.pagination(&found, end.as_deref(), true);
                    assert!(turned && pagination.has_next_page);
                    let number = |id: &String| ids.iter().position(|have| have == id).unwrap();
                    numbers.extend(found[..shown].iter().map(number));
                    if !pagination.has_prev_page {
                        break;
                    }
                    cursor = pagination.prev_page_cursor;
                }
                numbers.reverse();
                assert_eq!(numbers, expect, "{sort} {scan}");
            }
        }
    }

    #[test]
    fn counts_owners_and_deliveries_are_found() {
        let (db, ids) = twenty();
        let n = |asked: &Search| run(&db, &count(asked, "p", None, 8))[0]["n"].as_u64().unwrap();
        assert_eq!(n(&Search::events("").unwrap()), 8);
        assert_eq!(n(&Search::events("endpointId=e1").unwrap()), 5);
        let mut owner = Search::events("ownerId=o").unwrap();
        owner.of_owner(&["e1".into()]);
        assert_eq!(n(&owner), 5);
        let deliveries = |query: &str| n(&Search::deliveries(query).unwrap());
        assert_eq!(deliveries(&format!("eventId={}", ids[3])), 1);
        assert_eq!(deliveries("eventId=none"), 0);
        assert_eq!(deliveries("endpointId=e1&status=Scheduled&subscriptionId=sub&eventType=t"), 5);
        assert_eq!(deliveries("status=Failure"), 0);
        assert_eq!(deliveries("idempotencyKey=k"), 0);
        assert_eq!(deliveries("brokerMessageId=k"), 0);
        let asked = Search::events("").unwrap();
        assert_eq!(run(&db, &has_before(&asked, "p", &ids[19])).len(), 0);
        assert_eq!(run(&db, &has_before(&asked, "p", &ids[18])).len(), 1);
        let some = json!([crate::ids::delivery_uid(&ids[0], "sub"), "x"]);
        assert_eq!(run(&db, &deliveries_by_id("p", some.clone(), "Scheduled")).len(), 1);
        assert_eq!(run(&db, &deliveries_by_id("p", some, "Success")).len(), 0);
    }

    #[test]
    fn only_what_is_over_is_put_back_to_its_start() {
        let (db, ids) = twenty();
        let id = crate::ids::delivery_uid(&ids[0], "sub");
        let pairs = json!([["p", id]]);
        assert_eq!(run(&db, &reschedule(pairs.clone(), &["Failure"], 1, 2)).len(), 0);
        run(&db, &statement("UPDATE deliveries SET status = 'Failure', description = 'x'", []));
        assert_eq!(run(&db, &reschedule(pairs.clone(), &["Failure"], 1, 2)).len(), 1);
        assert_eq!(run(&db, &crate::sql::scheduled(pairs)).len(), 1);
        assert_eq!(run(&db, &crate::sql::look(2, 3)).len(), 1);
    }

    #[test]
    fn what_is_too_old_goes_with_all_that_belongs_to_it() {
        let (db, ids) = twenty();
        let claims = [
            ("s1", "own", 9, 1),
            ("p", "pushed", 9, 3),
            ("s1", "held", 5_000, 5),
            ("s1", "new", 9, 15),
        ];
        for (scope, key, at, event) in claims {
            run(&db, &crate::sql::claim(json!([[scope, key, ids[event], 0, at]])));
        }
        for (id, key) in [(&ids[1], "own"), (&ids[3], "pushed"), (&ids[5], "held")] {
            let sql = "UPDATE events SET idempotency_key = ?2 WHERE id = ?1";
            run(&db, &statement(sql, [id.as_str().into(), key.into()]));
        }
        for (n, id) in [(1, &ids[0]), (1, &ids[15])] {
            let own = crate::ids::delivery_uid(id, "sub");
            let sql = "INSERT INTO attempts (delivery_id, n, doc) VALUES (?1, ?2, '')";
            run(&db, &statement(sql, [own.into(), u64::into(n)]));
            let sql = "INSERT INTO duplicates (project_id, id, event_id, received_at) VALUES ('p', ?1, '', 0)";
            run(&db, &statement(sql, [id.as_str().into()]));
        }
        let old = run(&db, &expired_events("p", &ids[10]));
        assert_eq!(old.len(), 10);
        assert_eq!(run(&db, &expired_events("q", &ids[10])).len(), 0);
        let last = old[9]["id"].as_str().unwrap();
        for statement in expire_events("p", last, 1_000, false) {
            run(&db, &statement);
        }
        let copies = run(&db, &expired_duplicates("p", &ids[10]));
        assert_eq!(copies.len(), 1);
        run(&db, &expire_duplicates("p", copies[0]["id"].as_str().unwrap()));
        let gone: Vec<usize> =
            expire_deliveries("p", &ids[10]).iter().map(|one| run(&db, one).len()).collect();
        assert_eq!(gone, [0, 10]);
        let left = |table: &str| {
            run(&db, &statement(&format!("SELECT count(*) AS n FROM {table}"), []))[0]["n"].as_u64()
        };
        for (table, expect) in
            [("events", 10), ("deliveries", 10), ("attempts", 1), ("duplicates", 1), ("claims", 2)]
        {
            assert_eq!(left(table), Some(expect), "{table}");
        }
        let over = |now| expire_claims(now).iter().map(|one| run(&db, one).len()).sum::<usize>();
        assert_eq!((over(4_999), left("claims"), left("claims_left")), (0, Some(2), Some(1)));
        assert_eq!((over(5_000), left("claims"), left("claims_left")), (1, Some(1), Some(0)));
        let sql = "UPDATE events SET idempotency_key = 'late' WHERE id = ?1";
        run(&db, &statement(sql, [ids[16].as_str().into()]));
        run(&db, &crate::sql::claim(json!([["s0", "late", ids[16], 0, 9_000]])));
        for statement in expire_events("p", "~", 1_000, true) {
            run(&db, &statement);
        }
        assert_eq!((left("events"), left("claims_left")), (Some(0), Some(0)));
    }
}
