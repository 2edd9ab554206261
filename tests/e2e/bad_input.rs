//! Every call of the document, with what it must not take: the answer is a 4xx that says why, and nothing is lost.

use std::collections::BTreeSet;

use inlet_tests::{Call, Endpoint, Project, Reply};
use serde_json::{Value, json};

use crate::gateway;

/// A call of the document: method, path with `{…}`, and what it is.
fn calls() -> Vec<(String, String, Value)> {
    let document = gateway().get("/openapi.json").expect(200).json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, call) in item.as_object().expect("calls") {
            if method != "parameters" {
                all.push((method.to_uppercase(), path.clone(), call.clone()));
            }
        }
    }
    assert!(40 < all.len(), "only {} calls", all.len());
    all
}

/// Those of a project.
fn in_project() -> impl Iterator<Item = (String, String, Value)> {
    calls().into_iter().filter(|(_, path, _)| path.starts_with("/api/v1/projects/{projectID}"))
}

/// The path with ids in the place of their names; all but the project's are `id`.
fn filled(path: &str, project: &str, id: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{projectID}" => project,
        part if part.starts_with('{') => id,
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// An example of the body, where the call takes one.
fn example(call: &Value) -> Option<Value> {
    let content = &call["requestBody"]["content"]["application/json"];
    let examples = content["examples"].as_object().into_iter().flat_map(|all| all.values());
    let example = content["example"].as_object().map(|_| content["example"].clone());
    example
        .or_else(|| content["example"].as_array().map(|all| json!(all)))
        .or_else(|| examples.map(|one| one["value"].clone()).next())
}

#[track_caller]
fn refuses(reply: &Reply, statuses: &[u16], what: &str) {
    assert!(statuses.contains(&reply.status), "{what}: {} {}", reply.status, reply.text());
    let said = reply.json();
    // Hookstream's answers have the text under `error`, and the number of the status.
    let text = if said["error"].is_string() {
        assert_eq!(said["status"], reply.status, "{what}");
        assert!(said["request_id"].is_string(), "{what}");
        &said["error"]
    } else {
        assert_eq!(said["status"], false, "{what}");
        &said["message"]
    };
    assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{what} says nothing");
}

fn call(project: &Project<'_>, method: &str, path: &str) -> Call {
    project.gateway.call(method, path).bearer(&project.key)
}

#[test]
fn no_call_is_answered_without_its_key() {
    let project = gateway().project();
    let mut checked = 0;
    for (method, path, documented) in calls() {
        if documented["security"].as_array().is_some_and(Vec::is_empty) {
            continue;
        }
        checked += 1;
        let path = filled(&path, &project.uid, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        for authorization in ["", "Bearer ", "Bearer CO.none.none", "Basic Y286bm9uZQ=="] {
            let mut call = gateway().call(&method, &path);
            if !authorization.is_empty() {
                call = call.header("Authorization", authorization);
            }
            refuses(&call.send(), &[401], &format!("{method} {path} with {authorization:?}"));
        }
    }
    assert!(40 < checked);
}

#[test]
fn a_key_opens_no_other_project() {
    let (mine, other) = (gateway().project(), gateway().project());
    for (method, path, _) in in_project() {
        for project in [other.uid.as_str(), "none", "%00", "..%2f"] {
            let path = filled(&path, project, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
            refuses(&call(&mine, &method, &path).send(), &[403], &format!("{method} {path}"));
        }
    }
}

/// What one project has is not there for another, by its very id.
#[test]
fn ids_of_others_and_ids_that_are_none_are_not_found() {
    let (mine, other) = (gateway().project(), gateway().project());
    let receiver = Endpoint::ok();
    let source = other.open_source();
    let endpoint = other.route(&source, &receiver);
    let event = other.ingest(&source, b"{}").expect(200).json()["event_id"].clone();
    let delivery = other.wait_for_delivery(event.as_str().expect("an id"), "Success");
    let subscription = other.list("/subscriptions").swap_remove(0);
    let long = "a".repeat(2_000);
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let ids = [
        text(&source["uid"]),
        text(&endpoint["uid"]),
        text(&subscription["uid"]),
        text(&event),
        text(&delivery["uid"]),
        "0".into(),
        "%00".into(),
        "%27%20OR%201=1--".into(),
        "%F0%9F%A6%80".into(),
        long,
    ];
    let mut checked = BTreeSet::new();
    for (method, path, documented) in in_project() {
        if path.matches('{').count() < 2 {
            continue;
        }
        for id in &ids {
            let filled = filled(&path, &mine.uid, id);
            let mut call = call(&mine, &method, &filled);
            if let Some(example) = example(&documented) {
                call = call.json(&example);
            }
            refuses(&call.send(), &[404], &format!("{method} {path} with {id:.40}"));
        }
        checked.insert(path);
    }
    assert!(10 < checked.len(), "{checked:?}");
    // The other project still has it all.
    other.get(&format!("/sources/{}", text(&source["uid"]))).expect(200);
    assert_eq!(other.list("/subscriptions").len(), 1);
}

#[test]
fn a_body_that_cannot_be_read_is_refused_by_every_call_that_takes_one() {
    let project = gateway().project();
    let source = project.open_source();
    let endpoint = project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    let subscription = project.subscription(
        json!({"name": "a", "source_id": source["uid"], "endpoint_id": endpoint["uid"]}),
    );
    let known = |path: &str| {
        let of = |value: &Value| value["uid"].as_str().expect("an id").to_owned();
        match path {
            path if path.contains("{sourceID}") => of(&source),
            path if path.contains("{endpointID}") => of(&endpoint),
            path if path.contains("{subscriptionID}") => of(&subscription),
            _ => "none".into(),
        }
    };
    let mut checked = 0;
    for (method, path, documented) in in_project() {
        let Some(example) = example(&documented) else { continue };
        checked += 1;
        let id = known(&path);
        let filled = filled(&path, &project.uid, &id);
        // What is not there is said first.
        let statuses: &[u16] = match () {
            () if id == "none" && path.matches('{').count() > 1 => &[404],
            // Its subscription is there; whether the filter is may be said before what is wrong with its fields.
            () if path.contains("{filterID}") => &[400, 404],
            () => &[400],
        };
        let bodies = [
            "",
            " ",
            "{",
            "nul",
            "\"text\"",
            "7",
            "[",
            "{\"a\":}",
            "{\"a\":1,}",
            "\u{feff}{}",
            "{'a':1}",
        ];
        let may_be_absent = documented["requestBody"]["required"] == false;
        for body in bodies.into_iter().filter(|body| !may_be_absent || !body.trim().is_empty()) {
            let call = call(&project, &method, &filled).header("Content-Type", "application/json");
            refuses(&call.body(body).send(), statuses, &format!("{method} {path} with {body:?}"));
        }
        let deep = format!("{{\"data\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
        let call_with = |body: &str| {
            let call = call(&project, &method, &filled).header("Content-Type", "application/json");
            call.body(body).send()
        };
        let reply = call_with(&deep);
        assert!((400..500).contains(&reply.status), "{method} {path}: {}", reply.text());
        // Each field of the example with a value of another type.
        let object = example.as_array().map_or(&example, |items| &items[0]);
        for (field, value) in object.as_object().expect("an object") {
            if matches!(field.as_str(), "data" | "payload" | "spec") {
                continue;
            }
            for wrong in [
                json!([[1]]),
                json!({"a": {"b": 1}}),
                json!("text"),
                json!(-1),
                json!(1.5),
                json!(true),
            ] {
                if kind(&wrong) == kind(value) {
                    continue;
                }
                let mut body = object.clone();
                body[field] = wrong.clone();
                let body = if example.is_array() { json!([body]) } else { body };
                let reply = call_with(&body.to_string());
                let what = format!("{method} {path} with {field} = {wrong}");
                if example.is_array() {
                    assert!((400..500).contains(&reply.status), "{what}: {}", reply.text());
                } else {
                    refuses(&reply, statuses, &what);
                }
            }
        }
        let other = call(&project, &method, &filled).header("Content-Type", "text/plain");
        refuses(
            &other.body(example.to_string()).send(),
            &[415],
            &format!("{method} {path} as text"),
        );
    }
    assert!(15 < checked, "only {checked}");
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut done, byte| {
        done.push_str(&format!("%{byte:02x}"));
        done
    })
}

/// The type of a value: `text`, `number`, `flag`, `list`, `object`, `null`.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_by_every_call() {
    let project = gateway().project();
    let large = format!("{{\"name\":\"{}\"}}", "a".repeat(7 * 1024 * 1024));
    for (method, path, documented) in in_project() {
        if documented["requestBody"].is_null() {
            continue;
        }
        let path = filled(&path, &project.uid, "none");
        let call = call(&project, &method, &path).header("Content-Type", "application/json");
        refuses(&call.body(large.as_str()).send(), &[413], &format!("{method} {path}"));
    }
}

#[test]
fn a_list_refuses_dates_and_filters_that_it_cannot_read_and_forgives_pages() {
    let project = gateway().project();
    let bad = [
        ("startDate", "soon"),
        ("startDate", "2026-02-30T00:00:00"),
        ("endDate", "2026-13-01T00:00:00"),
        ("next_page_cursor", "'; DROP TABLE events; --"),
        ("next_page_cursor", "%00"),
        ("next_page_cursor", "{}"),
        ("next_page_cursor", "bad"),
        ("prev_page_cursor", "bad"),
        ("direction=prev&prev_page_cursor", "bad"),
        ("direction=next&prev_page_cursor", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("direction", "up"),
    ];
    let mut lists = 0;
    for (method, path, documented) in in_project() {
        let parameters = documented["parameters"].as_array().cloned().unwrap_or_default();
        let takes = |name: &str| parameters.iter().any(|one| one["name"] == name);
        if method != "GET" || !takes("perPage") {
            continue;
        }
        lists += 1;
        let path = filled(&path, &project.uid, "none");
        // Convoy takes what is no number for no number; in lists of ours alone it is a slip.
        let is_ours = path.ends_with("/dead-letters");
        for page in ["perPage=0", "perPage=-1", "perPage=x", "perPage=99999999999"] {
            let reply = call(&project, "GET", &format!("{path}?{page}")).send();
            reply.expect(if is_ours { 400 } else { 200 });
        }
        call(&project, "GET", &format!("{path}?sort=up")).send().expect(200);
        for (name, value) in bad {
            if !takes(name.rsplit('&').next().unwrap_or(name)) {
                continue;
            }
            let query = percent_encoded(value);
            let reply = call(&project, "GET", &format!("{path}?{name}={query}")).send();
            let what = format!("{path}?{name}={value}");
            refuses(&reply, &[400], &what);
        }
        if takes("startDate") {
            let query = "startDate=2026-01-02T00:00:00&endDate=2026-01-01T00:00:00";
            let reply = call(&project, "GET", &format!("{path}?{query}")).send();
            refuses(&reply, &[400], &path);
        }
    }
    assert!(6 < lists, "only {lists} lists");
}

#[test]
fn methods_that_nobody_knows_are_not_taken_for_others() {
    let project = gateway().project();
    let source = project.open_source();
    for method in ["QUERY", "PROPFIND", "get", "TRACK"] {
        let reply = project.call(method, "/sources").send();
        // What does not even reach the Worker is refused by the runtime.
        assert!(matches!(reply.status, 400 | 405 | 501), "{method}: {}", reply.status);
        let path = format!("/ingest/{}", source["mask_id"].as_str().expect("a mask"));
        let reply = gateway().call(method, &path).body("{}").send();
        assert!(matches!(reply.status, 400 | 405 | 501), "{method}: {}", reply.status);
    }
    project.expect_no_events();
}

#[test]
fn headers_with_line_breaks_are_refused_wherever_they_would_be_sent() {
    let project = gateway().project();
    let evil = "a\r\nX-Evil: 1";
    let endpoint = project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    let event = |headers: Value| {
        let body = json!({"endpoint_id": endpoint["uid"], "event_type": "t", "data": {}, "custom_headers": headers});
        project.post("/events", &body)
    };
    refuses(&event(json!({"X-A": evil})), &[400], "a value of custom_headers");
    refuses(&event(json!({evil: "1"})), &[400], "a name of custom_headers");
    let body = json!({"endpoint_id": endpoint["uid"], "event_type": "t", "data": {}, "idempotency_key": evil});
    refuses(&project.post("/events", &body), &[400], "idempotency_key");
    let noop = json!({"type": "noop"});
    for (what, fields) in [
        ("custom_response", json!({"custom_response": {"body": "a", "content_type": evil}})),
        ("forward_headers", json!({"forward_headers": [evil]})),
        ("all of forward_headers", json!({"forward_headers": ["*"]})),
        ("a header of HTTP in forward_headers", json!({"forward_headers": ["Host"]})),
        ("a header of a proxy in forward_headers", json!({"forward_headers": ["Via"]})),
        (
            "failure_response",
            json!({"verifier": {"type": "noop", "failure_response": {"body": "a", "content_type": evil}}}),
        ),
        (
            "hmac",
            json!({"verifier": {"type": "hmac", "hmac": {"header": evil, "hash": "SHA256", "encoding": "hex", "secret": "a-secret"}}}),
        ),
        (
            "api_key",
            json!({"verifier": {"type": "api_key", "api_key": {"header_name": evil, "header_value": "a-secret"}}}),
        ),
    ] {
        let mut body = json!({"name": "a", "type": "http", "verifier": noop});
        for (field, value) in fields.as_object().expect("fields") {
            body[field] = value.clone();
        }
        refuses(&project.post("/sources", &body), &[400], what);
    }
    let config = json!({"config": {"signature": {"header": evil}}});
    refuses(&project.put("", &config), &[400], "signature.header");
}
