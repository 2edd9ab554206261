//! Filters of subscriptions: which events go where, by what they say.

use inlet_tests::{Endpoint, Project, Reply, poll_until, uid};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

#[track_caller]
fn says(reply: Reply, status: u16, message: &str) -> Value {
    let reply = reply.expect(status);
    assert_eq!(reply.message(), message, "{}", reply.text());
    reply.data()
}

fn outgoing() -> Project<'static> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let name = format!("filters-{}-{}", now.as_nanos(), NEXT.fetch_add(1, Ordering::Relaxed));
    gateway().create_project(json!({"name": name, "type": "outgoing"}))
}

/// A subscription of an endpoint of its own, with this filter.
#[track_caller]
fn subscribed(project: &Project<'_>, source: &Value, server: &Endpoint, filter: Value) -> Value {
    let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
    project.subscription(
        json!({"name": "filtered", "source_id": source["uid"], "endpoint_id": endpoint["uid"],
        "filter_config": {"event_types": ["*"], "filter": filter}}),
    )
}

/// Waits until the event has been routed: it was delivered so many times, or its reason says why not.
#[track_caller]
fn delivered(project: &Project<'_>, event: &str, count: usize) {
    let shown = project.wait_for_event(event);
    if count == 0 {
        assert_eq!(shown["status"], "Failure");
        let reason = shown["failure_reason"].as_str().unwrap();
        assert!(reason.starts_with("no subscription matched this event"), "{reason}");
        assert!(project.deliveries(event).is_empty());
        return;
    }
    poll_until(&format!("{count} deliveries of {event}"), || {
        let all = project.deliveries(event);
        let done = all.len() == count && all.iter().all(|one| one["status"] == "Success");
        done.then_some(())
    });
}

#[track_caller]
fn accepted(reply: Reply) -> String {
    reply.expect(200).header("inlet-event-id").expect("an event id").to_owned()
}

