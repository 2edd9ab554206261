//! Events that come at the same time share rows of the journal and messages of the queue: each is answered, stored and
//! delivered as if it were alone.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use inlet_tests::{Gateway, Reply, poll_until, source_path};
use rustix::net::sockopt::set_socket_linger;
use serde_json::json;

use crate::story::Story;

/// Bodies unlike each other in all that a row has to tell apart: text of one and of several bytes a character, what is no
/// text, NUL, nothing, and lengths on both sides of what a row of many takes.
fn odd_bodies(of: usize) -> Vec<Vec<u8>> {
    let body = |number: usize| {
        let text = format!("{{\"n\":{number},\"t\":\"");
        let rest = match number % 6 {
            0 => "x".repeat(900).into_bytes(),
            1 => "ü€😀".repeat(40).into_bytes(),
            2 => vec![0xff, 0xfe, b'\n', b'"'],
            3 => b"\0\0".to_vec(),
            4 => "[,]".repeat(30_000).into_bytes(),
            _ => Vec::new(),
        };
        [text.into_bytes(), rest, b"\"}".to_vec()].concat()
    };
    (0..of).map(body).collect()
}

fn post_together(story: &Story, bodies: &[Vec<u8>], senders: usize) -> Vec<Reply> {
    thread::scope(|scope| {
        let each = bodies.chunks(bodies.len().div_ceil(senders));
        let send = |some: &[Vec<u8>]| some.iter().map(|body| story.post(body)).collect();
        let senders: Vec<_> = each.map(|some| scope.spawn(move || send(some))).collect();
        let replies = senders.into_iter().map(|one| one.join().expect("a sender"));
        replies.flat_map(|some: Vec<Reply>| some).collect()
    })
}

fn rows_of_the_journal(gateway: &Gateway) -> usize {
    let count = |table| {
        let rows = gateway.sql("EVENTS_0", &format!("SELECT count(*) AS n FROM {table}"), &[]);
        usize::try_from(rows[0]["n"].as_u64().expect("a number")).expect("a small number")
    };
    count("journal_0") + count("journal_1")
}

#[test]
fn events_of_the_same_moment_share_rows_and_stay_what_they_are() {
    let mut story = Story::new(Gateway::builder().durability("journal"));
    let bodies = odd_bodies(240);
    let ids: BTreeSet<String> = post_together(&story, &bodies, 24)
        .into_iter()
        .map(|reply| reply.expect(200).json()["event_id"].to_string())
        .collect();
    story.gateway.kill9();
    story.gateway.restart();
    assert_eq!(ids.len(), bodies.len());
    let rows = rows_of_the_journal(&story.gateway);
    assert!(rows < bodies.len(), "{rows} rows for {} events", bodies.len());
    story.wait_for_bodies(&bodies);
    let stored = story.project().stored_events();
    let stored: BTreeSet<String> = stored.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(stored, ids);
    assert_eq!(story.received(), bodies.into_iter().collect());
}

/// Posts bodies in a crowd through a queue that takes its time, until some of them have shared a message; answers all
/// bodies and the ids of their events.
fn post_a_crowd(story: &Story) -> (Vec<Vec<u8>>, BTreeSet<String>) {
    story.gateway.slow_down("INGEST_0", None, Duration::from_millis(20));
    story.gateway.counters(true);
    let (mut bodies, mut ids) = (Vec::new(), BTreeSet::new());
    poll_until("events that share a message", || {
        let some: Vec<Vec<u8>> = odd_bodies(bodies.len() + 240).split_off(bodies.len());
        let replies = post_together(story, &some, 24);
        ids.extend(
            replies.into_iter().map(|reply| reply.expect(200).json()["event_id"].to_string()),
        );
        bodies.extend(some);
        let sent = story.gateway.counters(false)["INGEST_0"]["messages"].as_u64();
        (sent.expect("a number") < bodies.len() as u64).then_some(())
    });
    story.gateway.allow("INGEST_0");
    assert_eq!(ids.len(), bodies.len());
    (bodies, ids)
}

