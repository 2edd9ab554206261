use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::client::{Call, Reply, array};
use crate::endpoint::Endpoint;
use crate::gateway::{Gateway, ROOT_KEY, shard};
use crate::poll::poll_until;

/// A tenant of its own for one test, with the calls of Convoy's API.
#[derive(Debug)]
pub struct Project<'g> {
    pub gateway: &'g Gateway,
    pub uid: String,
    pub key: String,
}

impl Gateway {
    /// A new `incoming` project.
    #[track_caller]
    pub fn project(&self) -> Project<'_> {
        self.project_with(json!({}))
    }

    /// A new project with this `config`.
    #[track_caller]
    pub fn project_with(&self, config: Value) -> Project<'_> {
        self.project_of("incoming", config)
    }

    /// A new `outgoing` project with this `config`.
    #[track_caller]
    pub fn outgoing(&self, config: Value) -> Project<'_> {
        self.project_of("outgoing", config)
    }

    #[track_caller]
    fn project_of(&self, kind: &str, config: Value) -> Project<'_> {
        // Names of projects are unique, also in a state that an earlier process left.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
        let name = format!("test-{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.create_project(json!({"name": name, "type": kind, "config": config}))
    }

    #[track_caller]
    pub fn create_project(&self, mut body: Value) -> Project<'_> {
        if shard() > 0 && body["shard"].is_null() {
            body["shard"] = json!(shard());
        }
        let call = self.call("POST", "/api/v1/projects").bearer(ROOT_KEY).json(&body);
        let data = call.send().expect(201).data();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (uid, key) = (text(&data["project"]["uid"]), text(&data["api_key"]["key"]));
        Project { gateway: self, uid, key }
    }
}

/// The `uid` of what the API has shown.
#[track_caller]
pub fn uid(shown: &Value) -> String {
    shown["uid"].as_str().unwrap_or_else(|| panic!("no uid in {shown}")).to_owned()
}

/// The path that a source is posted to.
#[track_caller]
pub fn source_path(source: &Value) -> String {
    format!("/ingest/{}", source["mask_id"].as_str().expect("a source has a mask_id"))
}

