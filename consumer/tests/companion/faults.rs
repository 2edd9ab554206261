//! What it does when the gateway, the broker or a message is not as it should be.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use inlet_tests::poll_until;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::{Companion, run};
use crate::{Topic, edge_with, texts};

#[test]
fn while_the_gateway_pushes_back_nothing_is_lost_and_it_is_left_alone() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    edge.book().refusals = vec![(503, Some(2)), (429, None), (500, None)];
    topic.publish(0, &texts(0..50));
    let _companion = Companion::start(&edge.url());
    assert_eq!(edge.wait_for(50), texts(0..50));
    let book = edge.book();
    let pause = book.batches[1].1 - book.batches[0].1;
    assert!(pause >= Duration::from_secs(2), "Retry-After is respected: {pause:?}");
    assert_eq!((book.duplicates, book.dead.len()), (0, 0));
}

#[test]
fn an_answer_that_is_lost_makes_no_second_event() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    edge.book().forgets_to_answer = true;
    topic.publish(0, &texts(0..20));
    let companion = Companion::start(&edge.url());
    edge.wait_for(20);
    edge.book().forgets_to_answer = false;
    poll_until("duplicates", || (edge.book().duplicates >= 20).then_some(()));
    assert_eq!(edge.wait_for(20), texts(0..20));
    // Killed after the gateway has it and before the broker knows: it comes again, and is no second event.
    edge.book().forgets_to_answer = true;
    topic.publish(0, &texts(20..40));
    edge.wait_for(40);
    companion.kill9();
    edge.book().forgets_to_answer = false;
    let before = edge.book().duplicates;
    let _second = Companion::start(&edge.url());
    topic.publish(0, &texts(40..41));
    assert_eq!(edge.wait_for(41), texts(0..41));
    assert!(edge.book().duplicates >= before + 20);
}

#[test]
fn a_batch_that_is_refused_is_halved_until_the_one_at_fault_is_alone() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    edge.book().refuses = Some(|item| item.text() == "{\"number\":13}");
    topic.publish(0, &texts(0..40));
    let _companion = Companion::start(&edge.url());
    let mut expected = texts(0..40);
    expected.remove(13);
    assert_eq!(edge.wait_for(39), expected, "the others keep their order");
    let dead = poll_until("the dead letter", || edge.book().dead.first().cloned());
    assert_eq!(dead.text(), "{\"number\":13}");
    assert_eq!(dead.dead(), Some("the gateway refuses it: one of them is not to be had"));
    edge.wait_for_report("s", "it is settled", |source| source["lag"] == 0);
}

#[test]
fn one_that_is_refused_as_a_dead_letter_too_says_less_and_holds_up_nobody() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    edge.book().refuses = Some(|item| item.text() == "{\"number\":1}");
    edge.book().refuses_dead = Some(|item| !item.payload.is_empty());
    topic.publish(0, &texts(0..3));
    let _companion = Companion::start(&edge.url());
    let mut expected = texts(0..3);
    expected.remove(1);
    assert_eq!(edge.wait_for(2), expected);
    let dead = poll_until("the dead letter", || edge.book().dead.first().cloned());
    assert_eq!((dead.id.as_str(), dead.payload.len()), ("orders-0-1", 0));
    assert!(dead.dead().unwrap().contains("its bytes are left out"), "{dead:?}");
    edge.wait_for_report("s", "it is settled", |source| source["lag"] == 0);
}

#[test]
fn what_somebody_else_refuses_for_a_while_is_neither_given_up_nor_given_back() {
    let topic = Topic::new(1);
    let mut source = topic.source("s", "1");
    source["max_attempts"] = json!(10);
    let edge = edge_with(source);
    edge.book().others = vec![422, 415, 413, 409, 403, 401, 400, 400];
    topic.publish(0, &texts(0..1));
    let companion = Companion::start(&edge.url());
    assert_eq!(edge.wait_for(1), texts(0..1));
    assert!(edge.book().dead.is_empty());
    assert!(!companion.log().iter().any(|line| line.contains("a source has stopped")));
}

