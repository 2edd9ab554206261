//! A gateway that does what a test says, and keeps what it got.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use inlet_tests::{Answer, Endpoint, Received, poll_until};
use serde_json::{Value, json};

/// What it says about one message: a verdict, as the gateway writes it.
type Verdict = Box<dyn Fn(&Item) -> Value + Send>;

#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) head: Value,
}

impl Item {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    pub(crate) fn dead(&self) -> Option<&str> {
        self.head["dead"].as_str()
    }
}

#[derive(Default)]
pub(crate) struct Book {
    sources: Value,
    etag: u32,
    /// Durable, in order, each once.
    pub(crate) accepted: Vec<Item>,
    pub(crate) dead: Vec<Item>,
    pub(crate) duplicates: usize,
    seen: HashMap<String, usize>,
    /// How many messages each batch had, and when it came.
    pub(crate) batches: Vec<(usize, Instant)>,
    pub(crate) statuses: Vec<Value>,
    pub(crate) takes_no_reports: bool,
    pub(crate) polls: usize,
    pub(crate) unchanged: usize,
    /// Answers to batches before anything else: status, `Retry-After`.
    pub(crate) refusals: Vec<(u16, Option<u32>)>,
    /// What somebody else answers to batches, before they get to it.
    pub(crate) others: Vec<u16>,
    /// Whether something before it refuses any batch with this message in it, given up or not.
    pub(crate) blocks: Option<fn(&Item) -> bool>,
    /// What it answers to everything, until it is told otherwise.
    pub(crate) always: Option<u16>,
    /// It does not answer the batch, though it has kept it.
    pub(crate) forgets_to_answer: bool,
    pub(crate) verdict: Option<Verdict>,
    /// Whether a message has its whole batch refused, unless the companion gives it up.
    pub(crate) refuses: Option<fn(&Item) -> bool>,
    /// Whether a message that the companion gives up has its whole batch refused.
    pub(crate) refuses_dead: Option<fn(&Item) -> bool>,
    /// Whether it breaks down over a batch, unless it is given up.
    pub(crate) fails: Option<fn(&Item) -> bool>,
    /// The project's limit of a message.
    pub(crate) max_message_bytes: Option<usize>,
}

pub(crate) struct Edge {
    endpoint: Endpoint,
    book: Arc<Mutex<Book>>,
}

impl Edge {
    pub(crate) fn start() -> Self {
        let book = Arc::new(Mutex::new(Book { sources: json!([]), ..Book::default() }));
        let own = Arc::clone(&book);
        let endpoint = Endpoint::responding(move |request| answer(&mut lock(&own), request));
        Self { endpoint, book }
    }

    pub(crate) fn url(&self) -> String {
        self.endpoint.url("")
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    /// What has to be read from now on.
    pub(crate) fn sources(&self, sources: Value) {
        let mut book = self.book();
        book.sources = sources;
        book.etag += 1;
    }

    /// The project takes messages up to this size from now on.
    pub(crate) fn limit(&self, bytes: usize) {
        let mut book = self.book();
        book.max_message_bytes = Some(bytes);
        book.etag += 1;
    }

    /// The texts that are durable, when there are this many.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<String> {
        poll_until(&format!("{count} messages"), || {
            let book = self.book();
            (book.accepted.len() >= count).then(|| book.accepted.iter().map(Item::text).collect())
        })
    }

