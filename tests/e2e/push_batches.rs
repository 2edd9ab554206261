//! What a batch of events is answered when stores are away.

use inlet_tests::{Endpoint, Gateway, Project, Received, Reply};
use serde_json::{Value, json};

fn results(reply: &Reply) -> Vec<(u64, bool)> {
    assert!(reply.header("retry-after").is_some() == (reply.status == 503), "{:?}", reply.headers);
    let data = reply.json()["data"].clone();
    let all = data.as_array().unwrap_or_else(|| panic!("no results: {}", reply.text()));
    all.iter().map(|one| (one["code"].as_u64().unwrap_or(201), one["status"] == true)).collect()
}

fn event(endpoint: &Value, n: u32) -> Value {
    json!({"endpoint_id": endpoint["uid"], "event_type": "t", "data": {"n": n}})
}

fn push(project: &Project<'_>, items: &[Value]) -> Reply {
    project.post("/events/batch", &json!(items))
}

#[test]
fn a_batch_of_which_nothing_is_durable_says_so_of_each_item() {
    for mode in ["queue", "journal"] {
        let gateway = Gateway::builder().durability(mode).tapped().start();
        let project = gateway.outgoing(json!({}));
        let endpoint = project.endpoint(json!({"name": "e", "url": "http://127.0.0.1:9/"}));
        let items = [event(&endpoint, 1), json!({"event_type": "t"}), event(&endpoint, 2)];
        gateway.refuse("INGEST_0", None);
        gateway.refuse("EVENTS_0", None);
        let refused = push(&project, &items).expect(503);
        assert_eq!(results(&refused), [(503, false), (400, false), (503, false)], "{mode}");
        assert_eq!(
            (&refused.json()["status"], refused.message()),
            (&json!(false), "0 successful, 3 failed".into())
        );
        gateway.allow("INGEST_0");
        gateway.allow("EVENTS_0");
        let stored = push(&project, &items).expect(207);
        assert_eq!(results(&stored), [(201, true), (400, false), (201, true)], "{mode}");
    }
}

#[test]
fn items_whose_targets_cannot_be_looked_up_do_not_hold_up_the_others() {
    let gateway = Gateway::builder().durability("queue").tapped().start();
    let project = gateway.outgoing(json!({}));
    let made = |name: &str| {
        project.endpoint(json!({"name": name, "url": format!("http://127.0.0.1:9/{name}")}))
    };
    let (known, other, third) = (made("a"), made("b"), made("c"));
    push(&project, &[event(&known, 0)]).expect(201);
    gateway.refuse("DB", None);
    let broadcast = json!({"kind": "broadcast", "event_type": "t", "data": 1});
    let items = [event(&other, 1), event(&known, 1), broadcast, event(&third, 1), event(&other, 2)];
    let some = push(&project, &items).expect(207);
    let refused = (503, false);
    assert_eq!(results(&some), [refused, (201, true), (201, true), refused, refused]);
    let none = push(&project, &items[..1]).expect(503);
    assert_eq!(results(&none), [refused]);
    gateway.allow("DB");
    push(&project, &items).expect(201);
}

#[test]
fn a_batch_is_few_messages_of_the_queue() {
    let gateway = Gateway::builder().durability("queue").tapped().start();
    let project = gateway.outgoing(json!({}));
    let receiver = Endpoint::ok();
    let endpoint = project.endpoint(json!({"name": "e", "url": receiver.url("/hook")}));
    project.subscription(json!({"name": "all", "endpoint_id": endpoint["uid"]}));
    let items: Vec<Value> = (0..200).map(|n| event(&endpoint, n)).collect();
    gateway.counters(true);
    push(&project, &items).expect(201);
    let sent = gateway.counters(true)["INGEST_0"]["messages"].as_u64();
    assert!(sent.is_some_and(|sent| sent <= 4), "{sent:?}");
    let mut bodies: Vec<String> = receiver.wait_for(200).iter().map(Received::text).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), 200);
}