#[test]
fn what_never_gets_to_the_gateway_is_named_as_what_holds_up_the_rest() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    edge.book().blocks = Some(|item| item.text() == "{\"number\":1}");
    topic.publish(0, &texts(0..3));
    let companion = Companion::start(&edge.url());
    let report = edge.wait_for_report("s", "that it fails", |source| source["state"] == "failing");
    let error = report["error"]["message"].as_str().unwrap();
    for words in ["message orders-0-1 holds up", "take it out of the queue", "403"] {
        assert!(error.contains(words), "{error}");
    }
    let before = edge.book().batches.len();
    poll_until("more attempts than three", || {
        (edge.book().batches.len() > before + 4).then_some(())
    });
    let is_warning = |line: &&String| line.contains("holds up") && line.contains("\"warn\"");
    assert_eq!(companion.log().iter().filter(is_warning).count(), 1);
    edge.book().blocks = None;
    edge.wait_for(2);
    edge.wait_for_report("s", "that it is well", |source| source["state"] == "connected");
    assert_eq!(edge.book().dead[0].text(), "{\"number\":1}", "with its bytes");
}

#[test]
fn a_limit_that_is_raised_holds_at_once() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    edge.limit(1_000);
    topic.publish(0, &["x".repeat(2_000), "a".into()]);
    let _companion = Companion::start(&edge.url());
    assert_eq!(edge.wait_for(1), ["a"]);
    let polls = {
        edge.limit(3_000);
        edge.book().polls
    };
    poll_until("it has asked twice", || (edge.book().polls > polls + 1).then_some(()));
    topic.publish(0, &["y".repeat(2_000)]);
    assert_eq!(edge.wait_for(2)[1].len(), 2_000);
    assert_eq!(edge.book().dead.len(), 1);
}

#[test]
fn poison_is_given_up_after_its_attempts_and_holds_up_nobody() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    edge.book().verdict = Some(Box::new(|item| match item.text().as_str() {
        "{\"number\":1}" => json!({"status": "retry", "reason": "not now"}),
        "{\"number\":2}" => {
            json!({"status": "dead_letter", "dead_letter_id": "d", "reason": "bad"})
        }
        _ => json!({"status": "accepted", "event_id": "e"}),
    }));
    topic.publish(0, &texts(0..4));
    let _companion = Companion::start(&edge.url());
    edge.wait_for(2);
    let dead = poll_until("both dead letters", || {
        let book = edge.book();
        (book.dead.len() == 2).then(|| book.dead.clone())
    });
    assert_eq!(dead[0].text(), "{\"number\":2}");
    assert_eq!(dead[1].text(), "{\"number\":1}");
    assert_eq!(dead[1].dead(), Some("given up after 3 attempts; the last: not now"));
    let report = edge.wait_for_report("s", "no lag", |source| source["lag"] == 0);
    assert_eq!((&report["accepted"], &report["dead_letters"]), (&json!(2), &json!(2)));
}

#[test]
fn what_the_gateway_fails_at_is_given_up_while_it_answers_others() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    edge.book().fails = Some(|item| item.text() == "{\"number\":13}");
    topic.publish(0, &texts(0..40));
    let _companion = Companion::start(&edge.url());
    let mut expected = texts(0..40);
    expected.remove(13);
    assert_eq!(edge.wait_for(39), expected);
    let dead = poll_until("the dead letter", || edge.book().dead.first().cloned());
    assert_eq!(dead.text(), "{\"number\":13}");
    let reason = "given up after 3 attempts; the last: the gateway fails: 500: no reason given";
    assert_eq!(dead.dead(), Some(reason));
    edge.wait_for_report("s", "it is settled", |source| source["lag"] == 0);
}

#[test]
fn what_the_gateway_cannot_take_right_now_is_no_attempt() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    let asked = AtomicUsize::new(0);
    edge.book().verdict = Some(Box::new(move |_| {
        if asked.fetch_add(1, Ordering::Relaxed) < 5 {
            return json!({"status": "retry", "reason": "its function rests", "is_ours": true});
        }
        json!({"status": "accepted", "event_id": "e"})
    }));
    topic.publish(0, &texts(0..1));
    let _companion = Companion::start(&edge.url());
    assert_eq!(edge.wait_for(1), texts(0..1));
    assert!(edge.book().dead.is_empty());
}

