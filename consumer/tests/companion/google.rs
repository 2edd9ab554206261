//! Pub/Sub when it is not as it should be: an HTTP server that answers as Google's does, but for what a test says.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inlet_tests::{Answer, Endpoint, Received, base64, poll_until};
use serde_json::{Value, json};

use crate::edge_with;
use crate::process::Companion;

/// What it does instead of what it was asked, once.
#[derive(Clone, Copy)]
enum Fault {
    /// This status, with the words that Google has for it.
    Says(u16, &'static str),
    /// The connection ends in the middle of the answer.
    Half,
    /// The connection ends without one, though it was carried out.
    HangsUp,
}

#[derive(Default)]
struct Book {
    waiting: VecDeque<u32>,
    /// What is out, by its ack id.
    out: HashMap<String, u32>,
    settled: Vec<u32>,
    /// Every pull and every acknowledgement.
    pulls: usize,
    /// By method.
    faults: HashMap<&'static str, VecDeque<Fault>>,
    /// Each message comes twice, with another ack id.
    doubles: bool,
    /// Ack ids of this message are too old by the time that they come back, this often.
    too_old: Option<(u32, usize)>,
    ids: usize,
}

struct PubSub {
    endpoint: Endpoint,
    book: Arc<Mutex<Book>>,
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PubSub {
    fn start() -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let own = Arc::clone(&book);
        let endpoint = Endpoint::responding(move |request| answer(&mut lock(&own), request));
        Self { endpoint, book }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    fn fault(&self, method: &'static str, faults: &[Fault]) {
        self.book().faults.insert(method, faults.iter().copied().collect());
    }

    fn publish(&self, range: std::ops::Range<u32>) {
        self.book().waiting.extend(range);
    }

    fn source(&self) -> Value {
        let url = self.endpoint.url("");
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        json!({"uid": "s", "name": "orders", "version": "1", "is_disabled": false, "workers": 1, "max_attempts": 3,
            "type": "google", "google": {"project_id": "p", "subscription_id": "orders", "emulator_host": host}})
    }

    /// Waits until all of these are acknowledged.
    #[track_caller]
    fn wait_for_settled(&self, range: std::ops::Range<u32>) {
        poll_until("all of them settled", || {
            let mut settled = self.book().settled.clone();
            settled.sort_unstable();
            settled.dedup();
            (settled == range.clone().collect::<Vec<_>>()).then_some(())
        });
    }
}

fn says(status: u16, value: &Value) -> Answer {
    Answer::status(status).header("Content-Type", "application/json").body(value.to_string())
}

fn refuses(status: u16, message: &str) -> Answer {
    says(status, &json!({"error": {"code": status, "message": message, "status": "X"}}))
}

fn answer(book: &mut Book, request: &Received) -> Answer {
    let path = request.path.as_str();
    let Some(rest) = path.strip_prefix("/v1/projects/p/subscriptions/orders") else {
        return refuses(404, "Resource not found");
    };
    let method = match rest {
        "" => "get",
        ":pull" => "pull",
        ":acknowledge" => "acknowledge",
        ":modifyAckDeadline" => "modify",
        _ => return refuses(404, "no such method"),
    };
    let fault = book.faults.get_mut(method).and_then(VecDeque::pop_front);
    if let Some(Fault::Says(status, message)) = fault {
        return refuses(status, message);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let answer = match method {
        "pull" => pull(book),
        "acknowledge" => settle(book, &body),
        "modify" => modify(book, &body),
        _ => says(200, &json!({"name": path})),
    };
    match fault {
        Some(Fault::HangsUp) => Answer::hang_up(),
        Some(Fault::Half) => answer.half(),
        _ => answer,
    }
}

fn pull(book: &mut Book) -> Answer {
    book.pulls += 1;
    let mut given = Vec::new();
    for number in book.waiting.drain(..).collect::<Vec<_>>() {
        for _ in 0..if book.doubles { 2 } else { 1 } {
            book.ids += 1;
            let id = format!("ack-{}", book.ids);
            let data = base64(format!("{{\"number\":{number}}}").as_bytes());
            given.push(
                json!({"ackId": id, "message": {"data": data, "messageId": format!("m-{number}"),
                "publishTime": "2026-11-21T10:00:00Z"}}),
            );
            book.out.insert(id, number);
        }
    }
    let answer = says(200, &json!({"receivedMessages": given}));
    if given.is_empty() { answer.after(Duration::from_millis(100)) } else { answer }
}

fn ids(body: &Value) -> Vec<String> {
    let ids = body["ackIds"].as_array().expect("ack ids");
    ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn settle(book: &mut Book, body: &Value) -> Answer {
    let ids = ids(body);
    let old = book.too_old.filter(|(_, times)| *times > 0).map(|(number, _)| number);
    if let Some(old) = old
        && let Some(id) = ids.iter().find(|id| book.out.get(*id) == Some(&old))
    {
        // Alone it is refused for good: it comes again. With others, they are refused with it.
        if ids.len() == 1 {
            book.out.remove(id);
            book.waiting.push_back(old);
            book.too_old = book.too_old.map(|(number, times)| (number, times - 1));
        }
        return refuses(400, "Some acknowledgement ids in the request were invalid.");
    }
    for id in ids {
        if let Some(number) = book.out.remove(&id) {
            book.settled.push(number);
        }
    }
    says(200, &json!({}))
}

fn modify(book: &mut Book, body: &Value) -> Answer {
    if body["ackDeadlineSeconds"] == 0 {
        for id in ids(body) {
            let number = book.out.remove(&id);
            book.waiting.extend(number);
        }
    }
    says(200, &json!({}))
}

fn texts(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("{{\"number\":{number}}}")).collect()
}

#[test]
fn pubsub_that_is_busy_or_refuses_is_told_and_asked_again() {
    for (status, message) in [
        (429, "Quota exceeded for quota metric"),
        (503, "The service was unable to fulfill your request"),
        (401, "Request had invalid authentication credentials: the access token has expired"),
        (403, "User not authorized to perform this action"),
        (404, "Resource not found (resource=orders)"),
    ] {
        let pubsub = PubSub::start();
        pubsub.publish(0..5);
        pubsub.fault("pull", &[Fault::Says(status, message); 3]);
        let edge = edge_with(pubsub.source());
        let companion = Companion::start(&edge.url());
        let report = edge.wait_for_report("s", message, |source| source["state"] == "failing");
        let told = report["error"]["message"].as_str().unwrap();
        assert_eq!(told, format!("Pub/Sub answers {status}: {message}"));
        assert_eq!(edge.wait_for(5), texts(0..5));
        pubsub.wait_for_settled(0..5);
        edge.wait_for_report("s", "well again", |source| source["state"] == "connected");
        drop(companion);
    }
}

#[test]
fn pubsub_answers_that_break_off_lose_nothing() {
    let pubsub = PubSub::start();
    pubsub.publish(0..5);
    pubsub.fault("pull", &[Fault::Half, Fault::HangsUp]);
    pubsub.fault("acknowledge", &[Fault::HangsUp, Fault::Half]);
    let edge = edge_with(pubsub.source());
    let _companion = Companion::start(&edge.url());
    // What nobody acknowledges comes again, as it does when a lease ends.
    poll_until("two pulls", || (pubsub.book().pulls >= 3).then_some(()));
    {
        let mut book = pubsub.book();
        let out: Vec<u32> = book.out.drain().map(|(_, number)| number).collect();
        book.waiting.extend(out);
    }
    let mut got = edge.wait_for(5);
    got.sort();
    assert_eq!(got, texts(0..5));
    pubsub.wait_for_settled(0..5);
}

#[test]
fn pubsub_messages_that_come_twice_are_one_event_and_both_are_settled() {
    let pubsub = PubSub::start();
    pubsub.book().doubles = true;
    pubsub.publish(0..5);
    let edge = edge_with(pubsub.source());
    let _companion = Companion::start(&edge.url());
    assert_eq!(edge.wait_for(5), texts(0..5));
    poll_until("both settled", || (pubsub.book().settled.len() == 10).then_some(()));
    let book = edge.book();
    assert_eq!((book.accepted.len(), book.duplicates), (5, 5));
}

#[test]
fn pubsub_ack_ids_that_are_too_old_spoil_no_others() {
    let pubsub = PubSub::start();
    pubsub.book().too_old = Some((3, 2));
    pubsub.publish(0..8);
    let edge = edge_with(pubsub.source());
    let _companion = Companion::start(&edge.url());
    assert_eq!(edge.wait_for(8), texts(0..8));
    pubsub.wait_for_settled(0..8);
    let report = edge.wait_for_report("s", "the copies", |source| source["duplicates"] == 2);
    assert_eq!((&report["state"], &report["accepted"]), (&json!("connected"), &json!(8)));
    assert!(report["error"].is_null(), "{report}");
}

#[test]
fn pubsub_that_is_busy_when_messages_are_settled_is_asked_again() {
    let pubsub = PubSub::start();
    pubsub.publish(0..5);
    pubsub.fault("acknowledge", &[Fault::Says(503, "try later"), Fault::Says(429, "slower")]);
    let edge = edge_with(pubsub.source());
    let _companion = Companion::start(&edge.url());
    edge.wait_for(5);
    pubsub.wait_for_settled(0..5);
    let report = edge.wait_for_report("s", "that it works", |source| source["accepted"] == 5);
    assert_eq!((&report["duplicates"], &report["error"]), (&json!(0), &Value::Null));
}
