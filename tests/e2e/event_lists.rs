//! What lists of events and deliveries show of each, and refuse to be asked for.

use inlet_tests::{Endpoint, Gateway, uid};
use serde_json::{Value, json};

/// As `GET` of one does, and for one statement more.
#[test]
fn a_list_of_events_names_the_endpoints_that_each_went_to() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let project = gateway.outgoing(json!({}));
    let server = Endpoint::ok();
    let [first, second] = ["one", "two"].map(|name| {
        let body = json!({"name": name, "url": server.url("/hook"), "owner_id": "owner"});
        uid(&project.endpoint(body))
    });
    let push = |path: &str, to: &Value| {
        let mut body = json!({"event_type": "t", "data": 1});
        body.as_object_mut().unwrap().extend(to.as_object().unwrap().clone());
        uid(&project.post(path, &body).expect(201).data())
    };
    let events = [
        push("/events", &json!({"endpoint_id": first})),
        push("/events/fanout", &json!({"owner_id": "owner"})),
        push("/events/fanout", &json!({"owner_id": "nobody"})),
    ];
    for event in &events {
        project.wait_for_event(event);
    }
    server.wait_for(3);
    project.delete(&format!("/endpoints/{second}")).expect(200);
    gateway.counters(true);
    let listed = project.list("/events?sort=asc");
    let asked = gateway.counters(false)["EVENTS_0"]["bySql"].clone();
    let looks = asked.as_object().expect("statements").iter();
    let looks: u64 = looks
        .filter(|(sql, _)| sql.contains("deliveries AS d"))
        .filter_map(|(_, one)| one["statements"].as_u64())
        .sum();
    assert_eq!(looks, 1, "{asked}");
    assert_eq!(listed.iter().map(uid).collect::<Vec<_>>(), events);
    for (shown, count) in listed.iter().zip([1, 2, 0]) {
        let one = project.event(&uid(shown));
        for field in ["endpoints", "endpoint_metadata"] {
            assert_eq!(shown[field].as_array().map(Vec::len), Some(count), "{field}");
            let mut both = [shown[field].clone(), one[field].clone()];
            for all in &mut both {
                let all = all.as_array_mut().expect("a list");
                all.sort_by_key(ToString::to_string);
            }
            assert_eq!(both[0], both[1], "{field}");
        }
    }
    let named = listed[0]["endpoint_metadata"][0].clone();
    assert_eq!((&named["name"], &named["uid"]), (&json!("one"), &json!(first)));
    let gone = listed[1]["endpoint_metadata"].as_array().unwrap();
    assert!(gone.contains(&json!({"uid": second})), "what is gone has its id alone: {gone:?}");
}

#[test]
fn a_status_or_a_cursor_that_no_list_knows_is_refused() {
    let project = crate::gateway().project();
    let cursor = "the page cursor is not one that a list has given";
    let whole = "this list comes whole: it has no pages, and gives no cursor";
    for (path, message) in [
        (
            "/events?status=nope",
            "status:nope is none of Pending, Processing, Success, Failure, Retry",
        ),
        (
            "/eventdeliveries?status=nope",
            "status:nope is none of Scheduled, Processing, Discarded, Failure, Success, Retry",
        ),
        ("/events?next_page_cursor=bad", cursor),
        ("/eventdeliveries?direction=prev&prev_page_cursor=bad", cursor),
        ("/sources?next_page_cursor=bad", cursor),
        ("/dead-letters?next_page_cursor=bad", cursor),
        ("/events/countbatchreplayevents?next_page_cursor=bad", cursor),
        ("/event-types?next_page_cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV", whole),
        ("/api-keys?next_page_cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV", whole),
        ("/dead-letters?perPage=x", "perPage:a number from 1 to 1000"),
    ] {
        assert_eq!(project.get(path).expect(400).message(), message, "{path}");
    }
    let call = project.gateway.call("GET", "/v1/sources?cursor=bad").bearer(&project.key);
    let refused = call.send().expect(400).json();
    assert_eq!(refused["error"], cursor);
}
