//! The order of ingest: unknown, disabled, method, size, signature; and what the sender reads.

use inlet_tests::{Connection, Gateway, Project, poll_until, source_path};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

/// The default limit of a body.
const LIMIT: usize = 5 * 1024 * 1024;

fn disable(project: &Project<'_>, source: &Value) {
    let path = format!("/sources/{}", source["uid"].as_str().expect("a uid"));
    project.put(&path, &json!({"name": "a", "type": "http", "is_disabled": true})).expect(202);
}

#[test]
fn an_accepted_event_is_answered_with_its_id() {
    in_both_modes(|gateway| {
        let project = gateway.project();
        let source = project.open_source();
        let reply = project.ingest(&source, br#"{"a":1}"#).expect(200);
        let answer = reply.json();
        assert_eq!(answer["status"], true);
        assert_eq!(answer["message"], "Event received");
        assert_eq!(answer["data"], 7);
        let id = answer["event_id"].as_str().expect("an event id");
        assert_eq!(id.len(), 26, "{id} is a ULID");
        assert_eq!(reply.header("Inlet-Event-Id"), Some(id));
        assert_eq!(project.wait_for_event(id)["uid"], id);
    });
}

#[test]
fn an_empty_body_is_an_empty_object() {
    let project = gateway().project();
    let source = project.open_source();
    let reply = project.ingest_call(&source).send().expect(200).json();
    assert_eq!(reply["data"], 2);
    let event = project.wait_for_event(reply["event_id"].as_str().expect("an id"));
    assert_eq!(event["data"], json!({}));
}

#[test]
fn an_unknown_source_is_not_found_whatever_is_asked() {
    for method in ["POST", "GET", "PUT", "DELETE"] {
        for mask in ["12345", "aaaaaaaaaaaaaaaa", "..%2f..", "%00", &"a".repeat(2000)] {
            let reply = gateway().call(method, &format!("/ingest/{mask}")).send().expect(404);
            assert_eq!(reply.message(), "Resource not found", "{method} {mask}");
        }
    }
    let status = gateway().call("POST", "/ingest/").send().status;
    assert_eq!(status, 404);
}

#[test]
fn a_disabled_source_refuses_everybody() {
    let project = gateway().project();
    let source = project.github_source("a-secret-of-github");
    disable(&project, &source);
    let signature = inlet_tests::github_signature("a-secret-of-github", b"{}");
    let call = project.ingest_call(&source).header("X-Hub-Signature-256", signature);
    call.body("{}").send().expect(403);
    // Before the method, the size and the signature are looked at.
    gateway().call("PUT", &source_path(&source)).body("{}").send().expect(403);
    project.ingest(&source, &vec![b'x'; LIMIT + 1]).expect(403);
    project.ingest(&source, b"{}").expect(403);
    let path = format!("/sources/{}", source["uid"].as_str().expect("a uid"));
    project.put(&path, &json!({"name": "a", "type": "http", "is_disabled": false})).expect(202);
    project.ingest(&source, b"{}").expect(401);
}

#[test]
fn other_methods_are_not_allowed() {
    let project = gateway().project();
    let source = project.open_source();
    for method in ["PUT", "PATCH", "DELETE"] {
        let reply = gateway().call(method, &source_path(&source)).body("{}").send().expect(405);
        assert!(reply.header("Allow").is_some_and(|allow| allow.contains("POST")), "{method}");
    }
    // Even for a body that is too large, and without a signature.
    let source = project.github_source("a-secret-of-github");
    gateway().call("PUT", &source_path(&source)).body(vec![b'x'; LIMIT + 1]).send().expect(405);
}

#[test]
fn a_source_that_is_not_http_takes_no_requests() {
    let project = gateway().project();
    let source = project.open_source_with(json!({"type": "rest_api"}));
    let reply = project.ingest(&source, b"{}").expect(400);
    assert_eq!(reply.message(), "Source type needs to be HTTP");
}

#[test]
fn the_limit_of_a_body_is_five_mebibytes() {
    let project = gateway().project();
    let source = project.open_source();
    let post = |size: usize, chunk: Option<usize>| {
        let call = project.ingest_call(&source).body(vec![b'x'; size]);
        let call = match chunk {
            Some(chunk) => call.chunked(chunk),
            None => call,
        };
        call.send()
    };
    for chunk in [None, Some(64 * 1024)] {
        post(LIMIT, chunk).expect(200);
        let reply = post(LIMIT + 1, chunk).expect(413);
        assert!(reply.message().starts_with("request body too large"), "{}", reply.text());
    }
}

#[test]
fn a_project_sets_its_own_limit() {
    let project = gateway().project_with(json!({"max_payload_read_size": 50}));
    let source = project.open_source();
    for chunk in [None, Some(7)] {
        for (size, status) in [(50, 200), (51, 413), (617, 413)] {
            let call = project.ingest_call(&source).body(vec![b'x'; size]);
            let call = match chunk {
                Some(chunk) => call.chunked(chunk),
                None => call,
            };
            call.send().expect(status);
        }
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_while_it_is_still_coming() {
    let project = gateway().project_with(json!({"max_payload_read_size": 1000}));
    let source = project.open_source();
    let mut connection = Connection::open(gateway().url()).expect("a connection");
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n",
        source_path(&source)
    );
    connection.write(head.as_bytes()).expect("the head is taken");
    for _ in 0..4 {
        let chunk = format!("{:x}\r\n{}\r\n", 500, "x".repeat(500));
        connection.write(chunk.as_bytes()).expect("the chunk is taken");
    }
    // The body has no end yet.
    let reply = connection.read_reply(false).expect("a reply before the end of the body");
    assert_eq!(reply.status, 413, "{}", reply.text());
}

#[test]
fn the_size_is_checked_before_the_signature() {
    let project = gateway().project_with(json!({"max_payload_read_size": 10}));
    let source = project.github_source("a-secret-of-github");
    project.ingest(&source, b"12345678901").expect(413);
    project.ingest(&source, b"1234567890").expect(401);
}

#[test]
fn a_refused_request_leaves_no_event() {
    let project = gateway().project();
    let source = project.github_source("a-secret-of-github");
    project.ingest(&source, b"{}").expect(401);
    let signature = inlet_tests::github_signature("a-secret-of-github", b"{}");
    let call = project.ingest_call(&source).header("X-Hub-Signature-256", signature);
    let reply = call.body("{}").send().expect(200).json();
    project.wait_for_event(reply["event_id"].as_str().expect("an id"));
    assert_eq!(project.stored_events().len(), 1);
}

#[test]
fn a_change_of_a_source_takes_effect_at_once() {
    let project = gateway().project();
    let source = project.open_source();
    project.ingest(&source, b"{}").expect(200);
    disable(&project, &source);
    project.ingest(&source, b"{}").expect(403);
}

#[test]
fn the_custom_response_is_what_the_sender_reads() {
    let project = gateway().project();
    let check = |response: Value, body: &str, content_type: &str| {
        let source = project.open_source_with(json!({"custom_response": response}));
        let reply = project.ingest(&source, b"{}").expect(200);
        assert_eq!(reply.text(), body);
        let got = reply.header("content-type").unwrap_or_default().to_ascii_lowercase();
        assert_eq!(got, content_type, "{response}");
        // Pages with the tokens of portal links lie on the same origin.
        let policy = reply.header("content-security-policy").unwrap_or_default();
        let is_apart = policy.starts_with("sandbox")
            && reply.header("x-content-type-options") == Some("nosniff");
        assert_eq!(is_apart, content_type != "application/json", "{response}");
        let id = reply.header("Inlet-Event-Id").expect("the id is in a header").to_owned();
        project.wait_for_event(&id);
    };
    check(json!({"body": "[accepted]"}), "[accepted]", "text/plain; charset=utf-8");
    check(json!({"body": "[accepted]", "content_type": "text/plain"}), "[accepted]", "text/plain");
    check(
        json!({"body": "{\"ok\":true}", "content_type": "application/json"}),
        "{\"ok\":true}",
        "application/json",
    );
    check(
        json!({"body": "grüß dich", "content_type": "text/html; charset=utf-8"}),
        "grüß dich",
        "text/html; charset=utf-8",
    );
    // A content type alone changes nothing.
    let source =
        project.open_source_with(json!({"custom_response": {"content_type": "text/plain"}}));
    assert_eq!(project.ingest(&source, b"{}").expect(200).message(), "Event received");
}

/// Posts a body of type GitLab's and expects this event type, or a refusal in these words.
#[track_caller]
fn check_event_type(project: &Project<'_>, location: &str, expect: Result<&str, &str>) {
    let source = project.open_source_with(json!({"event_type_location": location}));
    let body = br#"{"object_kind":"push","project":{"path_with_namespace":"acme/backend"},"user_id":38562979,"confirmed":true}"#;
    let path = format!("{}?event_type=push&other=1", source_path(&source));
    let call = project.gateway.call("POST", &path).header("Content-Type", "application/json");
    let reply =
        call.header("X-Gitlab-Event", "Push Hook").header("X-Empty", "").body(&body[..]).send();
    match expect {
        Ok(event_type) => {
            let answer = reply.expect(200).json();
            let event = project.wait_for_event(answer["event_id"].as_str().expect("an id"));
            assert_eq!(event["event_type"], event_type, "{location}");
        }
        Err(message) => assert_eq!(reply.expect(400).message(), message, "{location}"),
    }
}

#[test]
fn the_event_type_is_taken_from_its_location() {
    let project = gateway().project();
    check_event_type(&project, "request.body.object_kind", Ok("push"));
    check_event_type(&project, "request.body.project.path_with_namespace", Ok("acme/backend"));
    check_event_type(&project, "request.body.user_id", Ok("38562979"));
    check_event_type(&project, "request.body.confirmed", Ok("true"));
    check_event_type(&project, "request.header.X-Gitlab-Event", Ok("Push Hook"));
    check_event_type(&project, "request.query.event_type", Ok("push"));
    check_event_type(&project, "req.QueryParam.event_type", Ok("push"));
}

#[test]
fn an_event_whose_type_is_not_there_is_refused() {
    let project = gateway().project();
    let check = |location: &str, message: &str| check_event_type(&project, location, Err(message));
    check("request.body.event_name", "event type not found in request body at event_name");
    check("request.body.project", "event type at request.body.project must be a scalar value");
    check("request.header.X-Empty", "event type not found in request at request.header.X-Empty");
    check("request.header.X-Absent", "event type not found in request at request.header.X-Absent");
    check("request.query.absent", "event type not found in request at request.query.absent");
}

#[test]
fn without_a_location_the_event_type_is_the_mask() {
    let project = gateway().project();
    let source = project.open_source();
    let answer = project.ingest(&source, b"{}").expect(200).json();
    let event = project.wait_for_event(answer["event_id"].as_str().expect("an id"));
    assert_eq!(event["event_type"], source["mask_id"]);
}

#[test]
fn a_refusal_is_logged_without_anything_that_was_sent() {
    let project = gateway().project();
    let source = project
        .source(json!({"name": "a", "type": "http", "verifier": {"type": "api_key",
        "api_key": {"header_name": "X-Key", "header_value": "the-right-key-4711"}}}));
    let post = |key: &str| {
        let call = project.ingest_call(&source).header("X-Key", key);
        call.header("Cookie", "session=cookie-4712").body("body-4713").send().status
    };
    assert_eq!(post("the-wrong-key-4714"), 401);
    assert_eq!(post("the-right-key-4711"), 200);
    let id = source["uid"].as_str().expect("an id");
    poll_until("the refusal in the log", || {
        gateway().log().iter().any(|line| line.contains(id) && line.contains("401")).then_some(())
    });
    for line in gateway().log() {
        for secret in ["right-key-4711", "cookie-4712", "body-4713", "wrong-key-4714"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[test]
fn malformed_requests_do_not_hurt_the_gateway() {
    let gateway: &Gateway = gateway();
    for bytes in [
        &b"\r\n\r\n"[..],
        b"nonsense\r\n\r\n",
        b"POST\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST /ingest/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /ingest/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        let mut connection = Connection::open(gateway.url()).expect("a connection");
        connection.write(bytes).ok();
    }
    gateway.get("/healthz").expect(200);
}

#[test]
fn an_event_type_is_a_name_and_not_a_book() {
    let project = gateway().project();
    let source = project.open_source_with(json!({"event_type_location": "request.body.t"}));
    let long = json!({"t": "x".repeat(300)}).to_string();
    let reply = project.ingest(&source, long.as_bytes()).expect(400);
    assert_eq!(reply.message(), "event type too long: at most 256 bytes");
    project.ingest(&source, json!({"t": "x".repeat(256)}).to_string().as_bytes()).expect(200);
}
