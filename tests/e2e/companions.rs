//! Companions: their keys, what they say of themselves, and when they are asked to wait.

use inlet_tests::{BrokerMessage, Endpoint, Gateway, poll_until};
use serde_json::{Value, json};

use crate::broker_sources::{kafka, single, status_of, uid};
use crate::gateway;

#[test]
fn a_key_opens_its_own_project_until_it_is_deleted() {
    let (project, other) = (gateway().project(), gateway().project());
    let companion = project.companion();
    assert!(companion.key.starts_with("CK."));
    let foreign = other.source(kafka());
    companion.batch(uid(&foreign), &[BrokerMessage::new("a", "{}")]).expect(404);
    assert_eq!(companion.call("GET", "/sources").send().expect(200).json()["sources"], json!([]));
    // It is no key of the API, and a key of the API is none of a companion.
    gateway().call("GET", "/api/v1/projects").bearer(&companion.key).send().expect(401);
    gateway().call("GET", "/consumer/v1/sources").bearer(&project.key).send().expect(401);
    gateway().call("GET", "/consumer/v1/sources").send().expect(401);

    let listed = project.get("/consumer-keys").expect(200);
    assert!(!listed.text().contains(&companion.key));
    assert_eq!(listed.data()[0]["uid"], json!(companion.key_id));
    poll_until("the key's last use", || {
        project.get("/consumer-keys").data()[0]["last_used_at"].as_str().map(ToOwned::to_owned)
    });
    let path = format!("/consumer-keys/{}", companion.key_id);
    other.delete(&path).expect(404);
    project.delete(&path).expect(200);
    companion.call("GET", "/sources").send().expect(401);
    companion.batch(uid(&foreign), &[BrokerMessage::new("a", "{}")]).expect(401);
    project.post("/consumer-keys", &json!({})).expect(400);
}

#[test]
fn a_disabled_source_takes_nothing() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let mut body = kafka();
    body["is_disabled"] = json!(true);
    project.put(&format!("/sources/{}", uid(&source)), &body).expect(202);
    let messages = [BrokerMessage::new("a", "not JSON")];
    companion.batch(uid(&source), &messages).expect(409);
    project.delete(&format!("/sources/{}", uid(&source))).expect(200);
    companion.batch(uid(&source), &messages).expect(404);
    let http = project.open_source();
    companion.batch(uid(&http), &messages).expect(404);
    // Nor can anybody post to it.
    let source = project.source(kafka());
    project.ingest(&source, b"{}").expect(400);
}

#[test]
fn what_companions_say_is_shown_on_the_source() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let path = format!("/sources/{}", uid(&source));
    let status = || project.get(&path).expect(200).data()["pub_sub_status"].clone();
    assert_eq!(status()["state"], "unattended");
    let report = |name: &str, state: &str, lag: Value, error: Value| {
        let body = json!({"companion": name, "version": "0.1.0", "sources": [{"source_id": source["uid"],
            "version": "v", "state": state, "lag": lag, "error": error, "received": 5, "accepted": 3,
            "duplicates": 1, "dead_letters": 1, "last_message_at": 1_764_190_000_000_u64},
            {"source_id": "of nobody", "state": "connected"}]});
        companion.call("POST", "/status").json(&body).send()
    };
    assert!(report("a", "connected", json!(7), Value::Null).expect(204).body.is_empty());
    assert_eq!((&status()["state"], &status()["lag"]), (&json!("connected"), &json!(7)));
    let error = json!({"message": "no route to host", "at": 1_764_190_000_000_u64});
    report("b", "failing", Value::Null, error).expect(204);
    let shown = status();
    assert_eq!(
        (&shown["state"], &shown["lag"]),
        (&json!("connected"), &json!(7)),
        "the best counts"
    );
    assert_eq!(shown["error"]["message"], "no route to host");
    assert_eq!(shown["companions"].as_array().unwrap().len(), 2);
    assert_eq!(shown["companions"][0]["received"], 5);
    report("b", "connected", json!(5), Value::Null).expect(204);
    assert_eq!(status()["lag"], 12, "of Kafka each tells of its own partitions");
    report("a", "stopped", json!(7), Value::Null).expect(204);
    let shown = status();
    assert_eq!((&shown["state"], &shown["lag"]), (&json!("connected"), &json!(5)));
    assert_eq!(shown["companions"].as_array().unwrap().len(), 2);
    report("a", "asleep", Value::Null, Value::Null).expect(400);
    // A report that was under way while a later one came changes nothing.
    let later = "UPDATE consumer_reports SET seen_at = seen_at + 5000 WHERE source_id = ?1";
    gateway().sql("DB", later, &[source["uid"].clone()]);
    let shown = status();
    report("b", "failing", json!(1), Value::Null).expect(204);
    assert_eq!(status(), shown);
    let now = "UPDATE consumer_reports SET seen_at = seen_at - 5000 WHERE source_id = ?1";
    gateway().sql("DB", now, &[source["uid"].clone()]);
    // A companion that says nothing for a minute is gone.
    let sql = "UPDATE consumer_reports SET seen_at = seen_at - 61000 WHERE source_id = ?1";
    gateway().sql("DB", sql, &[source["uid"].clone()]);
    assert_eq!(status()["state"], "unattended");
    assert_eq!(
        project.get("/sources").expect(200).data()["content"][0]["pub_sub"]["type"],
        "kafka"
    );
}

