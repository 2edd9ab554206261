//! Who may do what: health, projects and their keys.

use inlet_tests::{Gateway, ROOT_KEY};
use serde_json::json;

use crate::gateway;

#[test]
fn healthz_answers_without_a_key() {
    let reply = gateway().get("/healthz").expect(200);
    assert_eq!(reply.json()["status"], true);
}

#[test]
fn the_root_key_creates_projects_that_come_with_a_key() {
    let body = json!({"name": "the shop", "type": "incoming"});
    let reply = gateway().call("POST", "/api/v1/projects").bearer(ROOT_KEY).json(&body).send();
    let data = reply.expect(201).data();
    let key = data["api_key"]["key"].as_str().expect("a key");
    let parts: Vec<usize> = key.split('.').map(str::len).collect();
    assert_eq!(parts, [2, 16, 64], "{key}");
    assert_eq!(data["project"]["name"], "the shop");
    assert_eq!(data["project"]["type"], "incoming");
}

#[test]
fn only_the_root_key_creates_projects() {
    let project = gateway().project();
    let create = |authorization: Option<&str>| {
        let call = gateway().call("POST", "/api/v1/projects");
        let call = call.json(&json!({"name": "mine", "type": "incoming"}));
        let call = match authorization {
            Some(value) => call.header("Authorization", value),
            None => call,
        };
        call.send().status
    };
    assert_eq!(create(None), 401);
    assert_eq!(create(Some("")), 401);
    assert_eq!(create(Some("Bearer")), 401);
    assert_eq!(create(Some("Bearer ")), 401);
    assert_eq!(create(Some("Bearer wrong")), 401);
    assert_eq!(create(Some(&format!("Bearer {ROOT_KEY}x"))), 401);
    assert_eq!(create(Some(&format!("Bearer {}", &ROOT_KEY[1..]))), 401);
    let with_project_key = create(Some(&format!("Bearer {}", project.key)));
    assert_eq!(with_project_key, 403);
}

