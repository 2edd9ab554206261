//! Filters and functions, asked of messages of a broker as they are of requests.

use serde_json::{Value, json};

use crate::servers::{Record, Server};
use crate::world::{Companion, World, uid};

/// The subscription of the endpoint to these types, with this filter.
fn filtered<S: Server>(world: &World<'_, S>, types: &[&str], filter: Value) {
    world.project.subscription(json!({"name": "filtered", "endpoint_id": world.endpoint,
        "source_id": world.source["uid"], "filter_config": {"event_types": types, "filter": filter}}));
}

/// Publishes these, numbered, and looks that each became an event, and that only those which should were delivered.
/// The companion goes on.
#[track_caller]
fn only_these_arrive<S: Server>(
    world: &World<'_, S>,
    messages: Vec<(bool, Value, Option<&str>, &str)>,
) -> Companion {
    let mut expect = Vec::new();
    let mut records = Vec::new();
    for (n, (arrives, mut data, tier, event_type)) in (0_u64..).zip(messages) {
        data["n"] = json!(n);
        let record = world.single(event_type, &data).key("one");
        records.push(match tier {
            Some(tier) => record.header("X-Tier", tier),
            None => record,
        });
        expect.extend(arrives.then_some(n));
    }
    world.publish(&records);
    let companion = world.companion();
    // An event is stored together with its deliveries.
    assert_eq!(world.wait_for_numbers(records.len()).len(), records.len());
    assert_eq!(world.project.stored_deliveries().len(), expect.len());
    let mut numbers: Vec<u64> = world
        .receiver
        .wait_for(expect.len())
        .iter()
        .map(|one| serde_json::from_str::<Value>(&one.text()).unwrap()["n"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, expect);
    companion
}

pub(crate) fn body_filter_equal<S: Server>(server: S) {
    let world = World::new(server);
    filtered(&world, &["*"], json!({"body": {"order.status": "paid"}}));
    only_these_arrive(
        &world,
        vec![
            (true, json!({"order": {"status": "paid"}}), None, "t"),
            (false, json!({"order": {"status": "open"}}), None, "t"),
            (false, json!({"status": "paid"}), None, "t"),
        ],
    );
}

pub(crate) fn body_filter_greater_than<S: Server>(server: S) {
    let world = World::new(server);
    filtered(&world, &["*"], json!({"body": {"amount": {"$gt": 100}}}));
    only_these_arrive(
        &world,
        vec![
            (false, json!({"amount": 100}), None, "t"),
            (true, json!({"amount": 100.01}), None, "t"),
            (true, json!({"amount": 12_345_678_901_234_567_u64}), None, "t"),
            (false, json!({"amount": "many"}), None, "t"),
        ],
    );
}

pub(crate) fn body_filter_in<S: Server>(server: S) {
    let world = World::new(server);
    filtered(&world, &["*"], json!({"body": {"currency": {"$in": ["EUR", "USD"]}}}));
    only_these_arrive(
        &world,
        vec![
            (true, json!({"currency": "EUR"}), None, "t"),
            (false, json!({"currency": "eur"}), None, "t"),
            (true, json!({"currency": "USD"}), None, "t"),
            (false, json!({}), None, "t"),
        ],
    );
}

pub(crate) fn header_filter<S: Server>(server: S) {
    let world = World::new(server);
    filtered(&world, &["*"], json!({"headers": {"x-tier": {"$neq": "free"}}}));
    let _companion = only_these_arrive(
        &world,
        vec![
            (true, json!({}), Some("gold"), "t"),
            (false, json!({}), Some("free"), "t"),
            (false, json!({}), None, "t"),
        ],
    );
    // Headers that the message's JSON holds are the event's, too.
    let body = json!({"endpoint_id": world.endpoint, "event_type": "t", "data": {"n": 3},
        "custom_headers": {"X-Tier": "silver"}});
    world.publish(&[Record::new(body.to_string())]);
    assert_eq!(world.receiver.wait_for(2)[1].header("x-tier"), Some("silver"));
}

pub(crate) fn combined_filters<S: Server>(server: S) {
    let world = World::new(server);
    let filter = json!({"body": {"amount": {"$gte": 100}}, "headers": {"X-Tier": "gold"}});
    filtered(&world, &["order.paid"], filter);
    only_these_arrive(
        &world,
        vec![
            (true, json!({"amount": 100}), Some("gold"), "order.paid"),
            (false, json!({"amount": 99}), Some("gold"), "order.paid"),
            (false, json!({"amount": 100}), Some("free"), "order.paid"),
            (false, json!({"amount": 100}), None, "order.paid"),
            (false, json!({"amount": 100}), Some("gold"), "order.open"),
        ],
    );
}

pub(crate) fn filter_mismatch_makes_no_delivery<S: Server>(server: S) {
    let world = World::new(server);
    filtered(&world, &["*"], json!({"body": {"amount": {"$gt": 1000}}}));
    world.publish(&[world.single("t", &json!({"n": 0, "amount": 50}))]);
    let _companion = world.companion();
    let event = world.one_event();
    assert_eq!(event["status"], "Failure");
    let shown = world.project.event(&uid(&event));
    let reason = shown["failure_reason"].as_str().unwrap();
    assert!(reason.starts_with("no subscription matched this event"), "{reason}");
    assert!(world.project.stored_deliveries().is_empty());
}

/// Gives the source these functions.
fn with_functions<S: Server>(world: &World<'_, S>, functions: &Value) {
    let mut body = json!({"name": S::NAME, "type": "pub_sub"});
    body.as_object_mut().unwrap().extend(functions.as_object().unwrap().clone());
    world.project.put(&format!("/sources/{}", uid(&world.source)), &body).expect(202);
}

pub(crate) fn source_body_function<S: Server>(server: S) {
    let world = World::new(server);
    let function = "function transform(order) { return {endpoint_id: order.to, \
        event_type: 'order.' + order.state, data: {n: order.n, total: order.total * 2}} }";
    with_functions(&world, &json!({"body_function": function}));
    let order = json!({"to": world.endpoint, "state": "paid", "n": 7, "total": 21});
    world.publish(&[Record::new(order.to_string()), Record::new("{}")]);
    let _companion = world.companion();
    assert_eq!(world.receiver.wait_for_one().text(), r#"{"n":7,"total":42}"#);
    assert_eq!(world.one_event()["event_type"], "order.paid");
    // What the function makes no event of is kept as it came.
    let letter = uid(&world.dead_letters(1)[0]);
    let letter = world.project.get(&format!("/dead-letters/{letter}")).expect(200).data();
    assert_eq!(letter["raw"], "{}");
}

pub(crate) fn source_header_function<S: Server>(server: S) {
    let world = World::new(server);
    let function = "function transform(headers) { return {'x-convoy-message-type': 'fanout', \
        'x-tier': headers['x-tier'].toUpperCase()} }";
    with_functions(&world, &json!({"header_function": function}));
    let body = json!({"owner_id": "owner", "event_type": "t", "data": {"n": 1}});
    let record = Record::new(body.to_string()).header("X-Tier", "gold").header("X-Gone", "1");
    world.publish(&[record]);
    let _companion = world.companion();
    let received = world.receiver.wait_for_one();
    assert_eq!((received.header("x-tier"), received.header("x-gone")), (Some("GOLD"), None));
}

pub(crate) fn subscription_function<S: Server>(server: S) {
    let world = World::new(server);
    world.project.subscription(json!({"name": "changed", "endpoint_id": world.endpoint,
        "source_id": world.source["uid"],
        "function": "function transform(x) { return {n: x.n, transformed: true} }"}));
    world.publish(&[world.single("t", &json!({"n": 1, "gone": true}))]);
    let _companion = world.companion();
    assert_eq!(world.receiver.wait_for_one().text(), r#"{"n":1,"transformed":true}"#);
    let delivery = &world.project.stored_deliveries()[0];
    world.project.wait_for_delivery(delivery["event_id"].as_str().unwrap(), "Success");
}
