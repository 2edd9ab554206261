//! Lists of sources, their names, what they count, and what goes with one that is deleted.

use inlet_tests::{Endpoint, Project, poll_until};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

fn uid(value: &Value) -> &str {
    value["uid"].as_str().expect("a uid")
}

fn names(project: &Project, query: &str) -> Vec<String> {
    let sources = project.list(&format!("/sources?{query}"));
    sources.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn sources_are_found_by_type_provider_and_a_part_of_their_name() {
    let (project, other) = (gateway().project(), gateway().project());
    other.open_source();
    for (name, kind) in [("Alpha", "http"), ("beta", "rest_api"), ("alphabet", "http")] {
        project.source(json!({"name": name, "type": kind, "verifier": {"type": "noop"}}));
    }
    project.github_source("a-secret");
    for (query, expect) in [
        ("", vec!["github", "alphabet", "beta", "Alpha"]),
        ("sort=ASC", vec!["Alpha", "beta", "alphabet", "github"]),
        ("type=rest_api", vec!["beta"]),
        ("type=none", vec![]),
        ("provider=github", vec!["github"]),
        ("q=ALPHA", vec!["alphabet", "Alpha"]),
        ("q=a&type=http&sort=asc", vec!["Alpha", "alphabet"]),
        ("q=%25", vec![]),
        ("type=http&provider=github&q=hub", vec!["github"]),
    ] {
        assert_eq!(names(&project, query), expect, "{query}");
    }
}

#[test]
fn pages_go_forth_and_back_in_both_orders() {
    let project = gateway().project();
    let all: Vec<String> = (0..5).map(|n| format!("s{n}")).collect();
    for name in &all {
        project.open_source_with(json!({"name": name}));
    }
    for (sort, first, second) in
        [("desc", ["s4", "s3"], ["s2", "s1"]), ("asc", ["s0", "s1"], ["s2", "s3"])]
    {
        let page = |more: &str| {
            let data =
                project.get(&format!("/sources?perPage=2&sort={sort}&{more}")).expect(200).data();
            let content = data["content"].as_array().expect("a page").iter();
            let names: Vec<String> =
                content.map(|one| one["name"].as_str().expect("a name").to_owned()).collect();
            (names, data["pagination"].clone())
        };
        let (names, pagination) = page("");
        assert_eq!(names, first);
        assert_eq!(
            (&pagination["has_next_page"], &pagination["has_prev_page"]),
            (&json!(true), &json!(false))
        );
        let next = pagination["next_page_cursor"].as_str().expect("a cursor");
        let (names, pagination) = page(&format!("next_page_cursor={next}"));
        assert_eq!(names, second);
        assert_eq!(
            (&pagination["has_next_page"], &pagination["has_prev_page"]),
            (&json!(true), &json!(true))
        );
        let back = pagination["prev_page_cursor"].as_str().expect("a cursor");
        let (names, pagination) = page(&format!("direction=prev&prev_page_cursor={back}"));
        assert_eq!(names, first);
        assert_eq!(
            (&pagination["has_next_page"], &pagination["has_prev_page"]),
            (&json!(true), &json!(false))
        );
    }
}

#[test]
fn names_are_unique_where_the_project_says_so() {
    let project = gateway().project_with(json!({"unique_source_names": true}));
    let body = |name: &str| json!({"name": name, "type": "http", "verifier": {"type": "noop"}});
    let first = project.source(body("a"));
    let refused = project.post("/sources", &body("a")).expect(400);
    assert_eq!(refused.message(), "a source with this name already exists");
    let second = project.source(body("b"));
    let path = format!("/sources/{}", uid(&second));
    let refused = project.put(&path, &body("a")).expect(400);
    assert_eq!(refused.message(), "a source with this name already exists");
    assert_eq!(project.get(&path).data()["name"], "b");
    project.put(&format!("/sources/{}", uid(&first)), &body("a")).expect(202);
    gateway().project_with(json!({"unique_source_names": true})).source(body("a"));
    let free = gateway().project();
    free.source(body("a"));
    free.source(body("a"));
}

#[test]
fn a_name_that_two_have_from_before_it_had_to_be_unique_is_no_fault_of_other_changes() {
    let project = gateway().project();
    let body = json!({"name": "a", "type": "http", "provider": "asana"});
    let [first, second] = [(); 2].map(|()| project.source(body.clone()));
    project.source(json!({"name": "b", "type": "http", "verifier": {"type": "noop"}}));
    project.put("", &json!({"config": {"unique_source_names": true}})).expect(202);
    project.post(&format!("/sources/{}/arm", uid(&first)), &json!({"seconds": 60})).expect(200);
    let path = format!("/sources/{}", uid(&second));
    let disabled = json!({"name": "a", "type": "http", "is_disabled": true});
    project.put(&path, &disabled).expect(202);
    assert_eq!(project.get(&path).data()["is_disabled"], true);
    let renamed = |name: &str| project.put(&path, &json!({"name": name, "type": "http"}));
    renamed("b").expect(400);
    renamed("c").expect(202);
    renamed("a").expect(400);
}

#[test]
fn a_source_counts_its_events_and_knows_the_last() {
    in_both_modes(|gateway| {
        let project = gateway.project();
        let keyed = json!({"idempotency_keys": ["request.header.X-Id"]});
        let (source, quiet) = (project.open_source_with(keyed), project.open_source());
        for id in ["1", "2", "2", "3"] {
            project.ingest_call(&source).header("X-Id", id).body("{}").send().expect(200);
        }
        let path = format!("/sources/{}", uid(&source));
        let shown = poll_until("three events", || {
            let shown = project.get(&path).data();
            (shown["event_count"] == 3).then_some(shown)
        });
        let events = project.stored_events();
        let last = events.iter().filter_map(|one| one["received_at"].as_u64()).max();
        let sql = "SELECT max(at) AS last_event_at FROM (SELECT last_event_at AS at FROM source_counts WHERE source_id = ?1 \
            UNION ALL SELECT j.value ->> 3 FROM journal_state AS s, json_each(s.counts) AS j WHERE j.value ->> 1 = ?1)";
        let kept = gateway.sql("EVENTS_0", sql, &[source["uid"].clone()]);
        assert_eq!(kept[0]["last_event_at"].as_u64(), last);
        assert!(shown["last_event_at"].as_str().is_some_and(|at| at.ends_with('Z')));
        let listed = project.list("/sources");
        let of =
            |source: &Value| listed.iter().find(|one| one["uid"] == source["uid"]).expect("listed");
        assert_eq!(of(&source)["event_count"], 3, "a copy is no event");
        assert_eq!(
            (&of(&quiet)["event_count"], &of(&quiet)["last_event_at"]),
            (&json!(0), &Value::Null)
        );
    });
}

#[test]
fn a_deleted_source_takes_its_subscriptions_and_its_place_at_the_edge_with_it() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let (source, kept) = (project.open_source(), project.open_source());
    project.route(&source, &endpoint);
    project.route(&kept, &endpoint);
    let id = project.ingest(&source, b"{}").expect(200).header("inlet-event-id").map(str::to_owned);
    let id = id.expect("an id");
    project.wait_for_event(&id);
    let key = format!("source:{}", source["mask_id"].as_str().expect("a mask"));
    assert!(gateway().kv(&key).is_some());
    let reply = project.delete(&format!("/sources/{}", uid(&source))).expect(200);
    assert_eq!(reply.message(), "Source deleted successfully");
    assert_eq!(gateway().kv(&key), None);
    project.ingest(&source, b"{}").expect(404);
    let left = project.list("/subscriptions");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["source_id"], kept["uid"]);
    project.event(&id);
    for table in ["source_counts", "verdicts", "rejections"] {
        let sql = format!("SELECT 1 FROM {table} WHERE source_id = ?1");
        assert!(gateway().sql("EVENTS_0", &sql, &[source["uid"].clone()]).is_empty(), "{table}");
    }
}
