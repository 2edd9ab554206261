//! Two changes of the same thing at the same time: none is lost, and none is refused for the other.

use inlet_tests::{Project, Reply, uid};
use serde_json::{Value, json};

use crate::gateway;

/// Makes all changes at once.
fn change_together(project: &Project<'_>, path: &str, changes: &[Value]) {
    std::thread::scope(|scope| {
        for body in changes {
            scope.spawn(move || project.put(path, body).expect(202));
        }
    });
}

#[test]
fn changes_of_an_endpoint_and_of_a_source_do_not_refuse_each_other() {
    let project = gateway().outgoing(json!({}));
    let made = project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    let endpoint = format!("/endpoints/{}", uid(&made));
    let source = project.open_source();
    let path = format!("/sources/{}", uid(&source));
    for round in 0..8 {
        let changes = [
            json!({"description": format!("d{round}")}),
            json!({"http_timeout": 10 + round}),
            json!({"rate_limit": 5 + round, "rate_limit_duration": 1}),
        ];
        change_together(&project, &endpoint, &changes);
        let shown = project.get(&endpoint).data();
        assert_eq!(
            (&shown["description"], &shown["http_timeout"], &shown["rate_limit"]),
            (&json!(format!("d{round}")), &json!(10 + round), &json!(5 + round))
        );
        let named = |more: Value| {
            let mut body = json!({"name": source["name"], "type": "http"});
            body.as_object_mut()
                .expect("an object")
                .extend(more.as_object().cloned().expect("one"));
            body
        };
        change_together(
            &project,
            &path,
            &[
                named(json!({"is_disabled": round % 2 == 0})),
                named(json!({"event_type_location": format!("request.body.t{round}")})),
            ],
        );
        let shown = project.get(&path).data();
        assert_eq!(shown["is_disabled"], json!(round % 2 == 0));
        assert_eq!(shown["event_type_location"], format!("request.body.t{round}"));
    }
}

#[test]
fn an_endpoint_that_may_have_one_subscription_gets_one_of_those_made_at_the_same_time() {
    let project = gateway().outgoing(json!({}));
    let body = |endpoint: &Value, event_type: &str| json!({"name": "s", "endpoint_id": uid(endpoint), "filter_config": {"event_types": [event_type]}});
    let types = || {
        let named = project.get("/event-types").data();
        named.as_array().expect("a list").len()
    };
    for round in 0..8 {
        let endpoint = || project.endpoint(json!({"name": "e", "url": "https://example.com/"}));
        let (here, there, new) = (endpoint(), endpoint(), endpoint());
        let before = types();
        let moved: Vec<String> = [&here, &there]
            .iter()
            .map(|to| format!("/subscriptions/{}", uid(&project.subscription(body(to, "*")))))
            .collect();
        let made = (0..2).map(|n| ("POST", "/subscriptions", format!("made.{round}.{n}")));
        let moved =
            moved.iter().map(|path| ("PUT", path.as_str(), format!("moved.{round}.{path}")));
        let calls: Vec<_> = made.chain(moved).collect();
        let call = |(method, path, event_type): &(&str, &str, String)| {
            project.call(method, path).json(&body(&new, event_type)).send()
        };
        let replies: Vec<Reply> = std::thread::scope(|scope| {
            let calls: Vec<_> = calls.iter().map(|one| scope.spawn(|| call(one))).collect();
            calls.into_iter().map(|call| call.join().expect("an answer")).collect()
        });
        let (done, refused): (Vec<_>, Vec<_>) =
            replies.into_iter().partition(|reply| reply.status < 400);
        assert_eq!(done.len(), 1);
        for reply in refused {
            reply.says(400, "a subscription for this endpoint already exists");
        }
        let path = format!("/subscriptions?endpointId={}", uid(&new));
        assert_eq!(project.list(&path).len(), 1);
        assert_eq!(types(), before + 1, "who is refused names no event type");
    }
}

#[test]
fn changes_of_a_project_do_not_undo_each_other() {
    let project = gateway().outgoing(json!({}));
    change_together(
        &project,
        "",
        &[
            json!({"config": {"max_payload_read_size": 77_000}}),
            json!({"config": {"add_event_id_trace_headers": true}}),
            json!({"config": {"strategy": {"type": "linear", "duration": 7, "retry_count": 3}}}),
            json!({"config": {"unique_source_names": true}}),
            json!({"logo_url": "https://example.com/logo.png"}),
        ],
    );
    let shown = project.get("").data();
    let config = &shown["config"];
    assert_eq!(
        (
            &config["add_event_id_trace_headers"],
            &config["strategy"]["duration"],
            &config["unique_source_names"],
            &shown["logo_url"]
        ),
        (&json!(true), &json!(7), &json!(true), &json!("https://example.com/logo.png")),
        "{shown}"
    );
    assert_eq!(config["max_payload_read_size"], 77_000, "{shown}");
}

