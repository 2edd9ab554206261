//! What an operator relies on: a log that holds nothing of anybody's, and a health that tells what is wrong.

use inlet_tests::{Answer, Endpoint, Gateway, ROOT_KEY, poll_until};
use serde_json::{Value, json};

fn message(gateway: &Gateway) -> (u16, String) {
    let reply = gateway.get("/healthz");
    (reply.status, reply.message())
}

/// Lines of the log that hold all of these.
fn lines(gateway: &Gateway, texts: &[&str]) -> usize {
    let log = gateway.log();
    log.iter().filter(|line| texts.iter().all(|text| line.contains(text))).count()
}

#[test]
fn nothing_of_what_senders_functions_and_servers_say_gets_into_the_log() {
    let builder = Gateway::builder().durability("journal").var("LOG_LEVEL", "debug");
    let gateway = builder.start();
    let config = json!({
        "strategy": {"type": "linear", "duration": 1, "retry_count": 1}, "disable_endpoint": true,
        "circuit_breaker": {"minimum_request_count": 1, "failure_threshold": 1, "consecutive_failure_threshold": 1},
    });
    let project = gateway.project_with(config);
    let body = br#"{"password":"LEAKbody"}"#;
    let send = |source: &Value| {
        let call = project.ingest_call(source).header("Content-Type", "application/json");
        call.header("X-Custom", "LEAKheader").header("Content-Encoding", "LEAKencoding").body(body)
    };

    let thrown = "function transform(x) { throw new Error('LEAKfunction ' + JSON.stringify(x)) }";
    let server = Endpoint::ok();
    let source = project.open_source();
    let endpoint = project.endpoint(json!({"name": "a", "url": server.url("/hook")}));
    project.subscription(json!({"name": "throws", "source_id": source["uid"],
        "endpoint_id": endpoint["uid"], "function": thrown}));
    send(&source).send().expect(200);

    let issuer = Endpoint::responding(|asked| {
        Answer::status(400).body(format!("LEAKtoken {}", asked.text()))
    });
    let source = project.open_source_with(json!({"name": "oauth"}));
    let oauth2 = json!({"url": issuer.url("/token"), "client_id": "c", "client_secret": "LEAKsecret",
        "grant_type": "client_credentials"});
    let authentication = json!({"type": "oauth2", "oauth2": oauth2});
    project.route_with(&source, &server, json!({"authentication": authentication}));
    send(&source).send().expect(200);

    let source = project.open_source_with(json!({"name": "unreachable"}));
    let gone = Endpoint::answering(&[Answer::hang_up().body("LEAKanswer")]);
    project.route_with(&source, &gone, json!({"url": gone.url("/LEAKurl")}));
    send(&source).send().expect(200);

    let source = project.open_source_with(json!({"name": "made", "body_function": thrown}));
    send(&source).send().expect(200);

    let schema = json!({"type": "object", "additionalProperties": false});
    let source = project.open_source_with(json!({"name": "schema", "json_schema": schema}));
    let refused = project.ingest(&source, br#"{"LEAKproperty":1}"#).expect(422);
    assert!(refused.text().contains("LEAKproperty"), "its sender reads it");

    let source = project.github_source("LEAKkey of the source");
    send(&source).header("X-Hub-Signature-256", "LEAKsignature").send().expect(401);
    gateway.sql(
        "EVENTS_0",
        "INSERT INTO journal_0 (meta, body, is_base64) VALUES ('{\"p\":{\"LEAKmeta\":1}}', 'LEAKrow', 0)",
        &[],
    );

    for expect in [
        ["attempt_failed", "function_failed"],
        ["attempt_failed", "no_token"],
        ["attempt_failed", "no_answer"],
        ["rejected", "\"schema\""],
        ["rejected", "malformed"],
        ["diagnosis", "findings"],
        ["dead_letter", "unreadable"],
        ["dead_letter", "Failure"],
        ["breaker", "open"],
        ["endpoint_disabled", "endpoint_id"],
    ] {
        poll_until(&format!("{expect:?}"), || {
            gateway.cron();
            (0 < lines(&gateway, &expect)).then_some(())
        });
    }
    let log = gateway.log();
    let leaks: Vec<&String> = log.iter().filter(|line| line.contains("LEAK")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    let attempts = project.list("/eventdeliveries?status=Failure");
    let said = attempts.iter().any(|delivery| {
        let attempts = project.attempts(delivery["uid"].as_str().unwrap_or_default());
        attempts.iter().any(|attempt| attempt.to_string().contains("LEAKfunction"))
    });
    assert!(said, "its owner reads what the function said");
}

#[test]
fn a_variable_that_is_not_understood_is_told_and_loses_nothing() {
    let builder = Gateway::builder().durability("Jornal").var("LOG_LEVEL", "debug");
    let builder = builder.var("RETRY_SECONDS", "soon").var("PUBLIC_URL", "hooks.example.com");
    let mut gateway = builder.start();
    let (status, text) = message(&gateway);
    assert_eq!(status, 503);
    for expect in [
        "DURABILITY has to be queue or journal",
        "RETRY_SECONDS has to be a whole number",
        "PUBLIC_URL has to be",
    ] {
        assert!(text.contains(expect), "{text}");
    }
    let project = gateway.project();
    let (uid, key, source) = (project.uid.clone(), project.key.clone(), project.open_source());
    let shown = source["url"].as_str().expect("a url");
    assert!(shown.starts_with(gateway.url()), "{shown}");
    let event = project.ingest(&source, b"{}").expect(200).json()["event_id"].clone();
    assert_eq!(message(&gateway).0, 503);
    assert_eq!(lines(&gateway, &["not_configured", "DURABILITY has to be"]), 1, "told once");

    // What was accepted is in the journal, not in a queue in memory.
    gateway.restart_with(|builder| {
        builder.durability("JOURNAL").without_var("RETRY_SECONDS").var("PUBLIC_URL", "")
    });
    assert_eq!(message(&gateway).0, 200);
    let path = format!("/api/v1/projects/{uid}/events/{}", event.as_str().expect("an id"));
    poll_until("the event", || {
        gateway.cron();
        (gateway.call("GET", &path).bearer(&key).send().status == 200).then_some(())
    });
}

#[test]
fn another_encryption_key_is_seen_and_what_is_nobodys_is_counted() {
    let mut gateway = Gateway::builder().durability("journal").start();
    let project = gateway.project();
    project.endpoint(json!({"name": "a", "url": "http://127.0.0.1:9/hook"}));
    project.github_source("It's a Secret to Everybody");
    let key = project.key.clone();
    gateway.sql(
        "EVENTS_0",
        "INSERT INTO journal_0 (meta, body, is_base64) VALUES ('damaged', '', 0)",
        &[],
    );
    let scrape = |gateway: &Gateway, key: &str| {
        gateway.call("GET", "/metrics").bearer(key).send().expect(200).text()
    };
    let nobodys = "inlet_dead_letters{project=\"\",kind=\"unreadable\"} 1";
    poll_until("a dead letter of nobody", || {
        gateway.cron();
        scrape(&gateway, ROOT_KEY).contains(nobodys).then_some(())
    });
    assert!(!scrape(&gateway, &key).contains("project=\"\""));
    assert_eq!(message(&gateway).0, 200);
    assert!(scrape(&gateway, ROOT_KEY).contains("inlet_encryption_key_fits{} 1"));
    let head = gateway.call("HEAD", "/healthz/events").send();
    assert_eq!((head.status, head.text()), (200, String::new()));

    let other = "/wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    gateway.restart_with(|builder| builder.var("ENCRYPTION_KEY", other));
    let (status, text) = message(&gateway);
    assert_eq!(status, 503);
    assert!(text.contains("does not open with this ENCRYPTION_KEY"), "{text}");
    assert!(scrape(&gateway, ROOT_KEY).contains("inlet_encryption_key_fits{} 0"));
    gateway.get("/healthz").expect(503);
    assert_eq!(lines(&gateway, &["encryption_key_does_not_fit"]), 1, "told once a minute at most");
}

#[test]
fn whoever_is_refused_because_of_us_is_told_when_to_try_again() {
    let gateway = Gateway::builder().durability("journal").tapped().start();
    let project = gateway.project();
    let source = project.open_source();
    let mask = source["mask_id"].as_str().expect("a mask");
    gateway.refuse("CONFIG", Some(mask));
    let path = format!("/sources/{}", source["uid"].as_str().expect("a uid"));
    let refused = project.delete(&path).expect(503);
    assert_eq!(refused.header("retry-after"), Some("10"));
    gateway.allow("CONFIG");
    project.delete(&path).expect(200);
}

/// An invocation may ask a database only so much.
#[test]
fn of_many_projects_some_are_rid_of_what_is_old_and_the_others_come_next() {
    let gateway = Gateway::builder().durability("journal").start();
    let one = || gateway.project_with(json!({"retention_policy": {"days": 1}})).uid.clone();
    let projects: Vec<String> = (0..55).map(|_| one()).collect();
    let insert = "INSERT INTO duplicates (project_id, id, event_id, received_at) \
        SELECT value, '01DXF6DT000000000000000009', 'e', 1 FROM json_each(?1)";
    gateway.sql("EVENTS_0", insert, &[json!(json!(projects).to_string())]);
    let left = || gateway.sql("EVENTS_0", "SELECT project_id FROM duplicates", &[]).len();
    gateway.cron();
    assert_eq!(left(), 5);
    gateway.cron();
    assert_eq!(left(), 0);
}
