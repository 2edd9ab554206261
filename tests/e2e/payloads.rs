//! Bodies arrive as they were sent, whatever they are and however large.

use inlet_tests::{Endpoint, Gateway, Project, github_signature, poll_until, uid};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

/// Posts this body and expects the same bytes, under the same content type, at an endpoint.
#[track_caller]
fn check(gateway: &'static Gateway, content_type: Option<&str>, body: &[u8]) -> Value {
    let endpoint = Endpoint::ok();
    let project = gateway.project();
    let source = project.open_source();
    project.route(&source, &endpoint);
    let call = project.ingest_call(&source).body(body);
    let call = match content_type {
        Some(content_type) => call.header("Content-Type", content_type),
        None => call,
    };
    let answer = call.send().expect(200).json();
    let received = endpoint.wait_for_one();
    assert!(
        received.body == body,
        "{} bytes became {} other bytes",
        body.len(),
        received.body.len()
    );
    if let Some(content_type) = content_type {
        assert_eq!(received.header("content-type"), Some(content_type));
    }
    project.event(answer["event_id"].as_str().expect("an id"))
}

#[test]
fn json_is_delivered_byte_for_byte() {
    in_both_modes(|gateway| {
        let body =
            "{ \"b\" : 1e2,\r\n\t\"a\":12345678901234567890, \"c\":\"\\u00e9é<>&\" }".as_bytes();
        check(gateway, Some("application/json"), body);
    });
}

#[test]
fn bodies_that_are_no_text_are_delivered_byte_for_byte() {
    in_both_modes(|gateway| {
        let all: Vec<u8> = (0..=255).collect();
        check(gateway, Some("application/octet-stream"), &all);
        check(gateway, Some("application/json"), b"\xff\xfe{\"a\":1}");
        check(gateway, Some("text/plain"), b"a\0b\0");
        check(gateway, Some("text/plain; charset=utf-16"), &[0xfe, 0xff, 0, 0x41, 0xd8, 0x00]);
        check(gateway, None, b"\xc3\x28");
    });
}

#[test]
fn text_is_delivered_byte_for_byte() {
    let check = |content_type, body: &str| check(gateway(), content_type, body.as_bytes());
    check(Some("text/html"), "<b>not json</b>");
    check(Some("application/xml"), "<?xml version=\"1.0\"?><a>&amp;</a>\n");
    check(None, "plain");
    check(Some("application/json"), "\u{feff}{}");
    check(Some("application/cloudevents+json; charset=utf-8"), "{\"id\":1}");
}

#[test]
fn forms_are_shown_as_json_and_delivered_as_they_came() {
    let form = "application/x-www-form-urlencoded";
    let event = check(gateway(), Some(form), b"key1=value1&key2=value2&key1=again&text=a+b%26c");
    assert_eq!(event["data"], json!({"key1": "value1", "key2": "value2", "text": "a b&c"}));
    let multipart = "multipart/form-data; boundary=XyZ";
    let body = b"--XyZ\r\nContent-Disposition: form-data; name=\"key1\"\r\n\r\nvalue1\r\n\
        --XyZ\r\nContent-Disposition: form-data; name=\"key2\"\r\n\r\nvalue2\r\n\
        --XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n\x00\xff\r\n--XyZ--\r\n";
    let event = check(gateway(), Some(multipart), body);
    assert_eq!(event["data"], json!({"key1": "value1", "key2": "value2"}));
}

#[test]
fn a_signature_over_a_form_is_a_signature_over_its_bytes() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.github_source("a-secret-of-github");
    project.route(&source, &endpoint);
    let body = b"payload=%7B%22a%22%3A1%7D&b=2";
    let signature = github_signature("a-secret-of-github", body);
    let call =
        project.ingest_call(&source).header("Content-Type", "application/x-www-form-urlencoded");
    call.header("X-Hub-Signature-256", signature).body(&body[..]).send().expect(200);
    assert_eq!(endpoint.wait_for_one().body, body);
    let converted = github_signature("a-secret-of-github", br#"{"b":"2","payload":"{\"a\":1}"}"#);
    let call =
        project.ingest_call(&source).header("Content-Type", "application/x-www-form-urlencoded");
    call.header("X-Hub-Signature-256", converted).body(&body[..]).send().expect(401);
}

/// Bytes without a pattern that compression or a lost chunk would hide.
fn noise(size: usize) -> Vec<u8> {
    let mut state: u32 = 2_463_534_242;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..size).map(|_| next()).collect()
}