#[test]
fn a_message_that_is_too_large_becomes_a_dead_letter_with_its_beginning() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    let large = "x".repeat(1_400_000);
    topic.publish(0, &["a".into(), large.clone(), "y".repeat(3_000_000), "b".into()]);
    let _companion = Companion::start(&edge.url());
    let texts = edge.wait_for(3);
    assert_eq!(
        (&texts[0], texts[1].len(), &texts[2]),
        (&"a".to_owned(), large.len(), &"b".to_owned())
    );
    let book = edge.book();
    assert_eq!(book.dead[0].payload.len(), 64 * 1024);
    let reason = book.dead[0].dead().unwrap();
    assert!(reason.contains("3000000 bytes") && reason.contains("at most 1500000"), "{reason}");
}

#[test]
fn a_source_that_fails_disturbs_no_other() {
    let topic = Topic::new(1);
    let mut bad = topic.source("bad", "1");
    bad["kafka"]["topic_name"] = json!(5);
    let mut missing = topic.source("missing", "1");
    missing["kafka"]["brokers"] = json!(["127.0.0.1:9"]);
    let edge = edge_with(json!({}));
    let closed = json!({"uid": "closed", "name": "closed", "version": "1", "error": "a secret cannot be opened"});
    edge.sources(json!([bad, missing, closed, topic.source("good", "1")]));
    topic.publish(0, &texts(0..5));
    let companion = Companion::start(&edge.url());
    assert_eq!(edge.wait_for(5), texts(0..5));
    let report = edge.wait_for_report("bad", "why it fails", |source| source["state"] == "failing");
    let error = report["error"]["message"].as_str().unwrap();
    assert!(error.contains("not understood") && error.contains("a string"), "{error}");
    let report =
        edge.wait_for_report("closed", "why it fails", |source| source["state"] == "failing");
    let error = report["error"]["message"].as_str().unwrap();
    assert!(error.ends_with("a secret cannot be opened"), "{error}");
    let report =
        edge.wait_for_report("missing", "why it fails", |source| source["state"] == "failing");
    let error = report["error"]["message"].as_str().unwrap();
    assert!(error.contains("no broker can be used: 127.0.0.1:9: "), "{error}");
    assert!(error.ends_with("Connection refused"), "{error}");
    companion.wait_for_log("a source is in trouble");
}

#[test]
fn a_report_that_is_not_taken_is_told() {
    let edge = edge_with(json!({"uid": "s", "name": "s", "version": "1", "error": "odd"}));
    edge.book().takes_no_reports = true;
    let companion = Companion::start(&edge.url());
    let line = companion.wait_for_log("the status was not reported");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "warn", "{line}");
    assert!(line["error"].as_str().unwrap().contains("sources:too many"), "{line}");
}

#[test]
fn every_broker_of_a_source_is_named_with_what_is_wrong_with_it() {
    let closes = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closes.local_addr().unwrap().to_string();
    thread::spawn(move || closes.incoming().for_each(drop));
    let topic = Topic::new(1);
    let mut source = topic.source("s", "1");
    source["kafka"]["brokers"] = json!(["127.0.0.1:9", address]);
    let edge = edge_with(source);
    let names_both = |text: &str| {
        text.contains("127.0.0.1:9: Connect to")
            && text.contains("failed: Connection refused")
            && text.contains(&format!("{address}: Disconnected"))
    };
    let said = run(&["check"], &edge.url(), "CK.good.key");
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(
        text.contains("BAD  orders (s): no broker can be used: ") && names_both(&text),
        "{text}"
    );
    let _companion = Companion::start(&edge.url());
    edge.wait_for_report("s", "the same words", |source| {
        source["error"]["message"].as_str().is_some_and(names_both)
    });
}