/// One call with one `Authorization` header, and what it must be answered.
#[track_caller]
fn check_key(authorization: Option<&str>, status: u16, message: Option<&str>) {
    let project = gateway().project();
    for path in ["/sources", "/endpoints", "/subscriptions", "/events/x", "/eventdeliveries"] {
        let path = format!("/api/v1/projects/{}{path}", project.uid);
        let call = gateway().call("GET", &path);
        let call = match authorization {
            Some(value) => call.header("Authorization", value),
            None => call,
        };
        let reply = call.send().expect(status);
        assert_eq!(reply.json()["status"], false);
        assert!(reply.json().get("data").is_none(), "an error has no data: {}", reply.text());
        let asked = reply.header("www-authenticate");
        assert_eq!(asked, (status == 401).then_some(r#"Bearer realm="inlet""#), "{path}");
        if let Some(message) = message {
            assert_eq!(reply.message(), message, "{path}");
        }
    }
}

#[test]
fn a_call_without_a_key_is_refused() {
    check_key(None, 401, Some("Authentication required"));
}

#[test]
fn a_call_with_a_malformed_header_is_refused() {
    check_key(Some("Bearer"), 401, None);
    check_key(Some("CO.abc.def"), 401, None);
}

#[test]
fn a_call_with_a_wrong_key_is_refused() {
    check_key(Some("Bearer CO.abc.def"), 401, Some("authorization failed"));
    let long = format!("Bearer CO.{}.{}", "a".repeat(16), "b".repeat(64));
    check_key(Some(&long), 401, Some("authorization failed"));
}

#[test]
fn a_key_with_the_right_mask_and_a_wrong_secret_is_refused() {
    let project = gateway().project();
    let (head, _) = project.key.rsplit_once('.').expect("three parts");
    let forged = format!("{head}.{}", "a".repeat(64));
    let path = format!("/api/v1/projects/{}/sources", project.uid);
    gateway().call("GET", &path).bearer(&forged).send().expect(401);
}

#[test]
fn the_key_of_another_project_is_refused() {
    let (mine, theirs) = (gateway().project(), gateway().project());
    let source = theirs.open_source();
    for path in ["/sources", "/endpoints", "/events/x", "/eventdeliveries", "/subscriptions"] {
        let path = format!("/api/v1/projects/{}{path}", theirs.uid);
        gateway().call("GET", &path).bearer(&mine.key).send().expect(403);
    }
    let path = format!("/api/v1/projects/{}/sources", theirs.uid);
    let body = json!({"name": "a", "type": "http"});
    gateway().call("POST", &path).bearer(&mine.key).json(&body).send().expect(403);
    let path = format!("{path}/{}", source["uid"].as_str().expect("a uid"));
    gateway().call("DELETE", &path).bearer(&mine.key).send().expect(403);
    assert_eq!(theirs.list("/sources").len(), 1);
}

#[test]
fn things_of_another_project_are_not_found_and_cannot_be_used() {
    let (mine, theirs) = (gateway().project(), gateway().project());
    let source = theirs.open_source();
    let url = "https://example.com/hook";
    let endpoint = theirs.endpoint(json!({"name": "theirs", "url": url}));
    let own_source = mine.open_source();
    let own_endpoint = mine.endpoint(json!({"name": "mine", "url": url}));
    let uid = |value: &serde_json::Value| value["uid"].as_str().expect("a uid").to_owned();

    mine.get(&format!("/sources/{}", uid(&source))).expect(404);
    mine.put(&format!("/sources/{}", uid(&source)), &json!({"name": "a", "type": "http"}))
        .expect(404);
    mine.delete(&format!("/sources/{}", uid(&source))).expect(404);
    mine.get(&format!("/endpoints/{}", uid(&endpoint))).expect(404);
    mine.delete(&format!("/endpoints/{}", uid(&endpoint))).expect(404);

    let subscribe = |source: &str, endpoint: &str| {
        let body = json!({"name": "s", "source_id": source, "endpoint_id": endpoint});
        mine.post("/subscriptions", &body)
    };
    let reply = subscribe(&uid(&own_source), &uid(&endpoint));
    assert!(matches!(reply.status, 400 | 404), "{}: {}", reply.status, reply.text());
    let reply = subscribe(&uid(&source), &uid(&own_endpoint));
    assert!(matches!(reply.status, 400 | 404), "{}: {}", reply.status, reply.text());
    subscribe(&uid(&own_source), &uid(&own_endpoint)).expect(201);
}

#[test]
fn without_a_root_key_nobody_creates_projects() {
    let gateway = Gateway::builder().without_var("ROOT_KEY").start();
    for key in ["", "undefined", "null", ROOT_KEY] {
        let call = gateway.call("POST", "/api/v1/projects").bearer(key);
        let reply = call.json(&json!({"name": "mine", "type": "incoming"})).send();
        assert!((400..=599).contains(&reply.status), "{key:?}: {}", reply.status);
    }
    drop(gateway);
    let gateway = Gateway::builder().var("ROOT_KEY", "").start();
    for key in ["", "undefined"] {
        let call = gateway.call("POST", "/api/v1/projects").bearer(key);
        let reply = call.json(&json!({"name": "mine", "type": "incoming"})).send();
        assert!((400..=599).contains(&reply.status), "{key:?}: {}", reply.status);
    }
}

#[test]
fn the_name_of_a_project_is_unique() {
    let body = json!({"name": "twice", "type": "incoming"});
    let create = || gateway().call("POST", "/api/v1/projects").bearer(ROOT_KEY).json(&body).send();
    create().expect(201);
    let reply = create().expect(400);
    assert_eq!(reply.message(), "a project with this name already exists");
}

#[test]
fn a_project_that_cannot_be_is_refused() {
    let create = |body: &[u8]| {
        let call = gateway().call("POST", "/api/v1/projects").bearer(ROOT_KEY);
        call.header("Content-Type", "application/json").body(body).send()
    };
    for body in [
        "",
        "{",
        "nope",
        "[]",
        "{}",
        r#"{"name": "a"}"#,
        r#"{"name": "a", "type": "sideways"}"#,
        r#"{"name": 5, "type": "incoming"}"#,
        r#"{"name": "", "type": "incoming"}"#,
        r#"{"name": "a", "type": "incoming", "config": 5}"#,
        r#"{"name": "a", "type": "incoming", "config": {"max_payload_read_size": -1}}"#,
        r#"{"name": "a", "type": "incoming", "config": {"max_payload_read_size": "1"}}"#,
        r#"{"name": "a", "type": "incoming", "config": {"strategy": {"type": "random"}}}"#,
    ] {
        let reply = create(body.as_bytes()).expect(400);
        assert!(!reply.message().is_empty(), "{body}");
    }
}

#[test]
fn unknown_paths_are_not_found() {
    let project = gateway().project();
    gateway().get("/no/such/path").expect(404);
    project.get("/no-such-things").expect(404);
}
