use super::*;
use crate::route::SubscriptionRow;
use crate::sql::insert_subscription;
use crate::sql::tests::{database, plan, run, vault};

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
    assert_eq!(docs(&subscriptions_of_endpoints(&[("p", "1"), ("p", "4")], "")), ["\"1\""]);
    assert_eq!(docs(&subscriptions_of_projects(&["p"], "")).len(), 3);
    assert_eq!(docs(&subscriptions_of_projects(&["p"], "1")).len(), 2, "the page after it");
    assert_eq!(docs(&endpoints_of_urls("p", &["u", "none"])).len(), 1);
    assert_eq!(docs(&endpoints_of_urls("q", &["v"])).len(), 0);
    let plan = plan(&db, &endpoints_of_urls("p", &["u"]));
    assert!(plan.contains("SEARCH endpoints USING INDEX endpoints_by_url"), "{plan}");
    let owned = run(&db, &endpoints_of_owners(&[("p", "o"), ("p", "")]));
    let owned: Vec<_> = owned.iter().map(|row| row["endpoint_id"].as_str().unwrap()).collect();
    assert_eq!(owned, ["1", "3"]);
}

#[test]
fn subscriptions_are_read_without_their_functions_and_in_pages_that_an_answer_holds() {
    let db = database();
    let number = "12345678901234567890.10";
    let fields = format!(
        r#""filter_config":{{"filter":{{"body":{{"n":{number}}}}}}},"function":"{}""#,
        "f".repeat(65_000)
    );
    let mut all: Vec<Subscription> = Vec::new();
    for n in 100..200 {
        let body = format!(r#"{{"name":"{n}","endpoint_id":"e",{fields}}}"#);
        let input = crate::api::parse(body.as_bytes()).unwrap();
        let one = Subscription::create(input, "p", false, 0, &mut |b| b.fill(n)).unwrap();
        run(&db, &insert_subscription(&one, false));
        all.push(Subscription { function: String::new(), ..one });
    }
    let mut read: Vec<SubscriptionRow> = Vec::new();
    let mut pages = Vec::new();
    loop {
        let after = read.last().map(|row| row.id.clone()).unwrap_or_default();
        let rows = run(&db, &subscriptions_of_endpoints(&[("p", "e")], &after));
        let rows: Vec<SubscriptionRow> = serde_json::from_value(json!(rows)).unwrap();
        let is_last = SubscriptionRow::are_last(&rows);
        pages.push(rows.len());
        read.extend(rows);
        if is_last {
            break;
        }
    }
    assert_eq!(pages, [62, 38]);
    let docs: Vec<Subscription> =
        read.iter().map(|row| crate::json::read(&row.doc).unwrap()).collect();
    assert_eq!(docs, all);
    assert!(read[0].doc.contains(number) && !read[0].doc.contains("ffff"));
}

#[test]
fn dynamic_events_make_one_endpoint_and_one_subscription() {
    let db = database();
    for (n, types) in [(1u8, "a"), (2, "a"), (3, "b")] {
        let input = crate::api::parse(br#"{"name":"a","url":"https://example.com/"}"#).unwrap();
        let endpoint =
            Endpoint::create(input, "p", false, &vault(), 0, &mut |b| b.fill(n)).unwrap().0;
        run(&db, &insert_endpoint_of_new_url(&endpoint));
        let body =
            json!({"name": "x", "endpoint_id": "e", "filter_config": {"event_types": [types]}});
        let input = crate::api::parse(body.to_string().as_bytes()).unwrap();
        let subscription = Subscription::create(input, "p", false, 0, &mut |b| b.fill(n)).unwrap();
        for statement in subscribe_dynamic(&subscription) {
            run(&db, &statement);
        }
        let rows = run(&db, &subscriptions_of_projects(&["p"], ""));
        let stored: Subscription = serde_json::from_str(rows[0]["doc"].as_str().unwrap()).unwrap();
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

/// The rows of a page that may look `looks` times at `scan` rows, and where they ended.
fn looked_for(
    db: &rusqlite::Connection,
    asked: &Search,
    (scan, looks): (u64, u32),
) -> (Vec<String>, Option<String>) {
    let (mut found, mut end, mut next) = (Vec::new(), None, Some(asked.clone()));
    for _ in 0..looks {
        let Some(look) = next else { break };
        let ended = look.scan_rows().and_then(|_| scan_end(&look, "p", scan));
        end = ended.and_then(|end| Some(run(db, &end).first()?["id"].as_str()?.to_owned()));
        let rows = run(db, &search(&look, "p", end.as_deref(), &["id"]));
        found.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        next = asked.onward(end.as_deref(), found.len());
    }
    (found, end)
}

/// All pages of a list, as the numbers of the events, and how many pages there were.
fn all_pages(
    db: &rusqlite::Connection,
    ids: &[String],
    query: &str,
    scan: (u64, u32),
) -> (Vec<usize>, usize) {
    let (mut numbers, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let asked = Search::events(&format!("{query}&next_page_cursor={cursor}")).unwrap();
        let (found, end) = looked_for(db, &asked, scan);
        let (shown, pagination) = asked.page.page(found, |id| id, end.as_deref(), false);
        let number = |id: &String| ids.iter().position(|have| have == id).unwrap();
        numbers.extend(shown.iter().map(number));
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
    for scan in
        [(1, 1), (1, 2), (1, 7), (3, 1), (3, 3), (7, 1), (7, 10), (19, 1), (20, 2), (100, 1)]
    {
        let all = |query: &str| all_pages(&db, &ids, query, scan).0;
        assert_eq!(all("perPage=3"), newest(1, 0), "{scan:?}");
        assert_eq!(all("perPage=3&sourceId=s1"), newest(2, 1), "{scan:?}");
        assert_eq!(all("perPage=3&endpointId=e2"), newest(4, 2), "{scan:?}");
        assert_eq!(all("sourceId=s1&sourceId=s0"), newest(1, 0), "{scan:?}");
        let mut oldest = newest(2, 1);
        oldest.reverse();
        assert_eq!(all("perPage=3&sourceId=s1&sort=asc"), oldest, "{scan:?}");
        assert_eq!(all("query=TEXT 1"), [19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 1], "{scan:?}");
        assert_eq!(all("body={\"deep\":{\"is\":true},\"n\":4}"), [4], "{scan:?}");
        assert_eq!(all("body={\"n\":\"4\"}"), [0; 0], "{scan:?}");
        assert_eq!(all("body={\"deep\":{\"is\":1}}"), [0; 0], "{scan:?}");
        assert_eq!(all("startDate=1970-01-01T00:00:05&endDate=1970-01-01T00:00:07"), [7, 6, 5]);
    }
    assert_eq!(all_pages(&db, &ids, "sourceId=none", (3, 1)), (vec![], 7));
    // Pages that may look on are fewer.
    for (looks, pages) in [(1, 7), (2, 4), (3, 3), (4, 2), (10, 2)] {
        let (numbers, came) = all_pages(&db, &ids, "perPage=5&sourceId=s1", (3, looks));
        assert_eq!((numbers.len(), came), (10, pages), "{looks}");
    }
    assert_eq!(all_pages(&db, &ids, "sourceId=none", (3, 7)), (vec![], 1));
}

#[test]
fn going_back_shows_what_was_shown_before() {
    let (db, ids) = twenty();
    for sort in ["asc", "desc"] {
        let query = format!("perPage=3&sourceId=s1&sort={sort}");
        let (mut expect, _) = all_pages(&db, &ids, &query, (100, 1));
        expect.truncate(expect.iter().position(|n| *n == 9).unwrap());
        for scan in [(1, 1), (1, 3), (2, 1), (2, 2), (5, 1), (5, 9), (100, 1)] {
            let (mut numbers, mut cursor) = (Vec::new(), ids[9].clone());
            for _ in 0..50 {
                let asked =
                    Search::events(&format!("{query}&direction=prev&prev_page_cursor={cursor}"))
                        .unwrap();
                let (found, end) = looked_for(&db, &asked, scan);
                let (shown, pagination) = asked.page.page(found, |id| id, end.as_deref(), true);
                assert!(pagination.has_next_page);
                let number = |id: &String| ids.iter().position(|have| have == id).unwrap();
                numbers.extend(shown.iter().rev().map(number));
                if !pagination.has_prev_page {
                    break;
                }
                cursor = pagination.prev_page_cursor;
            }
            numbers.reverse();
            assert_eq!(numbers, expect, "{sort} {scan:?}");
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
    let asked = Search::deliveries("endpointId=e1&endpointId=e2").unwrap();
    let ways = |most: u64| run(&db, &count_by_way(&asked, "p", None, most));
    let way = |endpoint: &str| json!({"endpoint_id": endpoint, "subscription_id": "sub", "n": 5});
    assert_eq!(ways(100), [way("e1"), way("e2")]);
    assert_eq!(ways(7).iter().filter_map(|row| row["n"].as_u64()).sum::<u64>(), 7);
    run(&db, &statement("UPDATE deliveries SET status = 'Success' WHERE endpoint_id = 'e1'", []));
    let by_status = |end: Option<&str>| json!(run(&db, &count_by_status(&asked, "p", end)));
    let counts = |scheduled: u64, success: u64| json!([{"status": "Scheduled", "n": scheduled}, {"status": "Success", "n": success}]);
    assert_eq!(by_status(None), counts(5, 5));
    assert_eq!(by_status(Some(&ids[16])), counts(1, 1));
    run(&db, &statement("UPDATE deliveries SET status = 'Scheduled'", []));
    let asked = Search::events("").unwrap();
    assert_eq!(run(&db, &has_before(&asked, "p", &ids[19])).len(), 0);
    assert_eq!(run(&db, &has_before(&asked, "p", &ids[18])).len(), 1);
    let some = json!([crate::ids::delivery_uid(&ids[0], "sub"), "x"]);
    assert_eq!(run(&db, &deliveries_by_id("p", some.clone(), Status::Scheduled)).len(), 1);
    assert_eq!(run(&db, &deliveries_by_id("p", some, Status::Success)).len(), 0);
}

#[test]
fn an_event_that_is_sent_again_is_what_its_functions_make_of_it_now() {
    let (db, ids) = twenty();
    let sql = "UPDATE events SET status = 'Failure', failure_reason = 'for nobody' WHERE id < ?1";
    run(&db, &statement(sql, [ids[2].as_str().into()]));
    run(&db, &note_wanted(json!([["p", ids[0]], ["q", ids[1]]])));
    let of = |n: usize| run(&db, &crate::sql::event("p", &ids[n])).remove(0);
    let outcome = |n: usize| (of(n)["status"].clone(), of(n)["failure_reason"].clone());
    assert_eq!(outcome(0), (json!("Success"), json!("")));
    assert_eq!(outcome(1), (json!("Failure"), json!("for nobody")), "another project's");

    let row = |project: &str, n: usize, body: Option<&str>| {
        json!([project, ids[n], "text/plain", "[1]", 0, null, body, "{}"])
    };
    let (bound, others) = (row("p", 0, None), row("q", 2, Some("theirs")));
    run(&db, &remake_events(json!([bound]), Some("large".into())));
    run(&db, &remake_events(json!([row("p", 1, Some("small")), others]), None));
    let made = |n: usize| {
        ["content_type", "headers", "body", "arrived"].map(|column| of(n)[column].clone())
    };
    assert_eq!(json!(made(0)), json!(["text/plain", "[1]", "large", "{}"]));
    assert_eq!(json!(made(1)), json!(["text/plain", "[1]", "small", "{}"]));
    assert_eq!((&made(2)[0], &made(2)[3]), (&Value::Null, &Value::Null), "another project's");
}

#[test]
fn refused_requests_go_with_their_age() {
    let db = database();
    for (project, source, at) in [("p", "s", 5), ("p", "t", 6), ("q", "s", 5)] {
        run(&db, &crate::sql::keep_rejection(project, source, at, json!({"at": at})));
    }
    run(&db, &expire_rejections("p", 6));
    let left = |project, source| run(&db, &crate::sql::rejections(project, source)).len();
    assert_eq!((left("p", "s"), left("p", "t"), left("q", "s")), (0, 1, 1));
}

#[test]
fn only_what_is_over_is_put_back_to_its_start() {
    let (db, ids) = twenty();
    let id = crate::ids::delivery_uid(&ids[0], "sub");
    let pairs = json!([["p", id]]);
    assert_eq!(run(&db, &reschedule(pairs.clone(), &[Status::Failure], 1, 2)).len(), 0);
    run(&db, &statement("UPDATE deliveries SET status = 'Failure', description = 'x'", []));
    assert_eq!(run(&db, &reschedule(pairs.clone(), &[Status::Failure], 1, 2)).len(), 1);
    assert_eq!(run(&db, &crate::sql::unfinished(pairs)).len(), 1);
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

#[test]
fn deliveries_are_found_by_what_the_payload_of_their_event_says() {
    let (db, ids) = twenty();
    let own = crate::ids::delivery_uid(&ids[3], "sub");
    let found = |query: &str| {
        let asked = Search::deliveries(query).unwrap();
        assert_eq!(asked.scan_rows(), Some(1_000), "payloads are read");
        let rows = run(&db, &search(&asked, "p", None, &["event_id"]));
        let number = |row: &Value| ids.iter().position(|id| *id == row["event_id"]).unwrap();
        rows.iter().map(number).collect::<Vec<_>>()
    };
    for (query, expect) in [
        ("query=TEXT 1", vec![19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 1]),
        ("q=text 7", vec![7]),
        ("query={\"n\":4}", vec![4]),
        ("body={\"deep\":{\"is\":true}}&endpointId=e2", vec![18, 14, 10, 6, 2]),
        ("query=nothing", vec![]),
        (&format!("query={}", ids[5]), vec![5]),
        (&format!("query={}", own.to_lowercase()), vec![3]),
    ] {
        assert_eq!(found(query), expect, "{query}");
    }
}

/// As `JSON.parse` has it, and so filters and schemas.
#[test]
fn of_equal_keys_the_last_is_what_a_payload_says() {
    let (db, ids) = twenty();
    let found = |body: &str, asked: &str| {
        let put = statement(
            "UPDATE events SET body = ?2 WHERE id = ?1",
            [ids[0].as_str().into(), body.into()],
        );
        run(&db, &put);
        let asked = Search::events(&format!(
            "body={}&endDate=1970-01-01T00:00:00",
            asked.replace('+', "%2B")
        ))
        .unwrap();
        !run(&db, &search(&asked, "p", None, &["id"])).is_empty()
    };
    for (body, asked, expect) in [
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#, true),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#, false),
        (r#"{"o":{"a":"x","a":"y","a":"z"}}"#, r#"{"o":{"a":"z"}}"#, true),
        (r#"{"o":{"a":"x","a":"y","a":"z"}}"#, r#"{"o":{"a":"y"}}"#, false),
        (r#"{"a":true,"a":[1,2]}"#, r#"{"a":[1,2]}"#, true),
        (r#"{"a":1,"a":9223372036854775809}"#, r#"{"a":9223372036854775809}"#, true),
        (r#"{"a":1,"a":9223372036854775809}"#, r#"{"a":9223372036854775808}"#, false),
        (r#"{"a":1.50,"b":null}"#, r#"{"a":1.5}"#, true),
        (r#"{"a":1,"b":null}"#, r#"{"b":null}"#, true),
        (r#"{"a":1}"#, r#"{"b":null}"#, false),
        (r#"{"o":{}}"#, r#"{"o":{}}"#, true),
        (r#"{"o":{"n":null}}"#, r#"{"o":{}}"#, false),
        (r#"{"l":[{"n":null,"m":1},null]}"#, r#"{"l":[{"n":null,"m":1},null]}"#, true),
        (r#"{"l":[null]}"#, r#"{"l":[]}"#, false),
        ("[1]", r#"{"a":1}"#, false),
    ] {
        assert_eq!(found(body, asked), expect, "{body} {asked}");
    }
}

#[test]
fn the_endpoints_of_a_page_of_events_are_read_at_once() {
    let (db, ids) = twenty();
    let asked: Vec<&str> = [4, 5, 0].iter().map(|n| ids[*n].as_str()).chain(["none"]).collect();
    let rows = run(&db, &crate::sql::endpoints_of_events("p", &asked));
    let mut went: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row["event_id"].as_str().unwrap(), row["endpoints"].as_str().unwrap()))
        .collect();
    went.sort_unstable();
    let expect = [(&*ids[0], r#"["e0"]"#), (&*ids[4], r#"["e0"]"#), (&*ids[5], r#"["e1"]"#)];
    assert_eq!(went, expect);
    assert!(run(&db, &crate::sql::endpoints_of_events("other", &asked)).is_empty());
}

#[test]
fn a_list_leaves_out_what_is_large_by_its_own_bytes() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let db = database();
    let coded = |bytes: usize| STANDARD.encode(vec![255u8; bytes]);
    let arrived = |text: &str, is_base64: bool| json!({"body": [text, is_base64]}).to_string();
    let rows = [
        ("1", "x".repeat(16_384), 0, None, true),
        ("2", "x".repeat(16_385), 0, None, false),
        ("3", coded(16_384), 1, None, true),
        ("4", coded(16_385), 1, None, false),
        // Two bytes each.
        ("5", "ü".repeat(8_192), 0, None, true),
        ("6", "ü".repeat(8_193), 0, None, false),
        ("7", "{}".to_owned(), 0, Some(arrived(&coded(16_200), true)), true),
        ("8", "{}".to_owned(), 0, Some(arrived(&coded(16_400), true)), false),
        ("9", "{}".to_owned(), 0, Some(arrived(&"x".repeat(16_400), false)), false),
    ];
    for (id, body, is_base64, arrived, _) in &rows {
        let event = json!([
            "p", id, "s", "m", "t", 5, null, "[]", "", null, is_base64, null, "Success", "", body,
            null, null, null, null, arrived
        ]);
        run(&db, &crate::sql::insert_events(json!([event]), None));
        let delivery = json!(["p", id, id, "sub", "e", "s", "t", "at_least_once", 5]);
        run(&db, &crate::sql::insert_deliveries(json!([delivery])));
    }
    let events = run(&db, &search(&Search::events("sort=ASC").unwrap(), "p", None, &[]));
    let deliveries = run(&db, &search(&Search::deliveries("sort=ASC").unwrap(), "p", None, &[]));
    assert_eq!((events.len(), deliveries.len()), (rows.len(), rows.len()));
    for (id, _, _, arrived, is_listed) in &rows {
        let event = events.iter().find(|row| row["id"] == *id).unwrap();
        assert_eq!(event["body_key"] != CUT, *is_listed, "{id}");
        if arrived.is_none() {
            let delivery = deliveries.iter().find(|row| row["id"] == *id).unwrap();
            let event: Value = serde_json::from_str(delivery["event"].as_str().unwrap()).unwrap();
            assert_eq!(event["body"].is_string(), *is_listed, "{id}");
        }
    }
}