fn is_stored_apart(gateway: &Gateway, project: &Project<'_>, event_id: &str) -> bool {
    gateway.stored_bodies().iter().any(|key| key.contains(&project.uid) && key.contains(event_id))
}

#[test]
fn large_bodies_are_delivered_byte_for_byte() {
    in_both_modes(|gateway| {
        for size in [119_999, 120_000, 120_001, 128_000, 1_000_000] {
            check(gateway, Some("application/octet-stream"), &noise(size));
        }
    });
}

#[test]
fn a_body_of_the_largest_size_is_delivered() {
    check(gateway(), Some("application/octet-stream"), &noise(5 * 1024 * 1024));
}

#[test]
fn bodies_over_120_000_bytes_are_kept_in_the_bucket() {
    in_both_modes(|gateway| {
        let project = gateway.project();
        let source = project.open_source();
        let post = |size: usize| {
            let body = format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
            let answer = project.ingest(&source, body.as_bytes()).expect(200).json();
            assert_eq!(answer["data"], size);
            let id = answer["event_id"].as_str().expect("an id").to_owned();
            project.wait_for_event(&id);
            id
        };
        assert!(!is_stored_apart(gateway, &project, &post(120_000)));
        assert!(is_stored_apart(gateway, &project, &post(120_001)));
    });
}

#[test]
fn an_event_whose_body_the_bucket_has_lost_says_so() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.open_source();
    project.route(&source, &endpoint);
    let reply = project.ingest(&source, &noise(130_000)).expect(200);
    let event = reply.header("Inlet-Event-Id").expect("an id");
    let delivery = uid(&project.wait_for_delivery(event, "Success"));
    let key = gateway().stored_bodies().into_iter().find(|key| key.contains(event));
    gateway().delete_stored_body(&key.expect("a body"));
    let gone = "the event's body is gone from the store";
    assert_eq!(project.get(&format!("/events/{event}")).expect(410).message(), gone);
    let shown = project.get(&format!("/eventdeliveries/{delivery}")).expect(200).data();
    assert_eq!(shown["metadata"]["omitted_because"], gone);
    project.put(&format!("/events/{event}/replay"), &json!({})).expect(200);
    let failed = poll_until("the replay to fail", || {
        project.deliveries(event).into_iter().find(|one| one["status"] == "Failure")
    });
    assert_eq!(failed["description"], gone);
    assert_eq!(endpoint.count(), 1);
}

#[test]
fn a_project_with_a_larger_limit_takes_larger_bodies() {
    let endpoint = Endpoint::ok();
    let project = gateway().project_with(json!({"max_payload_read_size": 8 * 1024 * 1024}));
    let source = project.open_source();
    project.route(&source, &endpoint);
    let body = noise(7 * 1024 * 1024);
    project.ingest_call(&source).body(body.clone()).chunked(100_000).send().expect(200);
    assert!(endpoint.wait_for_one().body == body);
}

#[test]
fn headers_of_the_sender_reach_the_endpoint_but_for_credentials() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.open_source();
    project.route(&source, &endpoint);
    let call = project.ingest_call(&source).headers(&[
        ("X-Event", "push"),
        ("Authorization", "Bearer secret"),
        ("Cookie", "session=secret"),
        ("X-Two", "1"),
        ("Accept-Language", "de"),
    ]);
    call.body("{}").send().expect(200);
    let received = endpoint.wait_for_one();
    assert_eq!(received.header("X-Event"), Some("push"));
    assert_eq!(received.header("X-Two"), Some("1"));
    assert_eq!(received.header("Authorization"), None);
    assert_eq!(received.header("Cookie"), None);
    assert_ne!(received.header("Host"), Some(project.gateway.url().trim_start_matches("http://")));
    assert_eq!(received.header("X-Convoy-Source-Id"), source["mask_id"].as_str());
}

#[test]
fn forward_headers_names_those_that_are_passed_on() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.open_source();
    let path = format!("/sources/{}", source["uid"].as_str().expect("a uid"));
    let update =
        json!({"name": "a", "type": "http", "forward_headers": ["X-One", "authorization"]});
    project.put(&path, &update).expect(202);
    project.route(&source, &endpoint);
    let call = project.ingest_call(&source).headers(&[
        ("X-One", "1"),
        ("X-Two", "2"),
        ("Authorization", "Bearer token"),
        ("Content-Type", "application/vnd.test+json"),
    ]);
    call.body("{}").send().expect(200);
    let received = endpoint.wait_for_one();
    assert_eq!(received.header("x-one"), Some("1"));
    assert_eq!(received.header("x-two"), None);
    assert_eq!(received.header("authorization"), Some("Bearer token"));
    assert_eq!(received.header("content-type"), Some("application/vnd.test+json"));
}

