//! What others wrote in Python: schemathesis and Convoy's own SDK, against a running gateway; and the schema of docker-compose.yml.

use std::io::Write;
use std::process::{Command, Output};

use inlet_tests::{Answer, Endpoint, Gateway, hmac_sha256, repository};

use serde_json::{Value, json};

/// The status of a script that could not run here.
const NOT_HERE: i32 = 77;

/// Runs a script of the repository. `None`: it cannot run here, which is said loudly, and is a failure in CI.
fn run(script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Option<Output> {
    let output = Command::new(repository().join(script))
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(repository())
        .output()
        .expect("bash is installed");
    if output.status.code() != Some(NOT_HERE) {
        return Some(output);
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    assert!(std::env::var_os("CI").is_none(), "{script} has to run in CI: {why}");
    // Past the test harness, which keeps to itself what a test that passes prints.
    writeln!(std::io::stdout(), "SKIPPED {script} {}: {why}", arguments.join(" ")).ok();
    None
}

#[track_caller]
fn check(output: &Output) {
    let (out, err) = (&output.stdout, &output.stderr);
    let text = format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    let tail = text.char_indices().rev().nth(40_000).map_or(0, |(at, _)| at);
    assert!(output.status.success(), "{}:\n{}", output.status, &text[tail..]);
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[test]
fn the_gateway_keeps_to_its_document_whatever_is_thrown_at_it() {
    let gateway = Gateway::builder().durability("queue").closed().start();
    let sink = Endpoint::ok();
    let project = gateway.project();
    let source = project.open_source();
    let endpoint = project.route(&source, &sink);
    let subscription = project.list("/subscriptions").swap_remove(0);
    let event = text(&project.ingest(&source, b"{}").expect(200).json()["event_id"]);
    let delivery = project.wait_for_delivery(&event, "Success");
    let attempt = project.attempts(&text(&delivery["uid"])).swap_remove(0);
    let made = |path: &str, body: Value| text(&project.post(path, &body).expect(201).data()["uid"]);
    let ids = json!({
        "projectID": project.uid, "sourceID": source["uid"], "maskID": source["mask_id"],
        "endpointID": endpoint["uid"], "subscriptionID": subscription["uid"], "eventID": event,
        "deliveryID": delivery["uid"], "attemptID": attempt["uid"], "provider": "github",
        "eventTypeID": made("/event-types", json!({"name": "invoice.sent"})),
        "portalLinkID": made("/portal-links", json!({"name": "a", "owner_id": "o"})),
    });
    let variables = [
        ("INLET_URL", gateway.url()),
        ("INLET_KEY", &project.key),
        ("INLET_IDS", &ids.to_string()),
    ];
    if let Some(output) = run("scripts/schemathesis.sh", &[], &variables) {
        check(&output);
    }
    // It is as well as before.
    gateway.get("/healthz").expect(200);
}

#[test]
fn docker_compose_fits_its_schema_and_what_the_tests_of_brokers_read() {
    if let Some(output) = run("scripts/compose.sh", &[], &[]) {
        check(&output);
    }
}

#[test]
fn the_sdk_of_convoy_creates_pushes_finds_and_sends_again() {
    let gateway = crate::gateway();
    let receiver = Endpoint::answering(&[Answer::status(410), Answer::ok()]);
    let project = gateway.project();
    let variables = [
        ("INLET_URL", &*format!("{}/api/v1/projects/{}", gateway.url(), project.uid)),
        ("INLET_KEY", &project.key),
        ("RECEIVER", &receiver.url("/hooks")),
    ];
    let Some(output) = run("scripts/python.sh", &["python", "tests/python/sdk.py"], &variables)
    else {
        return;
    };
    check(&output);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let calls = receiver.wait_for(2);
    for call in &calls {
        assert_eq!(
            call.text(),
            r#"{"event": "payment.success", "data": {"status": "Completed"}}"#,
            "byte for byte as the SDK wrote it"
        );
    }
    // The SDK's own check takes the first signature of an advanced header.
    let signature = calls[1].header("x-convoy-signature").expect("a signature");
    let (time, signature) = signature.split_once(",v1=").expect("an advanced signature");
    let time = time.strip_prefix("t=").expect("a time");
    let signed = format!("{time},{}", calls[1].text());
    let expect = hmac_sha256(b"a-secret-of-the-sdk", signed.as_bytes());
    assert_eq!(signature, hex::encode(expect));
    project.wait_for_delivery(told["event"].as_str().expect("an id"), "Success");
}