#[test]
fn a_source_whose_secret_cannot_be_opened_fails_alone() {
    let project = gateway().project();
    let companion = project.companion();
    let (good, bad) = (project.source(kafka()), project.source(kafka()));
    let damage = "UPDATE sources SET doc = replace(doc, '\"ciphertext\":\"', '\"ciphertext\":\"AAAA') WHERE id = ?1";
    gateway().sql("DB", damage, &[bad["uid"].clone()]);
    let told = companion.call("GET", "/sources").send().expect(200).json();
    let find = |source: &Value| {
        let mut told = told["sources"].as_array().unwrap().iter();
        told.find(|one| one["uid"] == source["uid"]).unwrap().clone()
    };
    assert_eq!(find(&good)["kafka"]["auth"]["password"], "a long password");
    assert_eq!(find(&bad)["kafka"], Value::Null);
    assert!(find(&bad)["error"].as_str().unwrap().contains("ENCRYPTION_KEY"), "{told}");
}

#[test]
fn a_batch_is_durable_by_the_other_way_when_one_is_refused_and_not_taken_when_both_are() {
    for (mode, first, second) in
        [("journal", "EVENTS_0", "INGEST_0"), ("queue", "INGEST_0", "EVENTS_0")]
    {
        let builder = Gateway::builder().durability(mode).var("LOCAL_QUEUE", "false");
        let gateway = builder.tapped().start();
        let project = gateway.project();
        let companion = project.companion();
        let source = project.source(kafka());
        let server = Endpoint::ok();
        let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
        let messages = |name: &str| -> Vec<BrokerMessage> {
            (0..250)
                .map(|n| BrokerMessage::new(&format!("{name}-{n}"), single(&endpoint, "1")))
                .collect()
        };
        let matching = |binding: &str| (binding == "EVENTS_0").then_some("INSERT INTO journal");
        gateway.refuse(first, matching(first));
        let verdicts = companion.verdicts(uid(&source), &messages("one-way"));
        assert!(verdicts.iter().all(|verdict| status_of(verdict) == "accepted"), "{mode}");
        gateway.refuse(second, matching(second));
        let refused = companion.batch(uid(&source), &messages("no-way")).expect(503);
        assert!(refused.header("retry-after").is_some());
        gateway.allow(first);
        gateway.allow(second);
        // The bell for the journal was refused with the queue; the sweep drains it.
        gateway.cron();
        server.wait_for(250);
        assert_eq!(project.stored_events().len(), 250, "{mode}");
    }
}

#[test]
fn companions_wait_while_events_wait_to_be_routed() {
    // Nobody drains the journal.
    let gateway = Gateway::builder().durability("journal").sink("inlet-ingest-0").start();
    let project = gateway.project();
    let companion = project.companion();
    let source = project.source(kafka());
    let batch = |id: &str| {
        let message = BrokerMessage::new(id, r#"{"event_type":"t","data":1}"#);
        companion.batch(uid(&source), &[message.header("x-convoy-message-type", "broadcast")])
    };
    poll_until("a row that waits", || {
        batch("m").expect(200);
        let tables = ["journal_0", "journal_1"];
        let count = |table| gateway.sql("EVENTS_0", &format!("SELECT seq FROM {table}"), &[]).len();
        (0 < tables.into_iter().map(count).sum::<usize>()).then_some(())
    });
    for table in ["journal_0", "journal_1"] {
        let sql = format!(r#"UPDATE {table} SET meta = replace(meta, '"at":17', '"at":16')"#);
        gateway.sql("EVENTS_0", &sql, &[]);
    }
    let refused = poll_until("an answer that asks to wait", || {
        let reply = batch("n");
        (reply.status == 429).then_some(reply)
    });
    assert_eq!(refused.header("retry-after"), Some("2"));
    for table in ["journal_0", "journal_1"] {
        gateway.sql("EVENTS_0", &format!("DELETE FROM {table}"), &[]);
    }
    poll_until("the batch is taken", || (batch("o").status == 200).then_some(()));
}
