//! What comes alone is called by whoever routes it, as in production, where queues are durable: without a bell, and with a row less.

use std::time::Duration;

use inlet_tests::{Answer, Builder, Endpoint, Gateway, poll_until};
use serde_json::{Value, json};

use crate::story::Story;

const MODES: [&str; 2] = ["queue", "journal"];

fn production(mode: &str) -> Builder {
    Gateway::builder().durability(mode).var("LOCAL_QUEUE", "false").tapped()
}

fn post(story: &Story, body: &str) -> String {
    let reply = story.post(body).expect(200);
    reply.header("inlet-event-id").expect("an id").to_owned()
}

/// What was written to the shard, what the two queues took, and what the first of its counts says.
fn count(counters: &Value, binding: &str, what: &str) -> u64 {
    counters[binding][what].as_u64().unwrap_or_default()
}

fn bells(story: &Story) -> u64 {
    count(&story.gateway.counters(false), "DELIVER_0", "messages")
}

/// The rows that one event costs, by ARCHITECTURE: its own, its delivery's two, its source's count or what goes with the mark,
/// and that of the journal.
#[test]
fn an_event_that_is_alone_costs_no_bell_and_few_rows() {
    for (mode, rows) in MODES.into_iter().zip([4, 5]) {
        let story = Story::new(production(mode));
        let project = story.project();
        project.wait_for_delivery(&post(&story, "first"), "Success");
        story.gateway.counters(true);
        for n in 0..5 {
            project.wait_for_delivery(&post(&story, &n.to_string()), "Success");
        }
        let counters = story.gateway.counters(false);
        assert_eq!(count(&counters, "EVENTS_0", "rowsWritten"), 5 * rows, "{mode}: {counters}");
        assert_eq!(count(&counters, "DELIVER_0", "messages"), 0, "{mode}");
        assert_eq!(story.endpoint.count(), 6, "{mode}");
        let shown = project.get(&format!("/sources/{}", story.source["uid"].as_str().unwrap()));
        assert_eq!(shown.expect(200).data()["event_count"], 6, "{mode}");
    }
}

/// Nobody who routes waits for it, after the first time.
#[test]
fn an_endpoint_that_takes_long_is_left_to_dispatchers() {
    for mode in MODES {
        let story = Story::new(production(mode));
        let project = story.project();
        story.endpoint.answer(&[Answer::ok().after(Duration::from_secs(3))]);
        let first = post(&story, "slow");
        poll_until("a bell for when its lease is over", || (bells(&story) == 1).then_some(()));
        project.wait_for_delivery(&first, "Success");
        story.endpoint.answer(&[Answer::ok()]);
        project.wait_for_delivery(&post(&story, "next"), "Success");
        assert_eq!((story.endpoint.count(), bells(&story)), (2, 2), "{mode}");
    }
}

/// It goes on beside the router, with its timeout, and what becomes of it is written down: nobody is called twice.
#[test]
fn a_first_call_that_outlasts_its_router_is_recorded() {
    for mode in MODES {
        let story = Story::new(production(mode));
        let project = story.project();
        let endpoint = project.list("/endpoints")[0]["uid"].clone();
        let path = format!("/endpoints/{}", endpoint.as_str().unwrap());
        project
            .put(&path, &json!({"name": "e", "url": story.endpoint.url("/"), "http_timeout": 3}))
            .expect(202);
        story.endpoint.answer(&[Answer::ok().after(Duration::from_secs(8)), Answer::ok()]);
        let id = post(&story, "{}");
        let delivery = project.wait_for_delivery(&id, "Retry");
        let attempts = project.attempts(delivery["uid"].as_str().unwrap());
        assert_eq!(attempts.len(), 1, "{mode}");
        assert!(
            attempts[0]["error"].as_str().is_some_and(|why| why.contains("3 s")),
            "{attempts:?}"
        );
        project.wait_for_delivery(&id, "Success");
        assert_eq!(story.endpoint.count(), 2, "{mode}");
    }
}

#[test]
fn an_endpoint_that_takes_long_slows_down_no_neighbour() {
    let story = Story::new(production("queue"));
    let project = story.project();
    let slow = Endpoint::answering(&[Answer::ok().after(Duration::from_secs(3))]);
    project.route(&story.source, &slow);
    let delivered = |id: &str| {
        poll_until("both deliveries", || {
            let deliveries = project.deliveries(id);
            let are_done = deliveries.iter().filter(|one| one["status"] == "Success").count();
            (are_done == 2).then_some(())
        });
    };
    let first = post(&story, "a");
    poll_until("a bell for the slow one", || (bells(&story) == 1).then_some(()));
    delivered(&first);
    delivered(&post(&story, "b"));
    assert_eq!(bells(&story), 2, "again for the slow one alone");
    assert_eq!((story.endpoint.count(), slow.count()), (2, 2));
}

/// What is retried, held back or for nobody goes its usual way.
#[test]
fn what_may_not_be_called_at_once_waits_for_its_bell() {
    for mode in MODES {
        let story = Story::new(production(mode));
        let project = story.project();
        let limited = Endpoint::ok();
        let made = project.endpoint(json!({"name": "limited", "url": limited.url("/"), "rate_limit": 1, "rate_limit_duration": 1}));
        let subscription =
            json!({"name": "s", "source_id": story.source["uid"], "endpoint_id": made["uid"]});
        project.post("/subscriptions", &subscription).expect(201);
        story.endpoint.answer(&[Answer::status(500), Answer::ok()]);
        let ids = [post(&story, "a"), post(&story, "b")];
        limited.wait_for(2);
        story.endpoint.wait_for(3);
        for id in &ids {
            poll_until("two deliveries that are done", || {
                story.gateway.cron();
                let deliveries = project.deliveries(id);
                let are_done = deliveries.iter().filter(|one| one["status"] == "Success").count();
                (are_done == 2).then_some(())
            });
        }
        assert_eq!((story.endpoint.count(), limited.count()), (3, 2), "{mode}");
        assert!(0 < bells(&story), "{mode}");
    }
}

/// Its mark has moved on, and no bell tells of it.
#[test]
fn a_first_call_that_dies_with_its_gateway_is_made_again() {
    let mut story = Story::new(production("journal"));
    story.endpoint.answer(&[Answer::ok().after(Duration::from_mins(2))]);
    let id = post(&story, "{}");
    story.endpoint.wait_for(1);
    story.gateway.kill9();
    story.endpoint.answer(&[Answer::ok()]);
    story.gateway.restart();
    let over = "UPDATE deliveries SET lease_until = 1 WHERE project_id = ?1 AND look_at IS NULL";
    let ended =
        story.gateway.sql("EVENTS_0", &format!("{over} RETURNING status"), &[json!(story.uid)]);
    assert_eq!(ended, [json!({"status": "Processing"})]);
    let waiting = "SELECT journal FROM journal_state WHERE journal = 0 AND done < (SELECT max(seq) FROM journal_0) \
        OR journal = 1 AND done < (SELECT max(seq) FROM journal_1)";
    assert_eq!(story.gateway.sql("EVENTS_0", waiting, &[]), [] as [Value; 0]);
    poll_until("the delivery", || {
        story.gateway.cron();
        (story.project().deliveries(&id)[0]["status"] == "Success").then_some(())
    });
    assert_eq!(story.endpoint.count(), 2);
}