#[test]
fn events_of_the_same_moment_share_messages_and_stay_what_they_are() {
    let story = Story::new(Gateway::builder().durability("queue").tapped());
    let (bodies, ids) = post_a_crowd(&story);
    story.wait_for_bodies(&bodies);
    let stored = story.project().stored_events();
    let stored: BTreeSet<String> = stored.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(stored, ids);
    assert_eq!(story.received(), bodies.into_iter().collect());
}

#[test]
fn events_that_share_a_message_which_is_given_up_come_by_the_journal() {
    let builder = Gateway::builder().durability("queue").tapped();
    let story = Story::new(builder.consumer("inlet-ingest-0", json!({"maxRetries": 0})));
    story.gateway.refuse("EVENTS_0", Some("INSERT INTO events"));
    let (bodies, ids) = post_a_crowd(&story);
    poll_until("all of them in the journal", || {
        let rerouted =
            story.gateway.log().iter().filter(|line| line.contains("\"rerouted\"")).count();
        (bodies.len() <= rerouted).then_some(())
    });
    story.gateway.allow("EVENTS_0");
    story.wait_for_bodies(&bodies);
    let stored = story.project().stored_events();
    let stored: BTreeSet<String> = stored.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(stored, ids);
}

/// Sends a whole request, and resets the connection while it is being answered.
fn hang_up(story: &Story, body: &[u8], after: Duration) {
    let origin = story.gateway.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(origin).expect("the gateway");
    set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket");
    let (path, length) = (source_path(&story.source), body.len());
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    // The gateway may be quicker with an answer, or not listen any more.
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    stream.set_read_timeout(Some(after)).expect("a socket");
    let answered = sent.and_then(|()| stream.read(&mut [0; 1]));
    drop((stream, answered));
}

#[test]
fn senders_that_hang_up_take_no_others_along() {
    let story = Story::new(Gateway::builder().durability("journal"));
    let bodies = odd_bodies(96);
    thread::scope(|scope| {
        for number in 0..8 {
            let story = &story;
            scope.spawn(move || {
                for again in 1..13 {
                    let body = format!("{{\"hangs_up\":\"{number}-{again}\"}}");
                    hang_up(story, body.as_bytes(), Duration::from_millis(again));
                }
            });
        }
        for reply in post_together(&story, &bodies, 12) {
            reply.expect(200);
        }
    });
    story.wait_for_bodies(&bodies);
}

#[test]
fn senders_that_hang_up_leave_nothing_behind() {
    // An isolate holds 24 MiB of bodies: less than these would be.
    let large = vec![b'x'; 110_000];
    for (mode, binding, statement) in
        [("queue", "INGEST_0", None), ("journal", "EVENTS_0", Some("INSERT INTO journal"))]
    {
        let builder = Gateway::builder().durability(mode).sink("inlet-ingest-0");
        let story = Story::new(builder.sink("inlet-deliver-0").tapped());
        story.post("warm").expect(200);
        story.gateway.slow_down(binding, statement, Duration::from_millis(400));
        thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    for _ in 0..8 {
                        hang_up(&story, &large, Duration::from_millis(200));
                    }
                });
            }
        });
        story.gateway.allow(binding);
        poll_until("room for a large body", || (story.post(&large).status == 200).then_some(()));
    }
}

#[test]
fn a_write_that_fails_is_told_to_all_whose_events_were_in_it() {
    let story = Story::new(Gateway::builder().durability("journal").tapped());
    story.gateway.refuse("EVENTS_0", Some("INSERT INTO journal"));
    let bodies: Vec<Vec<u8>> = (0..48).map(|n| format!("{{\"n\":{n}}}").into_bytes()).collect();
    for reply in post_together(&story, &bodies, 16) {
        let reply = reply.expect(503);
        assert!(reply.header("retry-after").is_some());
    }
    story.gateway.allow("EVENTS_0");
    for reply in post_together(&story, &bodies, 16) {
        reply.expect(200);
    }
    story.wait_for_bodies(&bodies);
    assert_eq!(story.project().stored_events().len(), bodies.len());
}