/// The broker at another address, in whose answers it says that it is to be found at port 9.
fn advertised_elsewhere(broker: String) -> String {
    let (host, port) = broker.rsplit_once(':').unwrap();
    let told = |port: i32| [host.as_bytes(), &port.to_be_bytes()].concat();
    let (own, other) = (told(port.parse().unwrap()), told(9));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(&broker).unwrap();
            let (mut near_reads, mut far_writes) =
                (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut near_reads, &mut far_writes).ok());
            let (own, other, (mut near, mut far)) = (own.clone(), other.clone(), (near, far));
            thread::spawn(move || {
                let mut bytes = vec![0; 65_536];
                while let Ok(count @ 1..) = far.read(&mut bytes) {
                    let answer = &mut bytes[..count];
                    for at in 0..count {
                        if answer[at..].starts_with(&own) {
                            answer[at..at + other.len()].copy_from_slice(&other);
                        }
                    }
                    if near.write_all(answer).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_broker_that_tells_an_address_where_it_is_not_reached_is_named_by_it() {
    let topic = Topic::new(1);
    let mut source = topic.source("s", "1");
    source["kafka"]["brokers"] = json!([advertised_elsewhere(topic.cluster.bootstrap_servers())]);
    let edge = edge_with(source);
    let names_it = |text: &str| text.contains("127.0.0.1:9: Connect to");
    let said = run(&["check"], &edge.url(), "CK.good.key");
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.contains("BAD  orders (s)") && names_it(&text), "{text}");
    let _companion = Companion::start(&edge.url());
    edge.wait_for_report("s", "where it is sought", |source| {
        source["state"] == "failing" && source["error"]["message"].as_str().is_some_and(names_it)
    });
}

#[test]
fn check_asks_many_at_once_and_tells_them_in_their_order() {
    const SOURCES: usize = 6;
    // Hangs up only when all are there: asked one after another, each would wait in vain.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let all: Vec<_> = listener.incoming().take(SOURCES).collect();
        drop(all);
    });
    let sources: Vec<_> = (0..SOURCES)
        .map(|n| {
            json!({"uid": format!("s{n}"), "name": "q", "version": "1", "workers": 1, "type": "amqp",
            "amqp": {"host": "127.0.0.1", "port": port, "queue": "q"}})
        })
        .collect();
    let edge = edge_with(json!({}));
    edge.sources(json!(sources));
    let said = run(&["check"], &edge.url(), "CK.good.key");
    assert_eq!(said.status.code(), Some(1));
    let text = String::from_utf8(said.stdout).unwrap();
    let told: Vec<&str> = text.lines().filter(|line| line.starts_with("BAD")).collect();
    assert_eq!(told.len(), SOURCES, "{text}");
    for (n, line) in told.iter().enumerate() {
        assert!(line.contains(&format!("(s{n})")) && !line.contains("does not answer"), "{text}");
    }
}

#[test]
fn a_key_that_is_withdrawn_stops_everything_until_it_is_back() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    topic.publish(0, &texts(0..5));
    let companion = Companion::start(&edge.url());
    edge.wait_for(5);
    edge.book().always = Some(401);
    companion.wait_for_log("refuses the consumer key");
    companion.wait_for_log("a source has stopped");
    topic.publish(0, &texts(5..9));
    edge.book().always = None;
    assert_eq!(edge.wait_for(9), texts(0..9));
}

#[test]
fn a_broker_that_goes_and_comes_back_loses_nothing() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    topic.publish(0, &texts(0..5));
    let _companion = Companion::start(&edge.url());
    edge.wait_for(5);
    topic.cluster.broker_down(1).unwrap();
    edge.wait_for_report("s", "that it fails", |source| source["state"] == "failing");
    topic.cluster.broker_up(1).unwrap();
    topic.publish(0, &texts(5..9));
    assert_eq!(edge.wait_for(9), texts(0..9));
    edge.wait_for_report("s", "that it is connected", |source| source["state"] == "connected");
}

#[test]
fn a_signal_ends_it_although_the_gateway_does_not_answer() {
    let topic = Topic::new(1);
    let edge = edge_with(topic.source("s", "1"));
    edge.book().refusals = vec![(503, Some(60)); 50];
    topic.publish(0, &texts(0..2000));
    let mut companion = Companion::start(&edge.url());
    poll_until("a refusal", || (!edge.book().batches.is_empty()).then_some(()));
    companion.signal(Signal::TERM);
    assert_eq!(companion.wait(Duration::from_secs(15)), 0);
    edge.book().refusals.clear();
    let _second = Companion::start(&edge.url());
    assert_eq!(edge.wait_for(2000), texts(0..2000));
}