#[test]
fn credentials_in_the_query_of_a_request_are_not_passed_on_unless_they_are_named() {
    let project = gateway().project();
    for (forward_query, expect) in
        [(json!(null), "page=2&a%20b=%C3%BC"), (json!(["token", "page"]), "page=2&token=t")]
    {
        let endpoint = Endpoint::ok();
        let source = project.open_source_with(json!({"forward_query": forward_query}));
        assert_eq!(
            source["forward_query"],
            if forward_query.is_null() { json!([]) } else { forward_query }
        );
        project.route_with(&source, &endpoint, json!({"owner_id": "o"}));
        let mask = source["mask_id"].as_str().expect("a mask");
        let path =
            format!("/ingest/{mask}?page=2&token=t&a%20b=%C3%BC&client_secret=s&Signature=x");
        let sent = gateway().call("POST", &path).body("{}").send().expect(200).json();
        let event = sent["event_id"].as_str().expect("an id");
        let received = endpoint.wait_for_one();
        assert_eq!(received.path.split_once('?').map(|(_, query)| query), Some(expect));
        project.wait_for_delivery(event, "Success");
        assert_eq!(project.event(event)["url_query_params"], expect);
    }
    let path = format!("/sources/{}", project.open_source()["uid"].as_str().expect("a uid"));
    let body = json!({"name": "a", "type": "http", "forward_query": ["*"]});
    let message = project.put(&path, &body).expect(400).message();
    assert!(message.starts_with("forward_query:"), "{message}");
}

#[test]
fn what_may_be_a_credential_or_a_signature_is_not_passed_on_unless_it_is_named() {
    let project = gateway().project();
    let secret = "It's a Secret to Everybody";
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    for (forward_headers, of_github) in
        [(None, None), (Some(["X-Hub-Signature"]), Some("sha1=abc"))]
    {
        let endpoint = Endpoint::ok();
        let source = project.source(json!({"name": "g", "type": "http", "provider": "github",
            "verifier": {"hmac": {"secret": secret}}, "forward_headers": forward_headers}));
        project.route(&source, &endpoint);
        let call = project.ingest_call(&source).body("Hello, World!").headers(&[
            ("X-Hub-Signature-256", signature),
            ("X-Hub-Signature", "sha1=abc"),
            ("X-Gitlab-Token", "t"),
            ("X-Auth-Token", "t"),
            ("Connection", "keep-alive, X-Of-This-Hop"),
            ("X-Of-This-Hop", "1"),
            ("X-GitHub-Event", "ping"),
        ]);
        call.send().expect(200);
        let received = endpoint.wait_for_one();
        assert_eq!(received.header("X-Hub-Signature"), of_github);
        assert_eq!(received.header("X-GitHub-Event").is_some(), forward_headers.is_none());
        for name in ["X-Hub-Signature-256", "X-Gitlab-Token", "X-Auth-Token", "X-Of-This-Hop"] {
            assert_eq!(received.header(name), None, "{name}");
        }
    }
}

#[test]
fn the_secret_of_an_api_key_source_is_not_passed_on() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project
        .source(json!({"name": "a", "type": "http", "verifier": {"type": "api_key",
        "api_key": {"header_name": "X-Api-Key", "header_value": "a-long-api-key"}}}));
    project.route(&source, &endpoint);
    let call =
        project.ingest_call(&source).header("X-Api-Key", "a-long-api-key").header("X-Kept", "yes");
    let answer = call.body("{}").send().expect(200).json();
    let received = endpoint.wait_for_one();
    assert_eq!(received.header("X-Kept"), Some("yes"));
    assert_eq!(received.header("X-Api-Key"), None);
    let event = project.event(answer["event_id"].as_str().expect("an id"));
    assert!(!event.to_string().contains("a-long-api-key"), "{event}");
}

#[test]
fn the_query_of_the_ingest_url_is_kept_with_the_event() {
    let project = gateway().project();
    let source = project.open_source();
    let path = format!("{}?a=1&b=%20x", inlet_tests::source_path(&source));
    let answer = gateway().call("POST", &path).body("{}").send().expect(200).json();
    let event = project.wait_for_event(answer["event_id"].as_str().expect("an id"));
    assert_eq!(event["url_query_params"], "a=1&b=%20x");
}
