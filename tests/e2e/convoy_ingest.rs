//! Convoy's own tests of `POST /ingest/{mask}`, request by request: what is sent, and what the sender reads.

use inlet_tests::{Project, base64, source_path};
use serde_json::{Value, json};

use crate::gateway;

/// SHA-512 of `{ "name": "convoy" }` with the secret `Convoy`.
const GOOD_HMAC: &str = "4471d491560781f633f3e53fb68574084adf5b803de16e12c88d49e74e13bcafa5ddad1247dffa71479ebd7a800c8af16f6f90a1be5a946140308bac4bd60260";
const BODY: &str = r#"{ "name": "convoy" }"#;

struct Case {
    name: &'static str,
    /// Fields of the source.
    source: Value,
    headers: Vec<(&'static str, String)>,
    body: String,
    status: u16,
    /// The whole answer; of an object these fields.
    answer: Value,
}

fn case(
    name: &'static str,
    verifier: Value,
    header: Option<(&'static str, String)>,
    status: u16,
) -> Case {
    let answer = if status == 200 {
        json!({"status": true, "message": "Event received", "data": BODY.len()})
    } else {
        json!({"status": false, "message": "Request verification failed"})
    };
    let headers = header.into_iter().collect();
    let source = json!({"verifier": verifier});
    Case { name, source, headers, body: BODY.into(), status, answer }
}

/// Where Convoy says 400 to a sender that is not believed, a sender reads 401 here.
fn cases() -> Vec<Case> {
    let hmac = json!({"type": "hmac", "hmac": {"header": "X-Convoy-Signature", "hash": "SHA512", "encoding": "hex",
        "secret": "Convoy"}});
    let api_key = json!({"type": "api_key", "api_key": {"header_name": "X-Api-Key", "header_value": "Convoy"}});
    let basic =
        json!({"type": "basic_auth", "basic_auth": {"username": "Convoy", "password": "Convoy"}});
    let noop = json!({"type": "noop"});
    let authorization = |user: &str| {
        ("Authorization", format!("Basic {}", base64(format!("{user}:Convoy").as_bytes())))
    };
    let accepted = json!({"verifier": noop, "custom_response": {"body": "[accepted]"}});
    vec![
        case("GoodHmac", hmac.clone(), Some(("X-Convoy-Signature", GOOD_HMAC.into())), 200),
        case(
            "BadHmac",
            hmac,
            Some(("X-Convoy-Signature", "hash with characters outside the hex range".into())),
            401,
        ),
        case("GoodAPIKey", api_key.clone(), Some(("X-Api-Key", "Convoy".into())), 200),
        case("BadAPIKey", api_key, Some(("X-Api-Key", "Convoyy".into())), 401),
        case("GoodBasicAuth", basic.clone(), Some(authorization("Convoy")), 200),
        case("BadBasicAuth", basic, Some(authorization("Conboy")), 401),
        Case {
            name: "NoopVerifier",
            source: accepted,
            answer: json!("[accepted]"),
            ..case("", noop.clone(), None, 200)
        },
        Case {
            name: "NoopVerifier_EmptyRequestBody",
            body: String::new(),
            answer: json!({"status": true, "message": "Event received", "data": 2}),
            ..case("", noop.clone(), None, 200)
        },
        Case {
            name: "NotHTTPSource",
            source: json!({"verifier": noop, "type": "rest_api"}),
            answer: json!({"status": false, "message": "Source type needs to be HTTP"}),
            ..case("", noop.clone(), None, 400)
        },
        Case {
            name: "PayloadExceedsConfiguredPayloadSize",
            body: "x".repeat(617),
            answer: json!({"status": false, "message": "request body too large: the limit is 50 bytes"}),
            ..case("", noop, None, 413)
        },
    ]
}

#[test]
fn a_sender_reads_in_each_case_what_convoys_tests_expect() {
    let project = gateway().project_with(json!({"max_payload_read_size": 50}));
    for case in cases() {
        let mut body = json!({"name": "a", "type": "http"});
        for (field, value) in case.source.as_object().expect("fields") {
            body[field] = value.clone();
        }
        let source = project.source(body);
        let mut call = project.ingest_call(&source).header("Content-Type", "application/json");
        for (name, value) in &case.headers {
            call = call.header(name, value.as_str());
        }
        let reply = call.body(case.body.as_str()).send();
        assert_eq!(reply.status, case.status, "{}: {}", case.name, reply.text());
        match &case.answer {
            Value::String(text) => assert_eq!(&reply.text(), text, "{}", case.name),
            answer => {
                let shown = reply.json();
                for (field, value) in answer.as_object().expect("an answer") {
                    assert_eq!(&shown[field], value, "{}: {shown}", case.name);
                }
            }
        }
    }
    let refused = gateway().call("POST", "/ingest/12345").body(BODY).send().expect(404);
    assert_eq!(refused.json(), json!({"status": false, "message": "Resource not found"}));
}

#[test]
fn a_verifier_that_nobody_knows_makes_no_source_and_no_event() {
    let project = gateway().project();
    let body = json!({"name": "a", "type": "http", "verifier": {"type": "unknown-verifier"}});
    let refused = project.post("/sources", &body).expect(400);
    assert_eq!(refused.message(), "type:please provide a valid verifier type");
    assert!(project.list("/sources").is_empty());
}

#[test]
fn a_limit_that_is_reached_is_429_with_whole_seconds_to_wait() {
    let project = gateway().project();
    let source = project.open_source_with(json!({"rate_limit": {"count": 1, "duration": 1}}));
    project.ingest(&source, b"{}").expect(200);
    let refused = project.ingest(&source, b"{}").expect(429);
    assert_eq!(refused.json(), json!({"status": false, "message": "exceeded rate limit"}));
    assert_eq!(refused.header("retry-after"), Some("1"));
}

/// Sends a body and expects this `data` on the event.
#[track_caller]
fn stored(project: &Project<'_>, content_type: Option<&str>, body: &str, data: &Value) {
    let source = project.open_source();
    let mut call = project.ingest_call(&source);
    if let Some(content_type) = content_type {
        call = call.header("Content-Type", content_type);
    }
    let answer = call.body(body).send().expect(200).json();
    let event = project.wait_for_event(answer["event_id"].as_str().expect("an id"));
    assert_eq!(&event["data"], data, "{content_type:?}");
    assert_eq!(event["raw"], body, "the bytes are kept");
}

#[test]
fn payloads_of_each_content_type_are_shown_as_convoy_stores_them() {
    let project = gateway().project();
    let object = json!({"key1": "value1", "key2": "value2"});
    for content_type in [Some("application/json"), None, Some("text/html")] {
        stored(&project, content_type, &object.to_string(), &object);
    }
    let form = "application/x-www-form-urlencoded";
    stored(&project, Some(form), "key1=value1&key2=value2", &object);
    let part = |name: &str, value: &str| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts = format!("{}{}--XX--\r\n", part("key1", "value1"), part("key2", "value2"));
    stored(&project, Some("multipart/form-data; boundary=XX"), &parts, &object);
}

/// A GET of the ingest URL, as a browser or a provider makes it.
#[test]
fn a_get_of_an_ingest_url_is_for_challenges_and_nothing_else() {
    let project = gateway().project();
    let get = |source: &Value| gateway().get(&source_path(source));
    let signed = |provider: &str| {
        project.source(json!({"name": "a", "type": "http", "provider": provider,
            "verifier": {"type": "hmac", "hmac": {"secret": "Convoy"}}}))
    };
    let twitter = signed("twitter");
    let path = format!("{}?crc_token=uzwcfYtzr9", source_path(&twitter));
    assert_eq!(
        gateway().get(&path).expect(200).json(),
        json!({"response_token": "sha256=HXvxTdsfShG6k2zC9NVANwFquJBdOugRYHax2vNiiOo="})
    );
    assert_eq!(gateway().get("/ingest/12345").expect(404).message(), "Resource not found");
    let rest = project.open_source_with(json!({"type": "rest_api"}));
    assert_eq!(get(&rest).expect(400).message(), "Source type needs to be HTTP");
    for source in [project.open_source(), signed("github"), twitter] {
        let reply = get(&source);
        assert!((400..500).contains(&reply.status), "{}: {}", reply.status, reply.text());
        assert_eq!(reply.json()["status"], false);
    }
    project.expect_no_events();
}
