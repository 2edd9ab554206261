//! Pages as Convoy has them: every list, its limits, its cursors, both orders, forth and back.

use std::collections::BTreeSet;

use inlet_tests::{Endpoint, Project, uid};
use serde_json::{Value, json};

use crate::gateway;

/// The cursor that Convoy puts before all items.
const TOP: &str = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";
const LISTS: [&str; 6] =
    ["/sources", "/endpoints", "/subscriptions", "/events", "/eventdeliveries", "/portal-links"];

/// A project with five things in each list.
fn full() -> (Project<'static>, Endpoint) {
    let server = Endpoint::ok();
    let project = gateway().project();
    for n in 0..5 {
        let source = project.open_source_with(json!({"name": format!("s{n}")}));
        project.route_with(&source, &server, json!({"owner_id": format!("o{n}")}));
        let link = json!({"name": format!("p{n}"), "owner_id": format!("o{n}")});
        project.post("/portal-links", &link).expect(201);
        let answer = project.ingest(&source, b"{}").expect(200).json();
        project.wait_for_delivery(answer["event_id"].as_str().expect("an id"), "Success");
    }
    (project, server)
}

#[track_caller]
fn page(project: &Project<'_>, path: &str) -> (Vec<String>, Value) {
    let data = project.get(path).expect(200).data();
    let ids = data["content"].as_array().expect("content").iter().map(uid).collect();
    let pagination = data["pagination"].clone();
    let names: BTreeSet<&str> =
        pagination.as_object().expect("an object").keys().map(String::as_str).collect();
    let expect =
        ["per_page", "has_next_page", "has_prev_page", "prev_page_cursor", "next_page_cursor"];
    assert_eq!(names, BTreeSet::from(expect), "{path}");
    (ids, pagination)
}

fn cursor(pagination: &Value, name: &str) -> String {
    pagination[name].as_str().expect("a cursor").to_owned()
}

