//! Deliveries are signed, over the bytes that are sent, in the ways that receivers check.

use std::time::{SystemTime, UNIX_EPOCH};

use inlet_tests::{Endpoint, Received, base64, hmac_sha256, hmac_sha512, unbase64};
use serde_json::{Value, json};

use crate::gateway;

const PAYLOAD: &[u8] = br#"{"event":"charge.success","amount":1000,"currency":"NGN"}"#;
const SECRET: &str = "convoy-webhook-secret";

/// Delivers `body` from a project with this config to an endpoint with these fields.
#[track_caller]
fn deliver(config: Value, endpoint_fields: Value, body: &[u8]) -> (Received, Value) {
    let endpoint = Endpoint::ok();
    let project = gateway().project_with(config);
    let source = project.open_source();
    let created = project.route_with(&source, &endpoint, endpoint_fields);
    project.ingest(&source, body).expect(200);
    (endpoint.wait_for_one(), created)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Convoy's vectors of simple signatures.
#[track_caller]
fn check_simple(hash: &str, encoding: &str, expected: &str) {
    let config = json!({"signature": {"versions": [{"hash": hash, "encoding": encoding}]}});
    let fields = json!({"secret": SECRET, "advanced_signatures": false});
    let (received, _) = deliver(config, fields, PAYLOAD);
    assert_eq!(received.header("X-Convoy-Signature"), Some(expected), "{hash} {encoding}");
}

#[test]
fn simple_signatures_are_convoys() {
    check_simple(
        "SHA256",
        "hex",
        "244449b7f48cbc2709060c9dcdc2b3aa47a78f540430579015c579fb12defbb4",
    );
    check_simple("SHA256", "base64", "JERJt/SMvCcJBgydzcKzqkenj1QEMFeQFcV5+xLe+7Q=");
    check_simple(
        "SHA512",
        "hex",
        "6cc772dc81942ae1b5ffa91c3a6a07b0d37edc8dc6bd83e3518a219f1f19ff71ae1b76d6b320940d414c236a1aad7f7930b63e0f1928951955d31219545e1b66",
    );
    check_simple(
        "SHA512",
        "base64",
        "bMdy3IGUKuG1/6kcOmoHsNN+3I3GvYPjUYohnx8Z/3GuG3bWsyCUDUFMI2oarX95MLY+DxkolRlV0xIZVF4bZg==",
    );
}

#[test]
fn the_default_is_an_advanced_signature_by_sha256_in_hex() {
    let (received, _) = deliver(json!({}), json!({"secret": SECRET}), PAYLOAD);
    let signature = received.header("X-Convoy-Signature").expect("a signature");
    let (time, signature) = signature.split_once(",v1=").expect("t=<time>,v1=<signature>");
    let time = time.strip_prefix("t=").expect("t=<time>");
    let age = now().abs_diff(time.parse().expect("seconds"));
    assert!(age < 60, "signed {age} s from now");
    let text = [time.as_bytes(), b",", PAYLOAD].concat();
    assert_eq!(signature, hex::encode(hmac_sha256(SECRET.as_bytes(), &text)));
}

#[test]
fn an_advanced_signature_has_a_part_for_every_version() {
    let config = json!({"signature": {"versions": [
        {"hash": "SHA256", "encoding": "hex"}, {"hash": "SHA512", "encoding": "base64"},
    ]}});
    let (received, _) = deliver(config, json!({"secret": SECRET}), PAYLOAD);
    let signature = received.header("X-Convoy-Signature").expect("a signature");
    let time = signature.trim_start_matches("t=").split(',').next().expect("a time");
    let text = [time.as_bytes(), b",", PAYLOAD].concat();
    let expected = format!(
        "t={time},v1={},v2={}",
        hex::encode(hmac_sha256(SECRET.as_bytes(), &text)),
        base64(&hmac_sha512(SECRET.as_bytes(), &text)),
    );
    assert_eq!(signature, expected);
}

#[test]
fn the_bytes_that_are_sent_are_those_that_are_signed() {
    let body = b"{\"b\": {},  \"e\": \"123\",\r\n \"a\": 1 }";
    let fields = json!({"secret": SECRET, "advanced_signatures": false});
    let (received, _) = deliver(json!({}), fields, body);
    assert_eq!(received.body, body);
    let expected = hex::encode(hmac_sha256(SECRET.as_bytes(), &received.body));
    assert_eq!(received.header("X-Convoy-Signature"), Some(expected.as_str()));
}

#[test]
fn the_header_of_the_signature_can_be_named() {
    let config = json!({"signature": {"header": "X-Shop-Signature"}});
    let fields = json!({"secret": SECRET, "advanced_signatures": false});
    let (received, _) = deliver(config, fields, PAYLOAD);
    assert!(received.header("X-Shop-Signature").is_some());
    assert!(received.header("X-Convoy-Signature").is_none());
}

/// Checks `webhook-id`, `webhook-timestamp` and `webhook-signature` as a receiver does.
#[track_caller]
fn check_standard(received: &Received, key: &[u8]) {
    let header = |name: &str| received.header(name).unwrap_or_else(|| panic!("{name} is missing"));
    let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
    assert!(now().abs_diff(time.parse().expect("seconds")) < 60);
    let text = [id.as_bytes(), b".", time.as_bytes(), b".", &received.body].concat();
    let expected = format!("v1,{}", base64(&hmac_sha256(key, &text)));
    let given = header("webhook-signature");
    assert!(given.split(' ').any(|part| part == expected), "{given} lacks {expected}");
}

#[test]
fn every_delivery_is_signed_as_standard_webhooks() {
    let (received, endpoint) = deliver(json!({}), json!({}), PAYLOAD);
    let secret = endpoint["secrets"][0]["value"].as_str().expect("a secret");
    let key = unbase64(secret.strip_prefix("whsec_").expect("the form of the standard"));
    assert_eq!(key.len(), 32);
    check_standard(&received, &key);

    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (received, _) = deliver(json!({}), json!({"secret": secret}), b"\xff\x00 not text");
    check_standard(&received, &unbase64("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));

    // A secret in a form of its own is used as it is.
    let (received, _) = deliver(json!({}), json!({"secret": SECRET}), PAYLOAD);
    check_standard(&received, SECRET.as_bytes());
}

#[test]
fn a_sender_cannot_forge_the_signature_of_a_delivery() {
    let endpoint = Endpoint::ok();
    let project = gateway().project();
    let source = project.open_source();
    project.route_with(&source, &endpoint, json!({"secret": SECRET, "advanced_signatures": false}));
    let call = project.ingest_call(&source).headers(&[
        ("X-Convoy-Signature", "forged"),
        ("webhook-id", "forged"),
        ("webhook-timestamp", "1"),
        ("webhook-signature", "v1,forged"),
    ]);
    call.body(PAYLOAD).send().expect(200);
    let received = endpoint.wait_for_one();
    for name in ["X-Convoy-Signature", "webhook-id", "webhook-timestamp", "webhook-signature"] {
        let values: Vec<_> =
            received.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).collect();
        assert_eq!(values.len(), 1, "{values:?}");
        assert!(!values[0].1.contains("forged") && values[0].1 != "1", "{values:?}");
    }
    check_standard(&received, SECRET.as_bytes());
}
