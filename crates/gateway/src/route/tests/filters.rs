//! What filters say, and what they cost.

use super::*;

#[test]
fn filters_decide_among_those_who_want_the_type() {
    let subscriptions = [
        filtered("large", json!({"body": {"n": {"$gt": 10}}})),
        filtered("push", json!({"headers": {"x-github-event": "push"}})),
        filtered("ping", json!({"headers": {"x-github-event": "ping"}})),
    ];
    let directory = known(&subscriptions);
    for (body, expect) in [(&b"{\"n\":11}"[..], 2), (b"{\"n\":9}", 1), (b"no json", 1)] {
        let sent = envelope(Body::Inline(body.to_vec()));
        assert_eq!(apply(&database(), &route(&[sent], &directory, 7, None)).len(), expect);
    }
    let db = database();
    let sent = envelope(Body::Inline(b"{}".to_vec()));
    apply(&db, &route(std::slice::from_ref(&sent), &known(&subscriptions[2..]), 7, None));
    let event = &run(&db, &sql::event("project", &sent.meta.event_id))[0];
    assert_eq!(event["status"], "Failure");
    let reason = event["failure_reason"].as_str().unwrap();
    assert!(reason.ends_with("their filters do not match"), "{reason}");
}

/// A list of so many items, each an object of one number.
fn long_list(items: usize) -> Vec<u8> {
    format!("{{\"a\":[{}]}}", vec!["{\"x\":1}"; items].join(",")).into_bytes()
}

/// A filter that asks each item of a list for so many numbers, none of which is there.
fn greedy(uid: &str, numbers: usize) -> Subscription {
    let any: Vec<Value> = (0..numbers).map(|n| json!({"a.$.x": {"$eq": 100 + n}})).collect();
    filtered(uid, json!({"body": {"$or": any}}))
}

#[test]
fn what_takes_too_many_steps_is_not_sent_and_the_event_says_so() {
    let sent = envelope(Body::Inline(long_list(15_000)));
    let reason = |subscriptions: &[Subscription]| {
        let db = database();
        let routing = route(std::slice::from_ref(&sent), &known(subscriptions), 7, None);
        let got = apply(&db, &routing).len();
        let event = &run(&db, &sql::event("project", &sent.meta.event_id))[0];
        let shown = format!("{got} {} {}", event["status"], event["failure_reason"]);
        (shown.replace('"', ""), routing.stopped.len())
    };
    let (shown, stopped) = reason(&[greedy("greedy", 200)]);
    assert!(shown.starts_with("0 Failure not sent to all who may want it: "), "{shown}");
    assert!(shown.contains("too many steps on it: greedy; have them"), "{shown}");
    assert_eq!(stopped, 1);
    // Neither those before nor those after it lose their events by it, and nor does it stop the others.
    let modest =
        |uid| filtered(uid, json!({"body": {"a.0.x": 1}, "headers": {"x-github-event": "push"}}));
    let mut all: Vec<Subscription> = (0..300).map(|n| greedy(&format!("g{n:03}"), 180)).collect();
    all.insert(0, modest("first"));
    all.push(modest("last"));
    let (shown, stopped) = reason(&all);
    assert!(shown.starts_with("2 Success not sent to all"), "{shown}");
    assert!(shown.contains("too many steps on it: g000, g001, g002 and 297 more; have"), "{shown}");
    assert_eq!(stopped, 300);
    let steps = known(&all).receivers(&sent).steps;
    assert!(steps <= STEPS_MAX, "{steps}");
    let (shown, stopped) = reason(&[greedy("few", 10)]);
    assert!(shown.ends_with("their filters do not match") && stopped == 0, "{shown}");
}

#[test]
fn one_thing_can_be_asked_of_every_item_of_the_largest_body() {
    let sent = envelope(Body::Inline(long_list(260_000)));
    let wanted = [
        filtered("one", json!({"body": {"a.$.x": {"$gt": 1}}})),
        filtered("other", json!({"body": {"a.$.x": {"$lt": 2}}})),
    ];
    let found = known(&wanted);
    let found = found.receivers(&sent);
    assert_eq!((found.receivers.len(), found.stopped.len()), (1, 0));
}

#[test]
fn a_body_elsewhere_is_read_only_where_a_filter_asks() {
    let stored = Body::Stored { key: "k".into(), len: 200_000 };
    let sent = [envelope(Body::Inline(vec![])), envelope(stored)];
    let directory = known(&[subscription("all", "source", "*")]);
    assert!(directory.bodies_to_read(&sent).is_empty());
    let mut directory = known(&[filtered("some", json!({"body": {"n": 1}}))]);
    assert_eq!(directory.bodies_to_read(&sent), [(1, "k")]);
    let reason = directory.receivers(&sent[1]).reason;
    assert!(reason.ends_with("too large for their filters"), "{reason}");
    directory.bodies.insert(sent[1].meta.event_id.clone(), b"{\"n\":1}".to_vec());
    assert_eq!(directory.receivers(&sent[1]).receivers.len(), 1);
}

#[test]
fn a_batch_ends_where_its_filters_have_taken_their_time() {
    let sent: Vec<Envelope> = (0..20)
        .map(|n| {
            let mut sent = envelope(Body::Inline(long_list(2_000)));
            sent.meta.event_id = format!("event-{n:02}");
            sent.meta.claim = None;
            sent
        })
        .collect();
    // Each within what an event may take: 150 numbers of 2,000 items, for three steps.
    let directory = known(&[greedy("a", 150), greedy("b", 150)]);
    let (db, mut at, mut batches) = (database(), 0, 0);
    while at < sent.len() {
        let routing = route(&sent[at..], &directory, 7, None);
        assert!((1..=4).contains(&routing.count), "{}", routing.count);
        assert!(routing.stopped.is_empty());
        apply(&db, &routing);
        at += routing.count;
        batches += 1;
        let stored = (0..sent.len())
            .filter(|n| !run(&db, &sql::event("project", &format!("event-{n:02}"))).is_empty());
        assert_eq!(stored.count(), at);
    }
    assert!((5..=20).contains(&batches), "{batches}");
    let (_, tally) = replay(&sent, &directory, 8, "replay");
    assert!((1..=4).contains(&tally.seen()), "{}", tally.seen());
    // Bodies count as well: of what a filter does not match quickly, the reading is most.
    let quick = filtered("quick", json!({"body": {"b": 1}}));
    let sent = vec![envelope(Body::Inline(long_list(200_000))); 30];
    let count = route(&sent, &known(&[quick]), 7, None).count;
    assert!((5..30).contains(&count), "{count}");
    assert_eq!(route(&sent, &known(&[]), 7, None).count, 30);
}