#[test]
fn every_list_is_walked_forth_and_back_in_both_orders() {
    let (project, _server) = full();
    for list in LISTS {
        let (newest_first, _) = page(&project, list);
        assert_eq!(newest_first.len(), 5, "{list}");
        assert!(newest_first.is_sorted_by(|a, b| b < a), "{list}: {newest_first:?}");
        for sort in ["", "&sort=DESC", "&sort=asc", "&sort=ASC", "&sort=sideways"] {
            let mut all = newest_first.clone();
            if sort.eq_ignore_ascii_case("&sort=asc") {
                all.reverse();
            }
            for per_page in 1..=6 {
                let path = format!("{list}?perPage={per_page}{sort}");
                let mut at = String::new();
                let mut seen: Vec<(Vec<String>, Value)> = Vec::new();
                loop {
                    let (ids, pagination) =
                        page(&project, &format!("{path}&direction=next&next_page_cursor={at}"));
                    let done = pagination["has_next_page"] == false;
                    at = cursor(&pagination, "next_page_cursor");
                    assert_eq!(done, at.is_empty(), "{path}: {pagination}");
                    assert_eq!(pagination["per_page"], per_page);
                    assert_eq!(
                        pagination["has_prev_page"],
                        !seen.is_empty(),
                        "{path}: {pagination}"
                    );
                    assert_eq!(cursor(&pagination, "prev_page_cursor"), ids[0], "{path}");
                    seen.push((ids, pagination));
                    if done {
                        break;
                    }
                }
                let forth: Vec<&String> = seen.iter().flat_map(|(ids, _)| ids).collect();
                assert_eq!(forth, all.iter().collect::<Vec<_>>(), "{path}");
                // Each page's own cursor leads to the page before it.
                for pair in seen.windows(2) {
                    let back = cursor(&pair[1].1, "prev_page_cursor");
                    let back = format!("{path}&direction=prev&prev_page_cursor={back}");
                    let (ids, pagination) = page(&project, &back);
                    assert_eq!(ids, pair[0].0, "{back}");
                    assert_eq!(pagination["has_next_page"], true);
                    assert_eq!(pagination["has_prev_page"], pair[0].1["has_prev_page"], "{back}");
                    // Alone it says the same.
                    assert_eq!(
                        page(&project, &back.replace("&direction=prev", "")).0,
                        ids,
                        "{back}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_list_without_limits_or_with_bad_ones_has_twenty_to_a_page() {
    let (project, _server) = full();
    for list in LISTS {
        for (query, per_page) in [
            ("", 20),
            ("perPage=", 20),
            ("perPage=many", 20),
            ("perPage=-3", 20),
            ("perPage=0", 20),
            ("perPage=3.5", 20),
            ("perPage=100000", 1000),
            ("per_page=0", 20),
        ] {
            let (ids, pagination) = page(&project, &format!("{list}?{query}"));
            assert_eq!(
                (ids.len(), &pagination["per_page"]),
                (5, &json!(per_page)),
                "{list} {query}"
            );
        }
        // What an SDK sends that leaves nothing out.
        let query = format!(
            "perPage=2&page=1&direction=next&sort=DESC&next_page_cursor={TOP}&prev_page_cursor="
        );
        let (ids, pagination) = page(&project, &format!("{list}?{query}"));
        assert_eq!(ids, page(&project, &format!("{list}?perPage=2")).0);
        let query = "per_page=2&prev_page_cursor=&next_page_cursor=";
        assert_eq!(ids, page(&project, &format!("{list}?{query}")).0, "as Go writes it");
        assert_eq!(pagination["has_prev_page"], false, "{list}");
    }
}

#[test]
fn dates_that_cannot_be_read_are_refused_in_convoys_words() {
    let (project, _server) = full();
    let start = "please specify a startDate in the format 2006-01-02T15:04:05";
    let end = "please specify a correct endDate in the format 2006-01-02T15:04:05 or none at all";
    let order = "startDate cannot be greater than endDate";
    for list in ["/events", "/eventdeliveries"] {
        for (query, message) in [
            ("startDate=today", start),
            ("startDate=2026-13-01T00:00:00", start),
            ("endDate=tomorrow", end),
            ("startDate=2026-01-02T00:00:00&endDate=2026-01-01T00:00:00", order),
        ] {
            let refused = project.get(&format!("{list}?{query}")).expect(400);
            assert_eq!(refused.json(), json!({"status": false, "message": message}), "{query}");
        }
        for (query, count) in [
            ("startDate=2020-01-01T00:00:00&endDate=2020-01-02T00:00:00", 0),
            ("startDate=2020-01-01T00:00:00&endDate=2099-01-02T00:00:00", 5),
            ("startDate=2020-01-01T00:00:00", 5),
            ("endDate=2099-01-01T00:00:00", 5),
        ] {
            assert_eq!(project.list(&format!("{list}?{query}")).len(), count, "{list} {query}");
        }
    }
}

/// Both spellings: that of Convoy's code, and that of its document and the SDKs made from it.
#[test]
fn deliveries_are_found_by_event_type_as_both_of_convoys_spellings_have_it() {
    let project = gateway().outgoing(json!({}));
    let server = Endpoint::ok();
    let endpoint = uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook")})));
    for event_type in ["a.b", "c.d"] {
        let body = json!({"endpoint_id": endpoint, "event_type": event_type, "data": {}});
        let event = uid(&project.post("/events", &body).expect(201).data());
        project.wait_for_delivery(&event, "Success");
    }
    for (query, count) in [
        ("eventType=a.b", 1),
        ("event_type=a.b", 1),
        ("event_type=a.b&event_type=c.d", 2),
        ("event_type=e.f", 0),
        ("endpointId=none", 0),
    ] {
        assert_eq!(project.list(&format!("/eventdeliveries?{query}")).len(), count, "{query}");
    }
    for (query, count) in [("event_type=a.b", 1), ("query=C.D", 1), ("query=%7B%22x%22%3A1%7D", 0)]
    {
        assert_eq!(project.list(&format!("/events?{query}")).len(), count, "{query}");
    }
}
