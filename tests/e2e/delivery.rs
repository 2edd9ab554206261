//! From an event to an endpoint: once when all goes well, again when it does not, and never for ever.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use inlet_gateway::deliver::EARLY_MS;
use inlet_tests::{
    Answer, DEADLINE, Endpoint, Gateway, Project, Received, poll_until, poll_until_within, uid,
};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes, time};

/// Retries at once, in tests' terms: one second apart, up to `attempts` in all.
fn impatient(attempts: u32) -> Value {
    json!({"strategy": {"type": "linear", "duration": 1, "retry_count": attempts}})
}

/// A project that sends one event to an endpoint that answers by this script.
struct Story<'g> {
    project: Project<'g>,
    endpoint: Endpoint,
    event_id: String,
}

impl Story<'static> {
    #[track_caller]
    fn new(config: Value, answers: &[Answer], fields: Value) -> Self {
        Self::on(gateway(), config, answers, fields)
    }
}

impl<'g> Story<'g> {
    #[track_caller]
    fn on(gateway: &'g Gateway, config: Value, answers: &[Answer], fields: Value) -> Self {
        let endpoint = Endpoint::answering(answers);
        let project = gateway.project_with(config);
        let source = project.open_source();
        project.route_with(&source, &endpoint, fields);
        let answer = project.ingest(&source, br#"{"n":1}"#).expect(200).json();
        let event_id = answer["event_id"].as_str().expect("an id").to_owned();
        Self { project, endpoint, event_id }
    }

    /// Waits for a final status while the platform's cron goes on ringing.
    #[track_caller]
    fn wait_for(&self, status: &str) -> Value {
        let mut last = Vec::new();
        let found = poll_until_within(DEADLINE, || {
            self.project.gateway.cron();
            last = self.project.deliveries(&self.event_id);
            last.iter().find(|delivery| delivery["status"] == status).cloned()
        });
        match found {
            Some(delivery) => delivery,
            None => panic!("the delivery did not become {status}: {last:?}"),
        }
    }

    fn attempts(&self, delivery: &Value) -> Vec<Value> {
        self.project.attempts(delivery["uid"].as_str().expect("a uid"))
    }
}

/// Nothing more arrives, even when the cron rings again: nobody is at work on the delivery, and nobody will be for a minute.
#[track_caller]
fn stays_at(story: &Story<'_>, count: usize) {
    story.project.gateway.cron();
    story.project.gateway.cron();
    let stored = story.project.stored_deliveries();
    let [delivery] = stored.as_slice() else { panic!("{stored:?}") };
    let soon = delivery["updated_at"].as_u64().map(|at| at + 60_000);
    for field in ["lease_until", "due_at", "look_at"] {
        assert!(
            delivery[field].is_null() || soon < delivery[field].as_u64(),
            "{field} of {delivery}"
        );
    }
    assert_eq!(story.endpoint.count(), count, "{:?}", story.endpoint.received());
}

#[test]
fn no_retries_are_one_attempt() {
    for (config, subscription) in [
        (impatient(0), json!({})),
        (
            impatient(5),
            json!({"retry_config": {"type": "linear", "duration": 1, "retry_count": 0}}),
        ),
    ] {
        let endpoint = Endpoint::answering(&[Answer::status(500)]);
        let project = gateway().project_with(config);
        let source = project.open_source();
        let to = project.endpoint(json!({"name": "a", "url": endpoint.url("/hook")}));
        let mut body = json!({"name": "all", "source_id": source["uid"], "endpoint_id": to["uid"]});
        if let Some(retry) = subscription.get("retry_config") {
            body["retry_config"] = retry.clone();
        }
        project.subscription(body);
        let answer = project.ingest(&source, br#"{"n":1}"#).expect(200).json();
        let event_id = answer["event_id"].as_str().expect("an id").to_owned();
        let story = Story { project, endpoint, event_id };
        let delivery = story.wait_for("Failure");
        assert_eq!(delivery["description"], "Retry limit exceeded");
        stays_at(&story, 1);
    }
}

#[test]
fn an_event_is_delivered_once_when_all_goes_well() {
    let story = Story::new(impatient(5), &[Answer::ok()], json!({}));
    let received = story.endpoint.wait_for_one();
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/hook"));
    let delivery = story.wait_for("Success");
    assert_eq!(delivery["metadata"]["num_trials"], 1);
    assert_eq!(story.attempts(&delivery).len(), 1);
    stays_at(&story, 1);
}

#[test]
fn many_events_are_delivered_once_each() {
    const EVENTS: usize = 200;
    in_both_modes(|gateway| {
        let endpoint = Endpoint::ok();
        let project = gateway.project();
        let source = project.open_source();
        project.route(&source, &endpoint);
        std::thread::scope(|scope| {
            for start in 0..4 {
                let (project, source) = (&project, &source);
                scope.spawn(move || {
                    for number in (start..EVENTS).step_by(4) {
                        project
                            .ingest(source, format!("{{\"n\":{number}}}").as_bytes())
                            .expect(200);
                    }
                });
            }
        });
        endpoint.wait_for(EVENTS);
        gateway.cron();
        poll_until("all deliveries are finished", || {
            let deliveries = project.stored_deliveries();
            let done = deliveries.iter().all(|delivery| delivery["status"] == "Success");
            (done && deliveries.len() == EVENTS).then_some(())
        });
        let mut bodies: Vec<String> = endpoint.received().iter().map(Received::text).collect();
        bodies.sort();
        bodies.dedup();
        assert_eq!((bodies.len(), endpoint.count()), (EVENTS, EVENTS));
    });
}

#[test]
fn an_error_is_tried_again_until_it_succeeds() {
    in_both_modes(|gateway| {
        let answers = [Answer::status(500).body("broken"), Answer::hang_up(), Answer::ok()];
        let story = Story::on(gateway, impatient(10), &answers, json!({}));
        let delivery = story.wait_for("Success");
        let received = story.endpoint.received();
        assert_eq!(received.len(), 3);
        assert!(received.iter().all(|one| one.text() == r#"{"n":1}"#));
        let ids: Vec<_> = received.iter().map(|one| one.header("webhook-id")).collect();
        assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(delivery["metadata"]["num_trials"], 3);
        let attempts = story.attempts(&delivery);
        assert_eq!(attempts.len(), 3);
        let status =
            |attempt: &Value| attempt["http_status"].as_str().unwrap_or_default().to_owned();
        assert!(status(&attempts[0]).starts_with("500"), "{attempts:?}");
        assert_eq!(attempts[0]["response_data"], "broken");
        assert_eq!(attempts[0]["status"], false);
        assert!(!attempts[1]["error"].as_str().unwrap_or_default().is_empty(), "{attempts:?}");
        assert!(status(&attempts[2]).starts_with("200"), "{attempts:?}");
        stays_at(&story, 3);
    });
}

#[test]
fn the_next_try_comes_as_late_as_the_strategy_or_the_endpoint_says() {
    let strategy = json!({"strategy": {"type": "linear", "duration": 600, "retry_count": 5}});
    let asks = Answer::status(503).header("Retry-After", "600");
    for (config, answer) in [(strategy, Answer::status(500)), (impatient(5), asks)] {
        let story = Story::new(config, &[answer], json!({}));
        let delivery = story.wait_for("Retry");
        let failed = story.attempts(&delivery).swap_remove(0);
        let next = time(&delivery["metadata"]["next_send_time"]);
        assert!(next >= time(&failed["responded_at"]) + 600_000, "{delivery} {failed}");
        stays_at(&story, 1);
    }
}

#[test]
fn retry_after_in_seconds_is_heeded() {
    let answers = [Answer::status(503).header("Retry-After", "4"), Answer::ok()];
    let story = Story::new(impatient(5), &answers, json!({}));
    let attempts = story.attempts(&story.wait_for("Success"));
    // A bell may ring early.
    let earliest = time(&attempts[0]["responded_at"]) + 4_000 - EARLY_MS;
    assert!(time(&attempts[1]["requested_at"]) >= earliest, "{attempts:?}");
}

#[test]
fn an_interim_answer_is_not_the_answer() {
    for (interim, answer, status) in [(103, 202, "Success"), (100, 410, "Failure")] {
        let answers = [Answer::status(answer).header("X-N", "2").interim(interim)];
        let story = Story::new(impatient(5), &answers, json!({}));
        let attempts = story.attempts(&story.wait_for(status));
        assert_eq!(attempts.len(), 1, "{attempts:?}");
        let said = attempts[0]["http_status"].as_str().unwrap_or_default();
        assert!(said.starts_with(&answer.to_string()), "{attempts:?}");
        assert_eq!(attempts[0]["response_http_header"]["x-n"], "2", "{attempts:?}");
        stays_at(&story, 1);
    }
}

#[test]
fn an_interim_answer_alone_is_tried_again_and_says_why() {
    let answers = [Answer::status(103).header("X-N", "1").body(""), Answer::ok()];
    let story = Story::new(impatient(5), &answers, json!({}));
    let attempts = story.attempts(&story.wait_for("Success"));
    let failed = attempts.iter().find(|attempt| attempt["status"] == false);
    let why = failed.and_then(|attempt| attempt["error"].as_str()).unwrap_or_default();
    assert!(why.starts_with("the endpoint said 103, which is no answer"), "{attempts:?}");
}

#[test]
fn gone_means_stop() {
    let story = Story::new(impatient(5), &[Answer::status(410)], json!({}));
    story.endpoint.wait_for_one();
    let delivery = story.wait_for("Failure");
    assert!(!delivery["description"].as_str().unwrap_or_default().is_empty(), "{delivery}");
    stays_at(&story, 1);
}

#[test]
fn after_the_last_attempt_a_delivery_has_failed_with_a_reason() {
    let story = Story::new(impatient(3), &[Answer::status(500)], json!({}));
    let delivery = story.wait_for("Failure");
    assert_eq!(story.endpoint.count(), 3);
    let reason = delivery["description"].as_str().unwrap_or_default();
    assert!(reason.to_ascii_lowercase().contains("retry limit exceeded"), "{reason}");
    assert_eq!(delivery["metadata"]["num_trials"], 3);
    assert_eq!(delivery["metadata"]["retry_limit"], 3);
    stays_at(&story, 3);
}

#[test]
fn at_most_once_does_not_repeat_what_was_answered() {
    let endpoint = Endpoint::answering(&[Answer::status(500)]);
    let project = gateway().project_with(impatient(5));
    let source = project.open_source();
    let created = project.endpoint(json!({"name": "a", "url": endpoint.url("/")}));
    project.subscription(
        json!({"name": "s", "source_id": source["uid"], "endpoint_id": created["uid"],
        "delivery_mode": "at_most_once"}),
    );
    let answer = project.ingest(&source, b"{}").expect(200).json();
    let event_id = answer["event_id"].as_str().expect("an id").to_owned();
    let story = Story { project, endpoint, event_id };
    story.wait_for("Failure");
    stays_at(&story, 1);
}

#[test]
fn a_redirect_is_not_followed() {
    let target = Endpoint::ok();
    let story = Story::new(impatient(1), &[Answer::redirect(&target.url("/elsewhere"))], json!({}));
    let delivery = story.wait_for("Failure");
    assert_eq!(target.count(), 0);
    let attempts = story.attempts(&delivery);
    assert!(
        attempts[0]["http_status"].as_str().unwrap_or_default().starts_with("307"),
        "{attempts:?}"
    );
}

#[test]
fn an_endpoint_that_does_not_answer_in_time_is_tried_again() {
    let answers = [Answer::ok().after(Duration::from_secs(30)), Answer::ok()];
    let story = Story::new(impatient(5), &answers, json!({"http_timeout": 1}));
    let delivery = story.wait_for("Success");
    let attempts = story.attempts(&delivery);
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_eq!(attempts[0]["error"], "no answer within 1 s", "{attempts:?}");
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_an_attempt_with_an_error() {
    let gone = Endpoint::ok();
    let url = gone.url("/");
    drop(gone);
    let project = gateway().project_with(impatient(2));
    let source = project.open_source();
    let created = project.endpoint(json!({"name": "gone", "url": url}));
    project.subscription(
        json!({"name": "s", "source_id": source["uid"], "endpoint_id": created["uid"]}),
    );
    let answer = project.ingest(&source, b"{}").expect(200).json();
    let event_id = answer["event_id"].as_str().expect("an id").to_owned();
    let story = Story { project, endpoint: Endpoint::ok(), event_id };
    let delivery = story.wait_for("Failure");
    let attempts = story.attempts(&delivery);
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert!(!attempts[0]["error"].as_str().unwrap_or_default().is_empty(), "{attempts:?}");
}

#[test]
fn of_a_large_answer_only_the_beginning_is_kept() {
    let answer = Answer::ok().body("y".repeat(1_000_000));
    let story = Story::new(impatient(1), &[answer], json!({}));
    let delivery = story.wait_for("Success");
    let attempts = story.attempts(&delivery);
    let kept = attempts[0]["response_data"].as_str().unwrap_or_default();
    assert!(!kept.is_empty() && kept.len() <= 51_200, "{} bytes are kept", kept.len());
    assert!(kept.bytes().all(|byte| byte == b'y'));
}

#[test]
fn an_answer_that_is_no_text_does_not_hurt() {
    let answer = Answer::ok().body(&b"\xff\xfe\x00\x01"[..]);
    let story = Story::new(impatient(1), &[answer], json!({}));
    let delivery = story.wait_for("Success");
    assert_eq!(story.attempts(&delivery).len(), 1);
}

#[test]
fn every_2xx_is_a_success() {
    for status in [204, 299] {
        let story = Story::new(impatient(1), &[Answer::status(status)], json!({}));
        story.wait_for("Success");
    }
}

#[test]
fn private_addresses_are_refused_unless_they_are_allowed() {
    let mut gateway = Gateway::builder().var("ALLOW_PRIVATE_ENDPOINTS", "false").start();
    {
        let project = gateway.project();
        for url in [
            "http://127.0.0.1:9/",
            "http://localhost/",
            "http://10.0.0.1/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://2130706433/",
            "http://[::ffff:10.0.0.1]/",
            "http://8.8.8.8:8080/hook",
        ] {
            let reply = project.post("/endpoints", &json!({"name": "a", "url": url})).expect(400);
            assert!(reply.message().contains("refused"), "{url}: {}", reply.message());
        }
        project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    }
    // An endpoint from the time when they were allowed is not called either.
    gateway.restart_with(|builder| builder.var("ALLOW_PRIVATE_ENDPOINTS", "true"));
    let endpoint = Endpoint::ok();
    let (uid, key, source) = {
        let project = gateway.project_with(impatient(1));
        let source = project.open_source();
        project.route(&source, &endpoint);
        (project.uid.clone(), project.key.clone(), source)
    };
    gateway.restart_with(|builder| builder.var("ALLOW_PRIVATE_ENDPOINTS", "false"));
    let project = Project { gateway: &gateway, uid, key };
    let answer = project.ingest(&source, b"{}").expect(200).json();
    let event_id = answer["event_id"].as_str().expect("an id").to_owned();
    let story = Story { project, endpoint, event_id };
    story.wait_for("Failure");
    assert_eq!(story.endpoint.count(), 0);
}

#[test]
fn the_delivery_of_a_deleted_endpoint_ends() {
    let story = Story::new(impatient(20), &[Answer::status(500)], json!({}));
    story.endpoint.wait_for_one();
    let endpoint_id =
        story.project.list("/endpoints")[0]["uid"].as_str().expect("a uid").to_owned();
    story.project.delete(&format!("/endpoints/{endpoint_id}")).expect(200);
    poll_until("the delivery ends", || {
        story.project.gateway.cron();
        let deliveries = story.project.deliveries(&story.event_id);
        deliveries.first().is_some_and(|one| one["status"] == "Discarded").then_some(())
    });
    assert_eq!(story.endpoint.count(), 1);
}

#[test]
fn an_answer_of_any_size_and_kind_is_recorded_once() {
    let mut answer = Answer::ok().body(vec![1; 60_000]);
    for number in 0..30 {
        answer = answer.header(&format!("x-quotes-{number}"), &"\"".repeat(900));
    }
    let story = Story::new(impatient(3), &[answer], json!({}));
    let delivery = story.wait_for("Success");
    assert_eq!(story.attempts(&delivery).len(), 1);
    assert_eq!(story.endpoint.count(), 1);
}

#[test]
fn a_body_that_does_not_end_does_not_make_an_answer_of_200_a_failure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    // Answers, says that more is coming, and keeps the connection; the thread ends with the tests.
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((mut connection, _)) = listener.accept() {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 4096];
            let read = connection.read(&mut request);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this";
            assert!(read.is_ok() && connection.write_all(answer).is_ok());
            kept.push(connection);
        }
    });
    let project = gateway().project_with(impatient(2));
    let source = project.open_source();
    let url = format!("http://127.0.0.1:{port}/");
    let receiver = project.endpoint(json!({"name": "a", "url": url, "http_timeout": 2}));
    project.subscription(json!({
        "name": "a", "source_id": source["uid"], "endpoint_id": receiver["uid"],
    }));
    let answer = project.ingest(&source, b"{}").expect(200).json();
    let delivery =
        project.wait_for_delivery(answer["event_id"].as_str().expect("an id"), "Success");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let attempts = project.attempts(delivery["uid"].as_str().expect("a uid"));
    assert_eq!(attempts[0]["response_data"], "only this");
}

#[test]
fn at_most_once_is_one_call_even_without_an_answer() {
    let endpoint = Endpoint::answering(&[Answer::hang_up()]);
    let project = gateway().project_with(impatient(3));
    let source = project.open_source();
    let receiver = project.endpoint(json!({"name": "a", "url": endpoint.url("/")}));
    project.subscription(json!({
        "name": "a", "source_id": source["uid"], "endpoint_id": receiver["uid"],
        "delivery_mode": "at_most_once",
    }));
    let answer = project.ingest(&source, b"{}").expect(200).json();
    let delivery =
        project.wait_for_delivery(answer["event_id"].as_str().expect("an id"), "Failure");
    let reason = delivery["description"].as_str().unwrap_or_default();
    assert!(reason.starts_with("Endpoint did not answer"), "{reason}");
    assert_eq!(endpoint.count(), 1);
}

#[test]
fn an_endpoint_that_would_go_round_in_circles_is_refused() {
    let project = gateway().project();
    let source = project.open_source();
    let hookstream =
        format!("{}/v1/ingest/{}", gateway().url(), source["uid"].as_str().expect("a uid"));
    for url in [&source["url"], &json!(hookstream)] {
        let reply = project.post("/endpoints", &json!({"name": "a", "url": url})).expect(400);
        assert!(reply.message().contains("round in circles"), "{}", reply.message());
    }
    // One that was stored before it was refused is changed as any other, and to no other such URL.
    let id = uid(&project.endpoint(json!({"name": "a", "url": "https://example.com/"})));
    let sql = "UPDATE endpoints SET doc = json_set(doc, '$.url', ?1) WHERE id = ?2";
    gateway().sql("DB", sql, &[source["url"].clone(), json!(id)]);
    let path = format!("/endpoints/{id}");
    project.put(&path, &json!({"name": "b", "url": source["url"]})).expect(202);
    project.put(&path, &json!({"url": hookstream})).expect(400);
}