#[test]
fn an_incoming_event_goes_where_its_body_headers_query_and_path_match() {
    in_both_modes(|gateway| {
        let project = gateway.project();
        let source = project.open_source();
        let [bodies, headers, queries] = [(); 3].map(|()| Endpoint::answering(&[]));
        subscribed(&project, &source, &bodies, json!({"body": {"order.total": {"$gt": 100}}}));
        subscribed(
            &project,
            &source,
            &headers,
            json!({"headers": {"X-Kind": {"$in": ["big", "huge"]}}}),
        );
        let path = inlet_tests::source_path(&source);
        subscribed(
            &project,
            &source,
            &queries,
            json!({"query": {"page": {"$gte": 2}}, "path": {"path": path}}),
        );
        let counts = || [bodies.count(), headers.count(), queries.count()];

        let send = |query: &str, kind: &str, body: &str| {
            let call = gateway.call("POST", &format!("{path}{query}"));
            let call = call.header("Content-Type", "application/json").header("X-Kind", kind);
            accepted(call.body(body).send())
        };
        delivered(&project, &send("?page=2", "huge", r#"{"order":{"total":100.5}}"#), 3);
        assert_eq!(counts(), [1, 1, 1]);
        delivered(&project, &send("?page=10", "small", r#"{"order":{"total":100}}"#), 1);
        assert_eq!(counts(), [1, 1, 2]);
        delivered(&project, &send("", "big", "not json"), 1);
        assert_eq!(counts(), [1, 2, 2]);
        delivered(&project, &send("?page=1", "small", r#"{"order":{}}"#), 0);

        let form = gateway.call("POST", &path).header("X-Kind", "none");
        let form = form.header("Content-Type", "application/x-www-form-urlencoded");
        subscribed(&project, &source, &bodies, json!({"body": {"user": "ann"}}));
        delivered(&project, &accepted(form.body("user=ann&x=1").send()), 1);
        assert_eq!(counts(), [2, 2, 2]);
    });
}

#[test]
fn a_large_body_is_looked_into_where_a_filter_asks() {
    in_both_modes(|gateway| {
        let project = gateway.project();
        let source = project.open_source();
        let server = Endpoint::answering(&[]);
        subscribed(&project, &source, &server, json!({"body": {"kind": "wanted"}}));
        let of = |kind: &str, size: usize| {
            let body = json!({"kind": kind, "padding": "x".repeat(size)}).to_string();
            accepted(project.ingest(&source, body.as_bytes()))
        };
        delivered(&project, &of("wanted", 1_000_000), 1);
        delivered(&project, &of("unwanted", 1_000_000), 0);
        let large = of("wanted", 3_000_000);
        delivered(&project, &large, 0);
        let reason = project.event(&large)["failure_reason"].as_str().unwrap().to_owned();
        assert!(reason.ends_with("its body is too large for their filters"), "{reason}");
        let many: Vec<String> = (0..6).map(|_| of("wanted", 1_900_000)).collect();
        for event in &many {
            delivered(&project, event, 1);
        }
        assert_eq!(server.count(), 7);
    });
}

#[test]
fn bodies_that_strict_readers_refuse_are_looked_into() {
    let project = gateway().project();
    let source = project.open_source_with(json!({
        "json_schema": {"type": "object", "required": ["id"]}, "json_schema_action": "reject",
    }));
    let endpoint = Endpoint::answering(&[]);
    subscribed(&project, &source, &endpoint, json!({"body": {"id": 5}}));
    let deep = format!(r#"{{"deep": {}{}, "id": 5}}"#, "[".repeat(500), "]".repeat(500));
    for (body, count) in [
        (r#"{"cut": "\ud83d", "id": 5}"#, 1),
        ("\u{feff}{\"id\": 5}", 1),
        (&*deep, 1),
        (r#"{"cut": "\ud83d", "id": 6}"#, 0),
    ] {
        let event = accepted(project.ingest(&source, body.as_bytes()));
        delivered(&project, &event, count);
    }
    project.ingest(&source, br#"{"cut": "\ud83d"}"#).expect(422);
}

#[test]
fn pushed_events_pass_the_filters_of_those_they_are_for() {
    let project = outgoing();
    let [first, second] = [(); 2].map(|()| Endpoint::answering(&[]));
    let endpoint = |server: &Endpoint| {
        let body = json!({"name": "e", "url": server.url("/hook"), "owner_id": "owner"});
        uid(&project.endpoint(body))
    };
    let (first_id, second_id) = (endpoint(&first), endpoint(&second));
    let subscribe = |id: &str, filter: Value| {
        project.subscription(
            json!({"name": "s", "endpoint_id": id, "filter_config": {"filter": filter}}),
        )
    };
    subscribe(&first_id, json!({"body": {"amount": {"$gte": 10}}}));
    subscribe(
        &second_id,
        json!({"body": {"amount": {"$lt": 20}}, "headers": {"x-tier": {"$exist": false}}}),
    );
    let push = |path: &str, amount: u32, fields: Value| {
        let mut body = json!({"event_type": "paid", "data": {"amount": amount}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        uid(&project.post(path, &body).expect(201).data())
    };
    delivered(&project, &push("/events", 10, json!({"endpoint_id": first_id})), 1);
    delivered(&project, &push("/events", 9, json!({"endpoint_id": first_id})), 0);
    let owner = json!({"owner_id": "owner"});
    delivered(&project, &push("/events/fanout", 15, owner.clone()), 2);
    delivered(&project, &push("/events/fanout", 5, owner), 1);
    delivered(&project, &push("/events/broadcast", 15, json!({})), 2);
    delivered(
        &project,
        &push("/events/broadcast", 15, json!({"custom_headers": {"X-Tier": "gold"}})),
        1,
    );
    delivered(
        &project,
        &push("/events/broadcast", 5, json!({"custom_headers": {"X-Tier": "gold"}})),
        0,
    );
    assert_eq!((first.count(), second.count()), (4, 3));
}

#[test]
fn a_replay_asks_the_filters_of_now() {
    let project = gateway().project();
    let source = project.open_source();
    let server = Endpoint::answering(&[]);
    let subscription = subscribed(&project, &source, &server, json!({"body": {"n": 1}}));
    // Two of them stand in their rows, and a list shows one of these.
    let bodies = [0, 200_000, 50_000].map(|size| json!({"n": 2, "padding": "x".repeat(size)}));
    let events = bodies.map(|body| accepted(project.ingest(&source, body.to_string().as_bytes())));
    for event in &events {
        delivered(&project, event, 0);
        let replay = project.put(&format!("/events/{event}/replay"), &json!({})).expect(400);
        assert!(replay.message().starts_with("no subscription matched this event"));
    }
    let path = format!("/subscriptions/{}", uid(&subscription));
    let update = json!({"filter_config": {"filter": {"body": {"n": 2}}}});
    project.put(&path, &update).expect(202);
    project.put(&format!("/events/{}/replay", events[1]), &json!({})).expect(200);
    delivered(&project, &events[1], 1);
    says(project.post("/events/batchreplay", &json!({})), 200, "3 successful, 0 failed");
    delivered(&project, &events[0], 1);
    delivered(&project, &events[1], 2);
    delivered(&project, &events[2], 1);
}

#[test]
fn a_filter_can_be_tried_before_it_is_saved() {
    let project = gateway().project();
    let try_it = |body: Value| {
        let reply = project.post("/subscriptions/test_filter", &body);
        says(reply, 200, "Filter validated successfully")
    };
    let request = json!({"body": {"a": {"b": [1, 2]}}, "header": {"X-A": "1"}, "query": {"q": "x"},
        "path": {"path": "/ingest/mask"}});
    for (schema, expect) in [
        (json!({}), true),
        (json!({"body": {"a.b": 2}, "header": {"x-a": "1"}}), true),
        (json!({"body": {"a.b": 2}, "headers": {"x-a": "2"}}), false),
        (json!({"query": {"q": {"$regex": "^x$"}}, "path": {"path": "/ingest/mask"}}), true),
        (json!({"body": {"a": {"c": {"$exist": false}}}}), true),
        (json!({"body": {"a": {"c": {"$neq": 5}}}}), false),
    ] {
        assert_eq!(try_it(json!({"request": request, "schema": schema})), expect, "{schema}");
    }
    let both = json!({"request": {"headers": {"X-A": "1"}}, "schema": {"headers": {"X-A": "1"}}});
    assert_eq!(try_it(both), true);
}

#[test]
fn filters_by_event_type_live_from_create_to_delete() {
    let project = gateway().project();
    let source = project.open_source_with(json!({"event_type_location": "request.body.type"}));
    let server = Endpoint::answering(&[]);
    let subscription = subscribed(&project, &source, &server, json!({}));
    let path = format!("/subscriptions/{}/filters", uid(&subscription));
    let body = json!({"event_type": "user.created", "headers": {"x-api-key": "abc123"},
        "body": {"user.active": true}});
    let created = says(project.post(&path, &body), 201, "Filter created successfully");
    assert_eq!(created["subscription_id"], subscription["uid"]);
    for field in ["event_type", "headers", "body"] {
        assert_eq!(created[field], body[field]);
    }
    let own = format!("{path}/{}", uid(&created));
    assert_eq!(says(project.get(&own), 200, "Filter retrieved successfully"), created);
    let list = says(project.get(&path), 200, "Filters retrieved successfully");
    let types: Vec<&Value> =
        list.as_array().unwrap().iter().map(|one| &one["event_type"]).collect();
    assert_eq!(types, ["*", "user.created"]);
    let again = project.post(&path, &body).expect(400);
    assert_eq!(again.message(), "filter with this event type already exists");

    let update = json!({"headers": {}, "body": {"user.active": false}});
    let updated = says(project.put(&own, &update), 200, "Filter updated successfully");
    assert_eq!((&updated["uid"], &updated["body"]), (&created["uid"], &update["body"]));
    assert_eq!(updated["event_type"], "user.created");

    let event = |active: bool| {
        let body = json!({"type": "user.created", "user": {"active": active}});
        accepted(project.ingest(&source, body.to_string().as_bytes()))
    };
    let test = |active: bool| {
        let payload = json!({"payload": {"user": {"active": active}}});
        says(
            project.post(&format!("{path}/test/user.created"), &payload),
            200,
            "Filter test completed",
        )
    };
    assert_eq!((test(false), test(true)), (json!({"is_match": true}), json!({"is_match": false})));
    delivered(&project, &event(false), 1);
    delivered(&project, &event(true), 0);
    let other =
        project.subscription(json!({"name": "other", "source_id": project.open_source()["uid"],
        "endpoint_id": subscription["endpoint_metadata"]["uid"],
        "filter_config": {"event_types": ["user.created"]}}));
    let misspelt = format!("/subscriptions/{}/filters/test/user.craeted", uid(&other));
    let misspelt =
        says(project.post(&misspelt, &json!({"payload": {}})), 200, "Filter test completed");
    assert_eq!(
        misspelt,
        json!({"is_match": false, "reason":
            "the subscription takes no events of the type user.craeted, only of user.created"})
    );
    // Disabled, it leaves its events to the filter of all types.
    project.put(&own, &json!({"enabled_at": null})).expect(200);
    assert_eq!(test(true), json!({"is_match": true}));
    delivered(&project, &event(true), 1);

    says(project.delete(&own), 200, "Filter deleted successfully");
    assert_eq!(project.get(&own).expect(404).message(), "filter not found");
    assert_eq!(server.count(), 2);
}

#[test]
fn many_filters_are_written_at_once_or_not_at_all() {
    let project = gateway().project();
    let source = project.open_source();
    let server = Endpoint::answering(&[]);
    let subscription = subscribed(&project, &source, &server, json!({}));
    let path = format!("/subscriptions/{}/filters", uid(&subscription));
    let new = json!([{"event_type": "user.created", "body": {"user.active": true}},
        {"event_type": "user deleted/soft", "headers": {"x-api-key": "ghi789"}}]);
    let created =
        says(project.post(&format!("{path}/bulk"), &new), 201, "Filters created successfully");
    assert_eq!(created.as_array().map(Vec::len), Some(2));
    let bulk = |method: &str, body: Value| {
        project.call(method, &format!("{path}/bulk_update")).json(&body).send()
    };
    for (method, active) in [("POST", false), ("PUT", true)] {
        let writes = json!([{"uid": created[0]["uid"], "body": {"user.active": active}},
            {"uid": created[1]["uid"], "headers": {"x-api-key": "new"}}]);
        let changed = says(bulk(method, writes.clone()), 200, "Filters updated successfully");
        assert_eq!(changed[0]["body"], writes[0]["body"]);
        assert_eq!(changed[1]["headers"], writes[1]["headers"]);
    }
    let test = project.post(
        &format!("{path}/test/user%20deleted%2Fsoft"),
        &json!({"request": {"headers": {"X-Api-Key": "new"}}}),
    );
    assert_eq!(says(test, 200, "Filter test completed"), json!({"is_match": true}));

    let before = project.get(&path).expect(200).data();
    for (body, status, message) in [
        (
            json!([{"event_type": "a"}, {"event_type": "user.created"}]),
            400,
            "filter for event type user.created already exists",
        ),
        (
            json!([{"event_type": "a"}, {"event_type": "a"}]),
            400,
            "duplicate event type a in request",
        ),
    ] {
        says_no(project.post(&format!("{path}/bulk"), &body), status, message);
    }
    let writes = json!([{"uid": created[0]["uid"], "body": {}}, {"uid": "none", "body": {}}]);
    says_no(bulk("POST", writes), 404, "filter none not found");
    assert_eq!(project.get(&path).expect(200).data(), before);
}

#[track_caller]
fn says_no(reply: Reply, status: u16, message: &str) {
    assert_eq!(reply.expect(status).message(), message);
}

#[test]
fn changes_at_the_same_time_are_all_kept() {
    let project = gateway().project();
    let source = project.open_source();
    let server = Endpoint::answering(&[]);
    let subscription = subscribed(&project, &source, &server, json!({}));
    let path = format!("/subscriptions/{}/filters", uid(&subscription));
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (project, path) = (&project, &path);
            scope.spawn(move || {
                let body = json!({"event_type": format!("type-{n}"), "body": {"n": n}});
                project.post(path, &body).expect(201);
            });
        }
    });
    let list = project.get(&path).expect(200).data();
    assert_eq!(list.as_array().map(Vec::len), Some(5), "{list}");
}

#[test]
fn an_inactive_subscription_takes_nothing() {
    let project = gateway().project();
    let source = project.open_source();
    let server = Endpoint::answering(&[]);
    let subscription = subscribed(&project, &source, &server, json!({}));
    let path = format!("/subscriptions/{}/toggle_status", uid(&subscription));
    for (status, count) in [("inactive", 0), ("active", 1)] {
        let text = "Subscription status updated successfully";
        assert_eq!(says(project.put(&path, &json!({})), 202, text)["status"], status);
        delivered(&project, &accepted(project.ingest(&source, b"{}")), count);
    }
}

#[test]
fn a_filter_that_cannot_work_is_refused_where_it_is_wrong() {
    let project = gateway().project();
    let source = project.open_source();
    let server = Endpoint::answering(&[]);
    let subscription = subscribed(&project, &source, &server, json!({"body": {"a": 1}}));
    let endpoint = &subscription["endpoint_id"];
    let path = format!("/subscriptions/{}", uid(&subscription));
    let mut deep = json!(1);
    for _ in 0..60 {
        deep = json!({"a": deep});
    }
    let many: Value =
        (0..300).map(|n| (format!("k{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    for (filter, expect) in [
        (json!({"a": {"$where": 1}}), "body.a.$where:unknown operator"),
        (json!({"a.$": 1}), "body.a.$:invalid filter syntax, found trailing $"),
        (
            json!({"a.$.b.$.c.$.d.$.e": 1}),
            "body.a.$.b.$.c.$.d.$.e:too many segments, expected at most 3 but got 4",
        ),
        (json!({"a": {"$regex": "("}}), "body.a.$regex:not a regular expression that can be run"),
        (
            json!({"a": {"$regex": "((a{90}){90}){90}"}}),
            "body.a.$regex:not a regular expression that can be run",
        ),
        (json!({"a": {"$in": "b"}}), "body.a.$in:a list of values is expected"),
        (deep, "a filter is at most 10 levels deep"),
        (many, "a filter has at most 200 conditions"),
        (json!({"a": "x".repeat(20_000)}), "a filter is at most 16384 bytes"),
    ] {
        let bodies = [
            project.put(&path, &json!({"filter_config": {"filter": {"body": filter}}})),
            project.post(
                "/subscriptions",
                &json!({"name": "n", "source_id": source["uid"], "endpoint_id": endpoint,
                "filter_config": {"filter": {"body": filter}}}),
            ),
            project.post(&format!("{path}/filters"), &json!({"event_type": "t", "body": filter})),
            project.post("/subscriptions/test_filter", &json!({"schema": {"body": filter}})),
        ];
        for reply in bodies {
            let message = reply.expect(400).message();
            assert!(message.contains(expect), "{message}");
        }
    }
    for (body, expect) in [
        (json!({"filter_config": {"filter": []}}), "filter_config.filter"),
        (json!({"filter_config": {"filter": {"body": 5}}}), "filter_config.filter.body"),
        (
            json!({"filter_config": {"filter": {"payload": {}}}}),
            "filter_config.filter.payload:not a part",
        ),
        (json!({"alert_config": {"count": 0, "threshold": "1h"}}), "alert_config.count"),
        (json!({"retry_config": {"type": "random"}}), "retry_config.type"),
    ] {
        let message = project.put(&path, &body).expect(400).message();
        assert!(message.contains(expect), "{message}");
    }
    let shown = project.get(&path).expect(200).data();
    assert_eq!(shown["filter_config"]["filter"]["body"], json!({"a": 1}), "nothing was changed");
}

#[test]
fn what_the_subscriptions_of_a_project_weigh_together_has_an_end() {
    let project = outgoing();
    let server = Endpoint::ok();
    let endpoint = project.endpoint(json!({"name": "endpoint", "url": server.url("/hook")}));
    let plain = json!({"name": "plain", "endpoint_id": endpoint["uid"]});
    let large = project.subscription(plain.clone());
    let other = project.endpoint(json!({"name": "other", "url": "https://example.com/"}));
    let heavy = json!({"name": "heavy", "endpoint_id": other["uid"], "filter_config": {"event_types": ["never"]}});
    let heavy = uid(&project.subscription(heavy));
    let all = "UPDATE subscriptions SET weight = 25165824 - 730 WHERE project_id = ?1 AND id = ?2";
    gateway().sql("DB", all, &[json!(project.uid), json!(heavy)]);

    let refused = "the subscriptions of a project take at most 24 MiB of memory together, most of it for filters and functions: \
                   delete some, or make them smaller";
    let path = format!("/subscriptions/{}", uid(&large));
    says(project.post("/subscriptions", &plain), 400, refused);
    let filter = |value: &str| json!({"filter_config": {"filter": {"body": {"a": value}}}});
    says(project.put(&path, &filter("long")), 400, refused);
    let filters = format!("{path}/filters");
    says(project.post(&filters, &json!({"event_type": "paid"})), 400, refused);
    let items = json!({"items": [{"name": "one", "url": server.url("/one")}]});
    says(project.post("/onboard", &items), 400, refused);
    says(project.post("/onboard?dry_run=true", &items), 400, refused);
    assert_eq!(project.list("/endpoints").len(), 2, "nothing of it is stored");
    // What makes none larger is done, and events go on.
    project.put(&path, &json!({"name": "renamed"})).expect(202);
    project.put(&format!("{path}/toggle_status"), &json!({})).expect(202);
    project.put(&format!("{path}/toggle_status"), &json!({})).expect(202);
    let event = json!({"event_type": "paid", "data": 1});
    let event = uid(&project.post("/events/broadcast", &event).expect(201).data());
    delivered(&project, &event, 1);
    let dynamic = json!({"url": server.url("/dynamic"), "event_type": "paid", "data": 2});
    let event = uid(&project.post("/events/dynamic", &dynamic).expect(201).data());
    delivered(&project, &event, 1);

    project.delete(&format!("/subscriptions/{heavy}")).expect(200);
    project.put(&path, &filter("long")).expect(202);
}

#[test]
fn filters_of_others_are_out_of_reach() {
    let project = gateway().project();
    let source = project.open_source();
    let server = Endpoint::answering(&[]);
    let first = subscribed(&project, &source, &server, json!({}));
    let second = subscribed(&project, &source, &server, json!({}));
    let body = json!({"event_type": "t"});
    let filter =
        project.post(&format!("/subscriptions/{}/filters", uid(&first)), &body).expect(201).data();
    let other = gateway().project();
    let (first, second, filter) = (uid(&first), uid(&second), uid(&filter));
    for (project, path, message) in [
        (&project, format!("/subscriptions/{second}/filters/{filter}"), "filter not found"),
        (&other, format!("/subscriptions/{first}/filters/{filter}"), "subscription not found"),
    ] {
        for reply in [project.get(&path), project.put(&path, &json!({})), project.delete(&path)] {
            assert_eq!(reply.expect(404).message(), message);
        }
    }
    let path = format!("/subscriptions/{first}/filters");
    for reply in [
        other.get(&path),
        other.post(&path, &body),
        other.post(&format!("{path}/test/t"), &json!({})),
    ] {
        assert_eq!(reply.expect(404).message(), "subscription not found");
    }
    other.put(&format!("/subscriptions/{first}/toggle_status"), &json!({})).expect(404);
}
