//! Numbers of deliveries, for owners and for operators.

use inlet_tests::{Answer, Endpoint, Gateway, Project, ROOT_KEY, Reply, poll_until, shard, uid};
use serde_json::{Value, json};

use crate::gateway;

/// A project whose owner `o` has an endpoint with one success and one failure; another's has a success.
fn world<'g>(gateway: &'g Gateway, server: &Endpoint, other: &Endpoint) -> (Project<'g>, Value) {
    let project = gateway.outgoing(json!({}));
    let made = |server: &Endpoint, owner: &str| {
        project.endpoint(json!({"name": owner, "url": server.url("/hook"), "owner_id": owner}))
    };
    let own = made(server, "o");
    let other = made(other, "other");
    for (endpoint, status) in [(&own, "Success"), (&own, "Failure"), (&other, "Success")] {
        let event = json!({"endpoint_id": endpoint["uid"], "event_type": "t", "data": 1});
        let event = uid(&project.post("/events", &event).expect(201).data());
        project.wait_for_delivery(&event, status);
    }
    (project, own)
}

fn servers() -> [Endpoint; 2] {
    [Endpoint::answering(&[Answer::ok(), Answer::status(410)]), Endpoint::ok()]
}

#[test]
fn deliveries_are_counted_by_status_for_the_project_and_for_an_owner() {
    let [server, other] = servers();
    let (project, endpoint) = world(gateway(), &server, &other);
    let message = "Event delivery status totals fetched successfully";
    let counts = |success: u64, failure: u64| {
        json!({"is_complete": true, "totals": {"Scheduled": 0, "Processing": 0, "Discarded": 0, "Retry": 0,
            "Success": success, "Failure": failure}})
    };
    let totals = |query: &str| {
        project.get(&format!("/eventdeliveries/statustotals{query}")).says(200, message)
    };
    assert_eq!(totals(""), counts(2, 1));
    assert_eq!(totals(&format!("?endpointId={}", uid(&endpoint))), counts(1, 1));
    assert_eq!(totals("?ownerId=other"), counts(1, 0));
    assert_eq!(totals("?status=Failure"), counts(0, 1));
    assert_eq!(totals("?endDate=2020-01-01T00:00:00"), counts(0, 0));
    for query in ["startDate=yesterday", "query=text", "body=%7B%22a%22%3A1%7D", "endpoint=x"] {
        project.get(&format!("/eventdeliveries/statustotals?{query}")).expect(400);
    }

    let link =
        project.post("/portal-links", &json!({"name": "l", "owner_id": "o"})).expect(201).data();
    let token = link["url"].as_str().and_then(|url| url.split_once("token=")).expect("a token").1;
    let portal = |query: &str| {
        let path = format!("/portal-api/eventdeliveries/statustotals{query}");
        gateway().call("GET", &path).bearer(token).send()
    };
    assert_eq!(portal("").says(200, message), counts(1, 1));
    portal("?ownerId=other").expect(401);
}

/// The samples of a scrape: name with labels, and value.
fn samples(reply: &Reply) -> Vec<(String, u64)> {
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = reply.text();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn an_operator_reads_what_waits_what_came_and_what_was_given_up() {
    let gateway = Gateway::builder().durability("journal").start();
    let [server, other] = servers();
    let (project, own) = world(&gateway, &server, &other);
    let incoming = gateway.project();
    let source = incoming.open_source();
    let _ = incoming.ingest(&source, b"{}").expect(200);
    project.put(&format!("/endpoints/{}/pause", uid(&own)), &json!({})).expect(202);
    let event = json!({"endpoint_id": own["uid"], "event_type": "t", "data": 1});
    project.post("/events", &event).expect(201);

    let scrape = |key: &str| gateway.call("GET", "/metrics").bearer(key).send();
    let of = |name: &str, label: &str| format!("{name}{{project=\"{}\"{label}}}", project.uid);
    let expect = [
        (of("inlet_recent_deliveries", ",status=\"Success\""), 2),
        (of("inlet_recent_deliveries", ",status=\"Failure\""), 1),
        (of("inlet_recent_deliveries", ",status=\"Scheduled\""), 1),
        (of("inlet_deliveries_held", ",hold=\"endpoint\""), 1),
        (format!("inlet_events_wait_seconds{{shard=\"{}\"}}", shard()), 0),
        (format!("inlet_shard_up{{shard=\"{}\"}}", shard()), 1),
    ];
    let came = (format!("inlet_events_total{{project=\"{}\"}}", incoming.uid), 1);
    let all = poll_until("all to be counted", || {
        let all = samples(&scrape(ROOT_KEY).expect(200));
        expect.iter().chain([&came]).all(|one| all.contains(one)).then_some(all)
    });
    assert!(all.iter().any(|(name, _)| name.starts_with("inlet_deliveries_overdue_seconds")));
    let is_size =
        |(name, bytes): &(String, u64)| name.starts_with("inlet_database_bytes") && 4096 < *bytes;
    assert!(all.iter().any(is_size), "{all:?}");
    let one = samples(&scrape(&project.key).expect(200));
    assert!(expect.iter().all(|sample| one.contains(sample)), "{one:?}");
    assert!(
        !one.iter().any(|(name, _)| name.contains(&incoming.uid)),
        "nothing of others: {one:?}"
    );

    // What the project is told, and does not get, is beside it.
    let deaf = Endpoint::answering(&[Answer::status(500)]);
    let told = json!({"name": "told", "config": {"meta_event": {"is_enabled": true, "url": deaf.url("/meta"), "secret": "s",
        "event_type": ["endpoint.created"]}}});
    project.put("", &told).expect(202);
    project.endpoint(json!({"name": "another", "url": server.url("/hook")}));
    for key in [ROOT_KEY, &project.key] {
        poll_until("a failing meta event", || {
            let label = format!("project=\"{}/meta\"", project.uid);
            let all = samples(&scrape(key).expect(200));
            let has = |name: String| all.contains(&(name, 1));
            let waits = has(format!("inlet_recent_deliveries{{{label},status=\"Retry\"}}"))
                && has(format!("inlet_deliveries_watched{{{label}}}"));
            waits.then_some(())
        });
    }

    gateway.call("GET", "/metrics").send().expect(401);
    scrape("CO.stranger.secret").expect(401);
    let link =
        project.post("/portal-links", &json!({"name": "l", "owner_id": "o"})).expect(201).data();
    let token = link["url"].as_str().and_then(|url| url.split_once("token=")).expect("a token").1;
    scrape(token).expect(403);
    assert_eq!(gateway.call("POST", "/metrics").send().expect(405).header("allow"), Some("GET"));
}