impl Project<'_> {
    /// A call below `/api/v1/projects/{uid}`, with the project's key.
    pub fn call(&self, method: &str, path: &str) -> Call {
        let path = format!("/api/v1/projects/{}{path}", self.uid);
        self.gateway.call(method, &path).bearer(&self.key)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path).send()
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path).json(body).send()
    }

    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.call("PUT", path).json(body).send()
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path).send()
    }

    /// Creates a source and returns its `data`.
    #[track_caller]
    pub fn source(&self, body: Value) -> Value {
        self.post("/sources", &body).expect(201).data()
    }

    /// A source that believes everybody.
    #[track_caller]
    pub fn open_source(&self) -> Value {
        self.open_source_with(json!({}))
    }

    /// A source that believes everybody, with these fields too.
    #[track_caller]
    pub fn open_source_with(&self, fields: Value) -> Value {
        let mut body = json!({"name": "open", "type": "http", "verifier": {"type": "noop"}});
        merge(&mut body, fields);
        self.source(body)
    }

    #[track_caller]
    pub fn github_source(&self, secret: &str) -> Value {
        self.source(json!({
            "name": "github", "type": "http", "provider": "github",
            "verifier": {"type": "hmac", "hmac": {
                "secret": secret, "hash": "SHA256", "encoding": "hex",
                "header": "X-Hub-Signature-256",
            }},
        }))
    }

    #[track_caller]
    pub fn endpoint(&self, body: Value) -> Value {
        self.post("/endpoints", &body).expect(201).data()
    }

    #[track_caller]
    pub fn subscription(&self, body: Value) -> Value {
        self.post("/subscriptions", &body).expect(201).data()
    }

    /// Sends everything of `source` to `endpoint`; answers the endpoint's `data`.
    #[track_caller]
    pub fn route(&self, source: &Value, endpoint: &Endpoint) -> Value {
        self.route_with(source, endpoint, json!({}))
    }

    /// Sends everything of `source` to `endpoint`, created with these fields; answers the endpoint's `data`.
    #[track_caller]
    pub fn route_with(&self, source: &Value, endpoint: &Endpoint, fields: Value) -> Value {
        let mut body = json!({"name": "endpoint", "url": endpoint.url("/hook")});
        merge(&mut body, fields);
        let created = self.endpoint(body);
        self.subscription(json!({
            "name": "all", "source_id": source["uid"], "endpoint_id": created["uid"],
        }));
        created
    }

    /// A request of a provider to this source.
    pub fn ingest_call(&self, source: &Value) -> Call {
        self.gateway.call("POST", &source_path(source))
    }

    /// Posts JSON bytes to a source.
    pub fn ingest(&self, source: &Value, body: &[u8]) -> Reply {
        self.ingest_call(source).header("Content-Type", "application/json").body(body).send()
    }

    #[track_caller]
    pub fn event(&self, id: &str) -> Value {
        self.get(&format!("/events/{id}")).expect(200).data()
    }

    /// Waits until the event is routed.
    #[track_caller]
    pub fn wait_for_event(&self, id: &str) -> Value {
        poll_until(&format!("event {id}"), || {
            let reply = self.get(&format!("/events/{id}"));
            let is_there = reply.status == 200 && reply.data()["status"] != "Pending";
            is_there.then(|| reply.data())
        })
    }

    /// Rows of the event store: what the API has no list of.
    #[track_caller]
    pub fn stored_events(&self) -> Vec<Value> {
        let sql = "SELECT * FROM events WHERE project_id = ?1 ORDER BY id";
        self.gateway.sql("EVENTS_0", sql, &[json!(self.uid)])
    }

    /// Rows of the delivery store, for the same reason.
    #[track_caller]
    pub fn stored_deliveries(&self) -> Vec<Value> {
        let sql = "SELECT * FROM deliveries WHERE project_id = ?1 ORDER BY id";
        self.gateway.sql("EVENTS_0", sql, &[json!(self.uid)])
    }

    /// Asserts that nothing which was sent until now became an event: one that is sent now is stored, and it alone. To look at once
    /// would say nothing, for what is accepted is stored later, in its order.
    #[track_caller]
    pub fn expect_no_events(&self) {
        let event = json!({"event_type": "the.last", "data": 1});
        let last = uid(&self.post("/events/broadcast", &event).expect(201).data());
        self.wait_for_event(&last);
        let stored: Vec<Value> = self.stored_events().iter().map(|row| row["id"].clone()).collect();
        assert_eq!(stored, [json!(last)], "something was stored before it");
    }

    #[track_caller]
    pub fn deliveries(&self, event_id: &str) -> Vec<Value> {
        self.list(&format!("/eventdeliveries?eventId={event_id}&perPage=1000"))
    }

    /// Waits until the event's only delivery has this status.
    #[track_caller]
    pub fn wait_for_delivery(&self, event_id: &str, status: &str) -> Value {
        let (found, all) = self.poll_deliveries(event_id, status);
        assert!(all.len() == 1, "{event_id} has more deliveries than one: {all:?}");
        found
    }

    /// Waits until one of the event's deliveries has this status.
    #[track_caller]
    pub fn wait_for_any_delivery(&self, event_id: &str, status: &str) -> Value {
        self.poll_deliveries(event_id, status).0
    }

    /// The delivery that has this status, and all of the event.
    #[track_caller]
    fn poll_deliveries(&self, event_id: &str, status: &str) -> (Value, Vec<Value>) {
        let mut last = Vec::new();
        let found = crate::poll::poll_until_within(crate::poll::DEADLINE, || {
            last = self.deliveries(event_id);
            last.iter().find(|delivery| delivery["status"] == status).cloned()
        });
        match found {
            Some(delivery) => (delivery, last),
            None => panic!("no delivery of {event_id} became {status}: {last:?}"),
        }
    }

    #[track_caller]
    pub fn attempts(&self, delivery_id: &str) -> Vec<Value> {
        let path = format!("/eventdeliveries/{delivery_id}/deliveryattempts");
        array(&self.get(&path).expect(200).json(), "/data")
    }

    /// `content` of a page.
    #[track_caller]
    pub fn list(&self, path: &str) -> Vec<Value> {
        array(&self.get(path).expect(200).json(), "/data/content")
    }
}

/// Lays the fields of one object over another.
fn merge(target: &mut Value, fields: Value) {
    if let (Value::Object(target), Value::Object(fields)) = (target, fields) {
        target.extend(fields);
    }
}
