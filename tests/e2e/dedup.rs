//! One event per key and window, exactly.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use inlet_tests::{Endpoint, Project, Reply, poll_until, source_path};
use inlet_verify::{Encoding, Hash};
use serde_json::json;

use crate::{gateway, in_both_modes};

/// Waits until this many deliveries have succeeded and none is unfinished.
fn wait_for_deliveries(project: &Project<'_>, count: usize) {
    poll_until("the deliveries are done", || {
        let deliveries = project.stored_deliveries();
        let done = deliveries.iter().all(|delivery| delivery["status"] == "Success");
        (done && deliveries.len() >= count).then_some(())
    });
}

/// The id that an accepted request was answered with.
#[track_caller]
fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("Inlet-Event-Id").expect("an id").to_owned()
}

#[test]
fn numbers_and_bodies_are_told_apart_as_they_are_written() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source_with(json!({
        "idempotency_keys": ["request.body.id"], "event_type_location": "request.body.type",
    }));
    project.route(&source, &endpoint);
    let bodies = [
        r#"{"id": 18446744073709551616, "type": 18446744073709551617}"#,
        r#"{"id": 18446744073709551617, "type": 1e2}"#,
        r#"{"id": 0.12345678901234567890, "type": "a"}"#,
        r#"{"id": 0.12345678901234567891, "type": "a"}"#,
        r#"{"id": 1, "type": "a", "cut": "\ud83d"}"#,
        r#"{"id": 2, "type": "a", "huge": 1e400}"#,
    ];
    for body in bodies.iter().chain(&bodies) {
        project.ingest(&source, body.as_bytes()).expect(200);
    }
    endpoint.wait_for(bodies.len());
    poll_until("each event once", || (project.stored_events().len() == bodies.len()).then_some(()));
    let types: BTreeSet<String> = project
        .stored_events()
        .iter()
        .map(|event| event["event_type"].as_str().expect("a type").to_owned())
        .collect();
    let expect = ["18446744073709551617", "1e2", "a"].map(str::to_owned);
    assert_eq!(types, expect.into());
}

#[test]
fn a_thousand_concurrent_copies_make_one_event() {
    const THREADS: usize = 20;
    in_both_modes(|gateway| {
        let endpoint = Endpoint::ok();
        let project = gateway.project();
        let source = project.open_source_with(json!({"idempotency_keys": ["request.body.id"]}));
        project.route(&source, &endpoint);
        let barrier = Barrier::new(THREADS);
        let accepted: Vec<String> = thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        let post = |_| id_of(&project.ingest(&source, br#"{"id":"same"}"#));
                        (0..1000 / THREADS).map(post).collect::<Vec<_>>()
                    })
                })
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("a thread")).collect()
        });
        assert_eq!(
            accepted.iter().collect::<BTreeSet<_>>().len(),
            1000,
            "each has an id of its own"
        );
        // What comes last is settled last: then all the copies are settled too.
        let last = project.ingest(&source, br#"{"id":"last"}"#).expect(200).json();
        project.wait_for_delivery(last["event_id"].as_str().expect("an id"), "Success");
        wait_for_deliveries(&project, 2);
        // Every id that a sender was given leads to the one event.
        let [one, _] = project.stored_events().try_into().expect("two events");
        let copies = "SELECT id FROM duplicates WHERE project_id = ?1 AND event_id = ?2";
        let of = [json!(project.uid), one["id"].clone()];
        poll_until("all copies to be known as such", || {
            (gateway.sql("EVENTS_0", copies, &of).len() == 999).then_some(())
        });
        for id in accepted.iter().step_by(100) {
            let event = project.wait_for_event(id);
            assert_eq!(event["is_duplicate_event"], json!(one["id"] != json!(id)));
            assert_eq!(event["data"], json!({"id": "same"}));
        }
        let bodies: Vec<String> =
            endpoint.received().iter().map(inlet_tests::Received::text).collect();
        assert_eq!(bodies.iter().filter(|body| body.contains("same")).count(), 1, "{bodies:?}");
    });
}

/// Posts with these headers, query and bodies, and expects so many events.
#[track_caller]
fn check(keys: &[&str], requests: &[(&str, &str, &str)], expected: &[usize]) {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.open_source_with(json!({"idempotency_keys": keys}));
    project.route(&source, &endpoint);
    let ids: Vec<String> = requests
        .iter()
        .enumerate()
        .map(|(number, (header, query, body))| {
            let call = gateway().call("POST", &format!("{}?{query}", source_path(&source)));
            let call = call
                .header("Content-Type", "application/json")
                .header("X-Number", number.to_string());
            let call = if header.is_empty() { call } else { call.header("X-Id", *header) };
            let reply = call.body(*body).send().expect(200);
            reply.header("Inlet-Event-Id").expect("an id").to_owned()
        })
        .collect();
    // Each of the expected ones is delivered; nothing else is once the last request is settled.
    for number in expected {
        project.wait_for_delivery(&ids[*number], "Success");
    }
    let marker = project.open_source();
    let answer = project.ingest(&marker, b"{}").expect(200).json();
    project.wait_for_event(answer["event_id"].as_str().expect("an id"));
    let numbers: BTreeSet<usize> = endpoint
        .received()
        .iter()
        .filter_map(|received| received.header("X-Number").and_then(|text| text.parse().ok()))
        .collect();
    assert_eq!(numbers, expected.iter().copied().collect(), "{keys:?} {requests:?}");
}

