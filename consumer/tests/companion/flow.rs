//! What it does when nothing is wrong.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use inlet_tests::poll_until;
use rustix::process::Signal;
use serde_json::json;

use crate::edge::Edge;
use crate::process::{Companion, run};
use crate::{Topic, edge_with, texts};

#[test]
fn every_message_arrives_once_and_in_order() {
    let topic = Topic::new(2);
    let edge = edge_with(topic.source("s", "1"));
    topic.publish(0, &texts(0..2500));
    topic.publish(1, &texts(5000..5010));
    let _companion = Companion::start(&edge.url());
    edge.wait_for(2510);
    let book = edge.book();
    let numbers = |partition: &str| -> Vec<String> {
        let own = book.accepted.iter().filter(|item| item.id.starts_with(partition));
        own.map(crate::edge::Item::text).collect()
    };
    assert_eq!(numbers("orders-0-"), texts(0..2500));
    assert_eq!(numbers("orders-1-"), texts(5000..5010));
    assert_eq!((book.duplicates, book.dead.len()), (0, 0));
    assert!(book.batches.len() < 60, "messages travel in batches, not {}", book.batches.len());
}

#[test]
fn a_companion_that_comes_after_another_goes_on_where_it_stopped() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    topic.publish(0, &texts(0..100));
    let mut first = Companion::start(&edge.url());
    edge.wait_for(100);
    first.signal(Signal::TERM);
    assert_eq!(first.wait(Duration::from_secs(15)), 0);
    edge.wait_for_report("s", "that it has stopped", |source| source["state"] == "stopped");
    topic.publish(0, &texts(100..200));
    let _second = Companion::start(&edge.url());
    assert_eq!(edge.wait_for(200), texts(0..200));
    assert_eq!(edge.book().duplicates, 0, "what was settled does not come again");
}

#[test]
fn the_state_the_lag_and_the_counters_are_reported_and_measured() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "v7"));
    topic.publish(0, &texts(0..10));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let more = [("INLET_METRICS_ADDR", address.as_str())];
    let _companion = Companion::start_with(&edge.url(), "CK.good.key", &more);
    let report = edge.wait_for_report("s", "ten messages, no lag", |source| {
        source["accepted"] == 10 && source["state"] == "connected" && source["lag"] == 0
    });
    assert_eq!((&report["version"], &report["received"]), (&json!("v7"), &json!(10)));
    assert!(report["last_message_at"].as_u64() > Some(0) && report["error"].is_null());
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let line =
        "inlet_consumer_accepted_total{project=\"p\",key=\"1\",source=\"s\",name=\"orders\"} 10";
    assert!(page.contains(line), "{page}");
    poll_until("polls that cost nothing", || (edge.book().unchanged > 1).then_some(()));
}

#[test]
fn any_change_of_a_source_takes_effect_and_a_disabled_one_stops() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    let _companion = Companion::start(&edge.url());
    topic.publish(0, &texts(0..3));
    edge.wait_for(3);
    edge.sources(json!([topic.source("s", "2")]));
    edge.wait_for_report("s", "the new version", |source| {
        source["version"] == "2" && source["state"] == "connected"
    });
    topic.publish(0, &texts(3..4));
    edge.wait_for(4);
    let mut disabled = topic.source("s", "3");
    disabled["is_disabled"] = json!(true);
    edge.sources(json!([disabled]));
    edge.wait_for_report("s", "a stopped source", |source| {
        source["version"] == "3" && source["state"] == "stopped"
    });
    topic.publish(0, &texts(4..6));
    let polls = edge.book().polls;
    poll_until("two more polls", || (edge.book().polls > polls + 2).then_some(()));
    assert_eq!(edge.book().accepted.len(), 4);
    edge.sources(json!([topic.source("s", "4")]));
    assert_eq!(edge.wait_for(6), texts(0..6));
    edge.sources(json!([]));
    poll_until("a report without it", || {
        edge.book().statuses.last().filter(|report| report["sources"] == json!([])).map(drop)
    });
}

#[test]
fn check_says_in_words_what_is_there_and_what_is_not() {
    let topic = Topic::new(1);
    let mut unreachable = topic.source("b", "1");
    unreachable["kafka"]["brokers"] = json!(["127.0.0.1:9"]);
    let edge = Edge::start();
    edge.sources(json!([topic.source("a", "1")]));
    let out = run(&["check"], &edge.url(), "CK.good.key");
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{text}");
    assert!(text.contains("ok   Inlet 0.1.0 at http://127.0.0.1"), "{text}");
    assert!(text.contains("ok   key 1: project p, 1 source(s) to read"), "{text}");
    assert!(text.contains("ok   orders (a): reached"), "{text}");
    edge.sources(json!([unreachable, {"uid": "c", "name": "odd", "version": "1", "type": "nats"}]));
    let out = run(&["check"], &edge.url(), "CK.good.key, CK.bad.key");
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("BAD  orders (b)"), "{text}");
    assert!(text.contains("BAD  odd (c): this version of the companion does not know"), "{text}");
    assert!(text.contains("BAD  key 2") && text.contains("refuses the consumer key"), "{text}");
    assert!(!text.contains("CK."), "{text}");
}

#[test]
fn arguments_and_settings_that_are_wrong_are_told() {
    let help = run(&["--help"], "", "");
    assert!(String::from_utf8(help.stdout).unwrap().contains("INLET_CONSUMER_KEY"));
    assert_eq!(run(&["dance"], "", "").status.code(), Some(2));
    let unset = run(&[], "http://10.0.0.1", "");
    assert_eq!(unset.status.code(), Some(2));
    let text = String::from_utf8(unset.stderr).unwrap();
    assert!(text.contains("2 fault(s)") && text.contains("clear text"), "{text}");
}