    /// The last report of this source, when it is as it should be.
    #[track_caller]
    pub(crate) fn wait_for_report(
        &self,
        uid: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        poll_until(what, || {
            let book = self.book();
            let last = book.statuses.last()?["sources"].as_array()?.clone();
            last.into_iter().find(|source| source["source_id"] == uid && wanted(source))
        })
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

fn says(status: u16, value: &Value) -> Answer {
    Answer::status(status).header("Content-Type", "application/json").body(value.to_string())
}

fn answer(book: &mut Book, request: &Received) -> Answer {
    if request.path == "/healthz" {
        return says(200, &json!({"status": true, "message": "Inlet 0.1.0"}));
    }
    if let Some(status) = book.always {
        return says(status, &json!({"status": false, "message": "as the test says"}));
    }
    if request.header("authorization") != Some("Bearer CK.good.key") {
        return says(401, &json!({"status": false, "message": "invalid consumer key"}));
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/consumer/v1/sources") => {
            book.polls += 1;
            let etag = format!("\"{}\"", book.etag);
            if request.header("if-none-match") == Some(&etag) {
                book.unchanged += 1;
                return Answer::status(304).header("ETag", &etag);
            }
            let list = json!({"poll_seconds": 1, "project_id": "p", "max_message_bytes": book.max_message_bytes.unwrap_or(1_500_000), "sources": book.sources});
            says(200, &list).header("ETag", &etag)
        }
        ("POST", "/consumer/v1/status") => {
            let report: Value = serde_json::from_slice(&request.body).unwrap();
            if book.takes_no_reports {
                return says(413, &json!({"status": false, "message": "sources:too many"}));
            }
            book.statuses.push(report);
            Answer::status(204)
        }
        ("POST", "/consumer/v1/batches") => batch(book, request),
        _ => says(404, &json!({"status": false, "message": "no such path"})),
    }
}

fn items(request: &Received) -> (String, Vec<Item>) {
    assert_eq!(request.header("content-type"), Some("application/vnd.inlet.batch"));
    let end = request.body.iter().position(|byte| *byte == b'\n').expect("a line of JSON");
    let head: Value = serde_json::from_slice(&request.body[..end]).unwrap();
    let mut rest = &request.body[end + 1..];
    let mut items = Vec::new();
    for head in head["messages"].as_array().unwrap() {
        let length = usize::try_from(head["length"].as_u64().unwrap()).unwrap();
        let (payload, after) = rest.split_at(length);
        rest = after;
        let id = head["id"].as_str().unwrap_or_default().to_owned();
        items.push(Item { id, payload: payload.to_vec(), head: head.clone() });
    }
    assert!(rest.is_empty(), "lengths and bytes agree");
    (head["source_id"].as_str().unwrap().to_owned(), items)
}

fn batch(book: &mut Book, request: &Received) -> Answer {
    let (source, items) = items(request);
    let bytes: usize = items.iter().map(|item| item.payload.len()).sum();
    assert!(
        items.len() == 1 || items.len() <= 1000 && bytes <= 1_000_000,
        "{} {bytes}",
        items.len()
    );
    book.batches.push((items.len(), Instant::now()));
    let known = book.sources.as_array().unwrap().iter().find(|one| one["uid"] == *source);
    match known {
        None => return says(404, &json!({"status": false, "message": "source not found"})),
        Some(source) if source["is_disabled"] == true => {
            return says(409, &json!({"status": false, "message": "source is disabled"}));
        }
        Some(_) => {}
    }
    if let Some(status) = book.others.pop() {
        return Answer::status(status).header("Content-Type", "text/html").body("<html>");
    }
    if book.blocks.is_some_and(|blocks| items.iter().any(blocks)) {
        return Answer::status(403).header("Content-Type", "text/html").body("<html>");
    }
    if !book.refusals.is_empty() {
        let (status, wait) = book.refusals.remove(0);
        let answer = says(status, &json!({"status": false, "message": "as the test says"}));
        return match wait {
            Some(seconds) => answer.header("Retry-After", &seconds.to_string()),
            None => answer,
        };
    }
    let fails = book.fails.unwrap_or(|_| false);
    if items.iter().any(|item| item.dead().is_none() && fails(item)) {
        return Answer::status(500);
    }
    let refuses = book.refuses.unwrap_or(|_| false);
    let refuses_dead = book.refuses_dead.unwrap_or(|_| false);
    let is_refused =
        |item: &Item| if item.dead().is_none() { refuses(item) } else { refuses_dead(item) };
    if items.iter().any(is_refused) {
        return says(422, &json!({"status": false, "message": "one of them is not to be had"}));
    }
    let results: Vec<Value> = items.into_iter().map(|item| take(book, item)).collect();
    if book.forgets_to_answer {
        return Answer::hang_up().after(Duration::from_millis(50));
    }
    says(200, &json!({"results": results}))
}

fn take(book: &mut Book, item: Item) -> Value {
    if item.dead().is_some() {
        let reason = item.dead().unwrap().to_owned();
        book.dead.push(item);
        return json!({"status": "dead_letter", "dead_letter_id": "d", "reason": reason});
    }
    if book.seen.contains_key(&item.id) {
        book.duplicates += 1;
        return json!({"status": "duplicate", "event_id": "e"});
    }
    let verdict = match &book.verdict {
        Some(verdict) => verdict(&item),
        None => json!({"status": "accepted", "event_id": "e"}),
    };
    match verdict["status"].as_str() {
        Some("accepted") => {
            let number = book.accepted.len();
            book.seen.insert(item.id.clone(), number);
            book.accepted.push(item);
        }
        Some("dead_letter") => book.dead.push(item),
        _ => {}
    }
    verdict
}