#[test]
fn changes_of_an_event_type_do_not_undo_each_other() {
    let project = gateway().project();
    let made = project.post("/event-types", &json!({"name": "t"})).expect(201).data();
    let path = format!("/event-types/{}", uid(&made));
    let schema = json!({"type": "object"});
    change_together(
        &project,
        &path,
        &[json!({"category": "c"}), json!({"description": "d"}), json!({"json_schema": schema})],
    );
    let shown = project.get(&path).data();
    assert_eq!(
        (&shown["category"], &shown["description"], &shown["json_schema"]),
        (&json!("c"), &json!("d"), &schema),
        "{shown}"
    );
    // An import keeps what it says nothing of.
    let spec =
        json!({"spec": {"openapi": "3.1.0", "webhooks": {"t": {"post": {"summary": "imported"}}}}});
    std::thread::scope(|scope| {
        scope.spawn(|| change_together(&project, &path, &[json!({"category": "another"})]));
        scope.spawn(|| project.post("/event-types/import", &spec).expect(200));
    });
    let shown = project.get(&path).data();
    assert_eq!(
        (&shown["category"], &shown["description"]),
        (&json!("another"), &json!("imported"))
    );
}

#[test]
fn changes_of_a_portal_link_do_not_undo_each_other_and_leave_one_token() {
    let project = gateway().outgoing(json!({}));
    let made = json!({"name": "l", "owner_id": "first"});
    let made = project.post("/portal-links", &made).expect(201).data();
    let path = format!("/portal-links/{}", uid(&made));
    change_together(
        &project,
        &path,
        &[
            json!({"name": "named"}),
            json!({"can_manage_endpoint": true}),
            json!({"owner_id": "second"}),
            json!({"owner_id": "third"}),
        ],
    );
    let shown = project.get(&path).data();
    assert_eq!(
        (&shown["name"], &shown["can_manage_endpoint"]),
        (&json!("named"), &json!(true)),
        "{shown}"
    );
    // Of the owners the last one counts, and the token that is shown is the only one.
    let sql = "SELECT count(*) AS n FROM portal_tokens WHERE link_id = ?1";
    assert_eq!(gateway().sql("DB", sql, &[made["uid"].clone()])[0]["n"], 1);
    let token = shown["url"].as_str().and_then(|url| url.split_once("token=")).expect("a token").1;
    let own =
        gateway().call("GET", "/portal-api/portal_link").bearer(token).send().expect(200).data();
    assert_eq!(own["owner_id"], shown["owner_id"]);
}

#[test]
fn who_is_overtaken_is_told_so_and_has_changed_nothing() {
    let project = gateway().outgoing(json!({}));
    let event_type = project.post("/event-types", &json!({"name": "t"})).expect(201).data();
    let link =
        project.post("/portal-links", &json!({"name": "l", "owner_id": "o"})).expect(201).data();
    let token = link["url"].as_str().and_then(|url| url.split_once("token=")).expect("a token").1;
    for (table, path, body) in [
        ("projects", String::new(), json!({"config": {"max_payload_read_size": 77_000}})),
        (
            "event_types",
            format!("/event-types/{}", uid(&event_type)),
            json!({"description": "mine"}),
        ),
        ("portal_links", format!("/portal-links/{}", uid(&link)), json!({"owner_id": "mine"})),
    ] {
        // Another is quicker each time: the row moves on just before it is written.
        let key = if table == "projects" { "id" } else { "project_id" };
        let trigger = format!(
            "CREATE TRIGGER overtaken_{table} BEFORE UPDATE OF doc ON {table} WHEN OLD.{key} = '{}' BEGIN SELECT RAISE(IGNORE); END",
            project.uid
        );
        let before = project.get(&path).data();
        gateway().sql("DB", &trigger, &[]);
        let refused = project.put(&path, &body);
        gateway().sql("DB", &format!("DROP TRIGGER overtaken_{table}"), &[]);
        assert_eq!(refused.header("retry-after"), Some("1"));
        let message = refused.expect(409).message();
        assert!(
            message.ends_with("is being changed by many at the same time, try again"),
            "{message}"
        );
        assert_eq!(project.get(&path).data(), before);
    }
    gateway().call("GET", "/portal-api/portal_link").bearer(token).send().expect(200);
}
