//! Convoy's tests of its rate limits, as far as Inlet has them: which calls take from a project's limit, and which do not.

use inlet_tests::{Endpoint, uid};
use serde_json::json;

use crate::gateway;

#[test]
fn each_way_to_push_an_event_takes_one_from_the_limit_and_no_other_call_takes_any() {
    let project = gateway().outgoing(json!({"ratelimit": {"count": 5, "duration": 3600}}));
    let server = Endpoint::ok();
    let endpoint =
        uid(&project
            .endpoint(json!({"name": "e", "url": server.url("/hook"), "owner_id": "owner"})));
    let (id, endpoint) = (endpoint.as_str(), endpoint.clone());
    let push = |path: &str| {
        let mut body = json!({"event_type": "t", "data": 1});
        match path {
            "/events" => body["endpoint_id"] = json!(id),
            "/events/fanout" => body["owner_id"] = json!("owner"),
            "/events/dynamic" => body["url"] = json!(server.url("/hook")),
            _ => {}
        }
        project.post(path, &body)
    };
    let event = uid(&push("/events").expect(201).data());
    project.wait_for_delivery(&event, "Success");
    // None of these takes from it: after all of them there is as much room as before.
    for _ in 0..3 {
        for path in [
            "/events",
            "/events/countbatchreplayevents",
            &format!("/events/{event}"),
            "/endpoints",
            &format!("/endpoints/{endpoint}"),
            "/eventdeliveries",
        ] {
            project.get(path).expect(200);
        }
        project.put(&format!("/events/{event}/replay"), &json!({})).expect(200);
        project.post("/events/batchreplay", &json!({})).expect(200);
        // Nor does what is refused before it is an event.
        project.post("/events", &json!({"event_type": "t"})).expect(400);
    }
    for path in ["/events/fanout", "/events/broadcast", "/events/dynamic", "/events"] {
        push(path).expect(201);
    }
    for path in ["/events", "/events/fanout", "/events/broadcast", "/events/dynamic"] {
        let refused = push(path).expect(429);
        assert_eq!(refused.json(), json!({"status": false, "message": "exceeded rate limit"}));
        let seconds: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
        assert!((1..=720).contains(&seconds), "{path}: {seconds}");
    }
    project.get("/events").expect(200);
}

#[test]
fn projects_have_their_limits_each() {
    let limit = json!({"ratelimit": {"count": 1, "duration": 1}});
    let [first, second] = [(); 2].map(|()| gateway().outgoing(limit.clone()));
    let broadcast = json!({"event_type": "t", "data": 1});
    first.post("/events/broadcast", &broadcast).expect(201);
    second.post("/events/broadcast", &broadcast).expect(201);
    let refused = first.post("/events/broadcast", &broadcast).expect(429);
    assert_eq!(refused.header("retry-after"), Some("1"));
}
