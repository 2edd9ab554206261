//! What is sent again is sent to somebody: the outcome of a delivery that cannot be called now stays.

use inlet_tests::{Answer, Endpoint, Project, uid};
use serde_json::{Value, json};

use crate::gateway;

/// A delivery of an event of its own: the ids of the event, the delivery and the endpoint.
fn delivered(project: &Project<'_>, server: &Endpoint, status: &str) -> [String; 3] {
    let to = uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook")})));
    let body = json!({"endpoint_id": to, "event_type": "t", "data": 1});
    let event = uid(&project.post("/events", &body).expect(201).data());
    [event.clone(), uid(&project.wait_for_delivery(&event, status)), to]
}

fn status(project: &Project<'_>, delivery: &str) -> Value {
    project.get(&format!("/eventdeliveries/{delivery}")).expect(200).data()["status"].clone()
}

#[test]
fn what_has_arrived_stays_so_when_its_endpoint_cannot_be_called_again() {
    let project = gateway().outgoing(json!({}));
    let server = Endpoint::ok();
    let [_, open, _] = delivered(&project, &server, "Success");
    let [_, paused, of_paused] = delivered(&project, &server, "Success");
    let [_, gone, of_gone] = delivered(&project, &server, "Success");
    project.put(&format!("/endpoints/{of_paused}/pause"), &json!({})).expect(202);
    project.delete(&format!("/endpoints/{of_gone}")).expect(200);
    let force = |ids: &[&String]| {
        project.post("/eventdeliveries/forceresend", &json!({"ids": ids})).expect(200)
    };
    for (id, reason) in
        [(&gone, "endpoint not found"), (&paused, "the endpoint is currently paused")]
    {
        let data = force(&[id]).says(200, "0 successful, 1 failed");
        assert_eq!(data, json!({"failed": [{"uid": id, "reason": reason}]}));
        assert_eq!(status(&project, id), "Success");
    }
    let some = force(&[&open, &paused, &gone]).says(200, "1 successful, 2 failed");
    assert_eq!(some["failed"].as_array().map(Vec::len), Some(2));
    server.wait_for(4);
    assert_eq!(force(&[&open]).says(200, "1 successful, 0 failed"), Value::Null);
}

#[test]
fn a_retry_of_many_leaves_out_what_went_to_an_endpoint_that_is_gone() {
    let project = gateway().outgoing(json!({}));
    let server = Endpoint::answering(&[Answer::status(410)]);
    let [_, _, _] = delivered(&project, &server, "Failure");
    let [_, paused, of_paused] = delivered(&project, &server, "Failure");
    let [event, gone, of_gone] = delivered(&project, &server, "Failure");
    project.put(&format!("/endpoints/{of_paused}/pause"), &json!({})).expect(202);
    project.delete(&format!("/endpoints/{of_gone}")).expect(200);
    let count = |query: &str| {
        let path = format!("/eventdeliveries/countbatchretryevents?{query}");
        project.get(&path).says(200, "event deliveries count successful")
    };
    let left_out = json!([{"reason": "endpoint not found", "num": 1}]);
    assert_eq!(count(""), json!({"num": 2, "failed": 1, "reasons": left_out, "is_complete": true}));
    assert_eq!(count(&format!("eventId={event}"))["num"], 0);
    let retry = |query: &str| {
        let path = format!("/eventdeliveries/batchretry?{query}");
        project.post(&path, &json!({})).says(200, "Batch retry processing")["num"].clone()
    };
    assert_eq!(retry(&format!("eventId={event}")), 0);
    assert_eq!(retry(""), 2);
    assert_eq!(status(&project, &gone), "Failure");
    server.answer(&[Answer::ok()]);
    project.post(&format!("/endpoints/{of_paused}/activate"), &json!({})).expect(202);
    inlet_tests::poll_until("what waited for its endpoint", || {
        (status(&project, &paused) == "Success").then_some(())
    });
}

#[test]
fn an_event_whose_endpoint_is_gone_has_nobody_to_be_replayed_to() {
    let project = gateway().outgoing(json!({}));
    let server = Endpoint::ok();
    let [event, _, endpoint] = delivered(&project, &server, "Success");
    let url = json!({"url": server.url("/url"), "event_type": "t", "data": 1});
    let dynamic = uid(&project.post("/events/dynamic", &url).expect(201).data());
    let made = project.wait_for_delivery(&dynamic, "Success");
    for id in [&endpoint, made["endpoint_id"].as_str().expect("an id")] {
        project.delete(&format!("/endpoints/{id}")).expect(200);
    }
    for event in [&event, &dynamic] {
        let refused = project.put(&format!("/events/{event}/replay"), &json!({})).expect(400);
        assert!(!refused.message().is_empty());
        assert_eq!(project.deliveries(event).len(), 1, "and none was made");
    }
    let all = project.post("/events/batchreplay", &json!({})).expect(200);
    assert_eq!(all.message(), "0 successful, 2 failed");
}
