//! The harness itself: what the other tests lean on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use inlet_tests::{Answer, Call, Endpoint, Gateway, repository};

use crate::gateway;

/// A gateway around a Worker that only answers, so that tests of it need no build.
fn bare() -> Gateway {
    Gateway::builder().worker(&repository().join("tests/bench/workers/answer.mjs")).start()
}

#[test]
fn a_killed_gateway_leaves_no_process_and_keeps_its_state() {
    let mut gateway = bare();
    gateway.sql("DB", "CREATE TABLE kept (a INTEGER)", &[]);
    gateway.sql("DB", "INSERT INTO kept VALUES (?1)", &[7.into()]);
    let workerd = format!("/proc/{}", gateway.workerd_pid());
    assert!(Path::new(&workerd).exists());
    gateway.kill9();
    assert!(!Path::new(&workerd).exists());
    gateway.restart();
    assert_eq!(gateway.sql("DB", "SELECT a FROM kept", &[])[0]["a"], 7);
    let state = gateway.state_folder().to_owned();
    drop(gateway);
    assert!(!state.exists());
}

#[test]
fn migrations_are_applied_once() {
    let mut gateway = bare();
    let names = |gateway: &Gateway| gateway.sql("EVENTS_0", "SELECT name FROM d1_migrations", &[]);
    let before = names(&gateway);
    assert!(!before.is_empty());
    gateway.restart();
    assert_eq!(names(&gateway), before);
}

#[test]
fn bodies_go_over_the_wire_in_chunks_or_whole() {
    let endpoint = Endpoint::answering(&[Answer::status(500), Answer::hang_up(), Answer::ok()]);
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let call = |path: &str| Call::new(&endpoint.url(""), "PATCH", path).body(body.clone());
    assert_eq!(call("/a").chunked(777).send().status, 500);
    assert!(call("/b").try_send().is_err());
    assert_eq!(call("/c?d").send().status, 200);
    assert_eq!(call("/c?d").send().status, 200);
    let received = endpoint.take();
    assert!(received.iter().all(|one| one.body == body && one.method == "PATCH"));
    assert_eq!(received[2].path, "/c?d");
    assert_eq!(received[0].header("transfer-encoding"), Some("chunked"));
}

#[test]
fn what_a_test_must_not_overlook_fails_it() {
    let fails = |check: &dyn Fn()| catch_unwind(AssertUnwindSafe(check)).is_err();
    let project = gateway().project();
    let source = project.open_source();
    assert!(!fails(&|| project.expect_no_events()));
    let other = gateway().project();
    other.ingest(&other.open_source(), b"{}").expect(200);
    assert!(fails(&|| other.expect_no_events()), "it is stored by now");

    let server = Endpoint::ok();
    project.route(&source, &server);
    project.route(&source, &server);
    let reply = project.ingest(&source, b"{}").expect(200);
    let event = reply.header("inlet-event-id").expect("an id");
    project.wait_for_any_delivery(event, "Success");
    assert!(fails(&|| drop(project.wait_for_delivery(event, "Success"))), "there are two");
    assert!(fails(&|| drop(project.list("/event-types"))), "that is no page");
}
