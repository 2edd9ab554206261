//! What changes while the events do not answer is answered as made, and what it leaves to be done is done later.

use inlet_tests::{Endpoint, Gateway, Project, Reply, poll_until, uid};
use serde_json::{Value, json};

struct Waiting<'g> {
    project: Project<'g>,
    server: Endpoint,
    source: String,
    endpoint: String,
    subscription: String,
}

/// Two deliveries that wait for an hour under a limit of a subscription, or of its endpoint.
fn waiting(gateway: &Gateway, of_endpoint: bool) -> Waiting<'_> {
    let project = gateway.project();
    let server = Endpoint::ok();
    let source = project.open_source();
    let mut endpoint = json!({"name": "e", "url": server.url("/")});
    let mut subscription = json!({"name": "s", "source_id": source["uid"]});
    if of_endpoint {
        endpoint["rate_limit"] = json!(1);
        endpoint["rate_limit_duration"] = json!(3_600);
    } else {
        subscription["rate_limit_config"] = json!({"count": 1, "duration": 3_600});
    }
    let endpoint = uid(&project.endpoint(endpoint));
    subscription["endpoint_id"] = json!(endpoint);
    let subscription = uid(&project.subscription(subscription));
    for _ in 0..3 {
        project.ingest(&source, b"{}").expect(200);
    }
    server.wait_for_one();
    poll_until("deliveries wait", || {
        let deliveries = project.list("/eventdeliveries");
        let held = |one: &&Value| one["description"] == "waits for room under a rate limit";
        (deliveries.iter().filter(held).count() == 2).then_some(())
    });
    Waiting { project, server, source: uid(&source), endpoint, subscription }
}

type Change = dyn Fn(&Waiting<'_>) -> Reply;

#[test]
fn what_changes_while_the_events_do_not_answer_is_made_and_what_waits_gets_its_time_later() {
    let gateway = Gateway::builder().tapped().var("SWEEP_AFTER_SECONDS", "2").start();
    let changes: [(bool, u16, &Change); 5] = [
        (false, 200, &|of| of.project.delete(&format!("/subscriptions/{}", of.subscription))),
        (false, 200, &|of| of.project.delete(&format!("/sources/{}", of.source))),
        (false, 202, &|of| {
            let change = json!({"rate_limit_config": {"count": 100, "duration": 1}});
            of.project.put(&format!("/subscriptions/{}", of.subscription), &change)
        }),
        (true, 202, &|of| {
            let change = json!({"name": "e", "url": of.server.url("/"), "rate_limit": 100, "rate_limit_duration": 1});
            of.project.put(&format!("/endpoints/{}", of.endpoint), &change)
        }),
        (true, 200, &|of| of.project.delete(&format!("/endpoints/{}", of.endpoint))),
    ];
    for (n, (of_endpoint, status, change)) in changes.into_iter().enumerate() {
        let waiting = waiting(&gateway, of_endpoint);
        gateway.refuse("EVENTS_0", None);
        let reply = change(&waiting);
        assert_eq!(reply.status, status, "{n}: {}", reply.text());
        gateway.allow("EVENTS_0");
        let is_deleted = of_endpoint && status == 200;
        poll_until("what waited goes", || {
            gateway.cron();
            let deliveries = waiting.project.list("/eventdeliveries");
            let ended = |one: &&Value| one["status"] == "Discarded";
            let ends = is_deleted && deliveries.iter().filter(ended).count() == 2;
            (ends || waiting.server.count() == 3).then_some(())
        });
        let left = gateway.sql("DB", "SELECT * FROM owed", &[]);
        assert!(left.is_empty(), "{n}: {left:?}");
    }
}

#[test]
fn an_endpoint_that_becomes_active_while_the_events_do_not_answer_starts_afresh_later() {
    let gateway = Gateway::builder().tapped().var("SWEEP_AFTER_SECONDS", "2").start();
    let project = gateway.project();
    let (source, server) = (project.open_source(), Endpoint::ok());
    let endpoint = uid(&project.endpoint(json!({"name": "e", "url": server.url("/")})));
    project.subscription(json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint}));
    let pause = format!("/endpoints/{endpoint}/pause");
    project.put(&pause, &json!({})).expect(202);
    project.ingest(&source, b"{}").expect(200);
    poll_until("the delivery waits", || {
        let deliveries = project.list("/eventdeliveries");
        let text = deliveries.first()?["description"].as_str()?.to_owned();
        text.contains("paused").then_some(())
    });
    gateway.refuse("EVENTS_0", None);
    let shown = project.put(&pause, &json!({})).expect(202).data();
    assert_eq!((&shown["status"], shown.get("events")), (&json!("active"), None));
    gateway.allow("EVENTS_0");
    poll_until("the delivery", || {
        gateway.cron();
        (server.count() == 1).then_some(())
    });
}

#[test]
fn a_release_of_very_many_goes_on_until_nothing_is_held() {
    let gateway = Gateway::builder().sink("inlet-deliver-0").start();
    let project = gateway.project();
    let source = project.open_source();
    let endpoint = uid(&project.endpoint(json!({"name": "e", "url": "https://example.com"})));
    project.subscription(json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint}));
    project.ingest(&source, b"{}").expect(200);
    poll_until("the delivery", || project.list("/eventdeliveries").pop());
    let columns = gateway.sql("EVENTS_0", "SELECT name FROM pragma_table_info('deliveries')", &[]);
    let columns: Vec<&str> = columns.iter().filter_map(|row| row["name"].as_str()).collect();
    let value = |name: &&str| match *name {
        "id" => "substr(d.id, 1, 20) || printf('%06d', i)".to_owned(),
        "hold" => "'limit'".to_owned(),
        "look_at" => "NULL".to_owned(),
        name => format!("d.{name}"),
    };
    let copies = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20500) \
         INSERT INTO deliveries ({}) SELECT {} FROM deliveries AS d, n WHERE d.endpoint_id = ?1",
        columns.join(", "),
        columns.iter().map(value).collect::<Vec<_>>().join(", ")
    );
    gateway.sql("EVENTS_0", &copies, &[json!(endpoint)]);
    let limit = json!({"name": "e", "url": "https://example.com", "rate_limit": 5, "rate_limit_duration": 60});
    project.put(&format!("/endpoints/{endpoint}"), &limit).expect(202);
    poll_until("all are let go", || {
        gateway.cron();
        let held = "SELECT count(*) AS n FROM deliveries WHERE hold IS NOT NULL";
        (gateway.sql("EVENTS_0", held, &[])[0]["n"] == 0).then_some(())
    });
    assert!(gateway.sql("DB", "SELECT * FROM owed", &[]).is_empty());
}