#[test]
fn a_key_is_found_in_header_query_and_body() {
    check(&["request.header.X-Id"], &[("1", "", "{}"), ("1", "", "{}"), ("2", "", "{}")], &[0, 2]);
    check(
        &["request.query.id"],
        &[("", "id=1", "{}"), ("", "id=1", "{}"), ("", "id=2", "{}")],
        &[0, 2],
    );
    check(
        &["request.body.data.id"],
        &[
            ("", "", r#"{"data":{"id":1}}"#),
            ("", "", r#"{"data":{"id":1},"b":2}"#),
            ("", "", r#"{"data":{"id":2}}"#),
        ],
        &[0, 2],
    );
}

#[test]
fn parts_of_a_key_do_not_run_together() {
    let keys = ["request.body.a", "request.body.b"];
    let requests = [
        ("", "", r#"{"a":"a","b":"bc"}"#),
        ("", "", r#"{"a":"ab","b":"c"}"#),
        ("", "", r#"{"a":"a","b":"bc","c":1}"#),
    ];
    check(&keys, &requests, &[0, 1]);
}

#[test]
fn a_part_that_is_absent_is_no_key() {
    check(
        &["request.body.id"],
        &[("", "", "{}"), ("", "", "{}"), ("", "", r#"{"id":null}"#), ("", "", r#"{"id":""}"#)],
        &[0, 1, 2, 3],
    );
    let keys = ["request.body.id", "request.header.X-Id"];
    check(&keys, &[("", "", r#"{"id":1}"#), ("", "", r#"{"id":1}"#)], &[0, 1]);
}

#[test]
fn keys_of_two_sources_do_not_meet() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    for _ in 0..2 {
        let source = project.open_source_with(json!({"idempotency_keys": ["request.body.id"]}));
        project.route(&source, &endpoint);
        project.ingest(&source, br#"{"id":"same"}"#).expect(200);
    }
    endpoint.wait_for(2);
}

#[test]
fn after_the_window_the_same_key_makes_another_event() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.open_source_with(json!({
        "idempotency_keys": ["request.body.id"], "dedup_window_seconds": 2,
    }));
    project.route(&source, &endpoint);
    let started = Instant::now();
    project.ingest(&source, br#"{"id":"same"}"#).expect(200);
    endpoint.wait_for(1);
    poll_until("a second event with the same key", || {
        project.ingest(&source, br#"{"id":"same"}"#).expect(200);
        (endpoint.count() >= 2).then_some(())
    });
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_request_that_was_not_believed_claims_no_key() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.github_source("a-secret-of-github");
    project.route(&source, &endpoint);
    let call = || project.ingest_call(&source).header("X-GitHub-Delivery", "0001").body("{}");
    call().send().expect(401);
    let signature = inlet_tests::github_signature("a-secret-of-github", b"{}");
    call().header("X-Hub-Signature-256", signature).send().expect(200);
    endpoint.wait_for(1);
}

#[test]
fn a_providers_own_event_id_is_the_default_key() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.github_source("a-secret-of-github");
    project.route(&source, &endpoint);
    let post = |delivery: &str| {
        let signature = inlet_tests::github_signature("a-secret-of-github", b"{}");
        let call = project.ingest_call(&source).header("X-GitHub-Delivery", delivery);
        let reply = call.header("X-Hub-Signature-256", signature).body("{}").send().expect(200);
        reply.header("Inlet-Event-Id").expect("an id").to_owned()
    };
    let first = post("72d3162e-cc78-11e3-81ab-4c9367dc0958");
    project.wait_for_delivery(&first, "Success");
    post("72d3162e-cc78-11e3-81ab-4c9367dc0958");
    let third = post("72d3162e-cc78-11e3-81ab-4c9367dc0959");
    project.wait_for_delivery(&third, "Success");
    assert_eq!(endpoint.count(), 2);
    assert_eq!(project.stored_events().len(), 2);
}

/// Shopify gives what one merchant action changes one event id: <https://shopify.dev/docs/apps/build/webhooks/delivery-structure>.
#[test]
fn two_objects_of_one_action_are_two_events() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.source(json!({"name": "a", "type": "http", "provider": "shopify",
        "verifier": {"type": "hmac", "hmac": {"secret": "a-secret-of-shopify"}}}));
    project.route(&source, &endpoint);
    let post = |body: &'static str| {
        let mac = inlet_verify::hmac(Hash::Sha256, b"a-secret-of-shopify", &[body.as_bytes()]);
        let call = project.ingest_call(&source).header("X-Shopify-Event-Id", "98880550");
        let call = call.header("X-Shopify-Topic", "products/update");
        call.header("X-Shopify-Hmac-Sha256", Encoding::Base64.encode(&mac))
            .body(body)
            .send()
            .expect(200);
    };
    for body in [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":1}"#, r#"{"id":2}"#] {
        post(body);
    }
    endpoint.wait_for(2);
    wait_for_deliveries(&project, 2);
    assert_eq!((endpoint.count(), project.stored_events().len()), (2, 2));
}
