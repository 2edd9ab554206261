//! Broker sources, and what companions say and are told: the contract over HTTP.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use inlet_tests::{BrokerMessage, Companion, Endpoint, Gateway, framed, poll_until};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

pub(crate) fn kafka() -> Value {
    json!({"name": "orders", "type": "pub_sub", "pub_sub": {"type": "kafka", "workers": 2, "kafka": {
        "brokers": ["127.0.0.1:9092"], "topic_name": "orders",
        "auth": {"type": "scram", "hash": "SHA256", "username": "user", "password": "a long password", "tls": true},
    }}})
}

pub(crate) fn uid(value: &Value) -> &str {
    value["uid"].as_str().expect("a uid")
}

/// The one source that a companion is told of.
#[track_caller]
fn told(companion: &Companion<'_>) -> Value {
    let told = companion.call("GET", "/sources").send().expect(200).json();
    told["sources"][0].clone()
}

pub(crate) fn single(endpoint: &Value, data: &str) -> String {
    format!(r#"{{"endpoint_id":"{}","event_type":"order.paid","data":{data}}}"#, uid(endpoint))
}

pub(crate) fn status_of(verdict: &Value) -> &str {
    verdict["status"].as_str().expect("a status")
}

#[track_caller]
fn accepted(verdict: &Value) -> String {
    assert_eq!(verdict["status"], "accepted", "{verdict}");
    verdict["event_id"].as_str().expect("an event id").to_owned()
}

#[test]
fn both_spellings_of_each_broker_are_told_in_one() {
    let project = gateway().project();
    let companion = project.companion();
    let account = r#"{"client_email":"a@b","private_key":"key"}"#;
    let base64 = inlet_tests::base64(account.as_bytes());
    let bytes: Vec<u8> = account.bytes().collect();
    let amqp = |more: Value| {
        let mut config = json!({"schema": "amqps", "host": "mq.example", "queue": "orders", "vhost": "v/h",
            "auth": {"user": "u", "password": "p@ss/word"}, "deadLetterExchange": "dlx"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"type": "amqp", "workers": 1, "amqp": config})
    };
    let told_amqp = json!({"schema": "amqps", "host": "mq.example", "port": 5671, "queue": "orders", "vhost": "v/h",
        "auth": {"user": "u", "password": "p@ss/word"}, "exchange": "x", "routing_key": "k",
        "dead_letter_exchange": "dlx", "prefetch": 100});
    let google = |account: Value| {
        json!({"type": "google", "workers": 1, "google": {"project_id": "p", "subscription_id": "s",
            "service_account": account}})
    };
    let told_google = json!({"project_id": "p", "subscription_id": "s", "service_account": base64});
    for (pub_sub, expect) in [
        (
            amqp(json!({"port": "5671", "bindExchange": {"exchange": "x", "routingKey": "k"}})),
            &told_amqp,
        ),
        (amqp(json!({"bindedExchange": "x", "routingKey": "k"})), &told_amqp),
        (amqp(json!({"port": 5671, "exchange": "x", "routing_key": "k"})), &told_amqp),
        (google(json!(base64)), &told_google),
        (google(json!(bytes)), &told_google),
        (
            json!({"type": "sqs", "workers": 64, "sqs": {"queue_name": "q", "default_region": "eu-west-1",
                "access_key_id": "AKIA", "secret_key": "secret", "endpoint": "http://127.0.0.1:9324"}}),
            &json!({"queue_name": "q", "default_region": "eu-west-1", "access_key_id": "AKIA", "secret_key": "secret",
                "endpoint": "http://127.0.0.1:9324"}),
        ),
    ] {
        let broker = pub_sub["type"].as_str().unwrap().to_owned();
        let body = json!({"name": broker, "type": "pub_sub", "pub_sub": pub_sub});
        let source = project.source(body);
        let one = told(&companion);
        assert_eq!((&one["uid"], &one["type"]), (&source["uid"], &source["pub_sub"]["type"]));
        assert_eq!(&one[&broker], expect, "{pub_sub}");
        assert_eq!(one["workers"], pub_sub["workers"]);
        // What a read shows can be sent back: it changes nothing.
        let path = format!("/sources/{}", uid(&source));
        let shown = project.get(&path).expect(200).data();
        let back = json!({"name": shown["name"], "type": "pub_sub", "pub_sub": shown["pub_sub"]});
        project.put(&path, &back).expect(202);
        assert_eq!(told(&companion), one, "{shown}");
        project.delete(&path).expect(200);
    }
}

#[test]
fn secrets_are_shown_to_companions_only() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let shown = project.get(&format!("/sources/{}", uid(&source))).expect(200);
    assert!(!shown.text().contains("a long password"));
    assert_eq!(shown.data()["pub_sub"]["kafka"]["auth"]["password"], "********word");
    let one = told(&companion);
    assert_eq!(one["kafka"]["auth"]["password"], "a long password");
    assert_eq!(one["kafka"]["consumer_group_id"], format!("inlet-{}", uid(&source)));
    assert!(
        !gateway()
            .sql("DB", "SELECT doc FROM sources", &[])
            .iter()
            .any(|row| { row["doc"].as_str().unwrap_or_default().contains("a long password") })
    );

    // Another secret is another version; its mask alone for a new source is refused.
    let mut body = kafka();
    body["pub_sub"]["kafka"]["auth"]["password"] = json!("another password");
    project.put(&format!("/sources/{}", uid(&source)), &body).expect(202);
    let changed = told(&companion);
    assert_eq!(changed["kafka"]["auth"]["password"], "another password");
    assert_ne!(changed["version"], one["version"]);
    body["pub_sub"]["kafka"]["auth"]["password"] = json!("********word");
    let refused = project.post("/sources", &body).expect(400).message();
    assert_eq!(refused, "password:this is the mask of a secret; send the secret itself");
}

#[test]
fn what_cannot_be_read_from_is_refused_in_words() {
    let project = gateway().project();
    let of = |pub_sub: Value| json!({"name": "b", "type": "pub_sub", "pub_sub": pub_sub});
    let kafka = |config: Value| of(json!({"type": "kafka", "workers": 1, "kafka": config}));
    let amqp = |config: Value| of(json!({"type": "amqp", "workers": 1, "amqp": config}));
    let google = |config: Value| of(json!({"type": "google", "workers": 1, "google": config}));
    let none =
        "pub_sub:non zero value required, type:type is required, workers:non zero value required";
    let mut verified = self::kafka();
    verified["verifier"] =
        json!({"type": "api_key", "api_key": {"header_name": "a", "header_value": "b"}});
    for (body, message) in [
        (json!({"name": "b", "type": "pub_sub"}), none),
        (of(json!({})), none),
        (of(json!({"type": "nats", "workers": 1})), "type:unsupported pub sub type"),
        (of(json!({"type": "kafka", "workers": 0})), "workers:non zero value required"),
        (of(json!({"type": "kafka", "workers": 65})), "workers:from 1 to 64"),
        (of(json!({"type": "kafka", "workers": 1})), "kafka config is required"),
        (of(json!({"type": "google", "workers": 1})), "google pub sub config is required"),
        (kafka(json!({})), "brokers:brokers list is required, topic_name:topic name is required"),
        (
            kafka(json!({"brokers": ["http://a"], "topic_name": "t"})),
            "brokers:http://a is not host:port",
        ),
        (
            kafka(json!({"brokers": ["a:1"], "topic_name": "t", "auth": {}})),
            "auth type:  is not supported",
        ),
        (
            kafka(
                json!({"brokers": ["a:1"], "topic_name": "t", "auth": {"type": "oauth", "username": "u", "password": "p"}}),
            ),
            "type:unsupported auth type",
        ),
        (
            kafka(
                json!({"brokers": ["a:1"], "topic_name": "t", "auth": {"type": "scram", "hash": "MD5", "username": "u"}}),
            ),
            "hash:unsupported hashing algorithm, password:non zero value required",
        ),
        (
            kafka(
                json!({"brokers": ["a:1"], "topic_name": "t", "tls": {"client_key": "-----BEGIN PRIVATE KEY-----"}}),
            ),
            "client_cert:is needed with a client_key",
        ),
        (
            google(json!({})),
            "project_id:project id is required, subscription_id:subscription id is required",
        ),
        (amqp(json!({})), "host:non zero value required, queue:non zero value required"),
        (
            kafka(json!({"brokers": ["a:1"], "topic_name": "orders\u{0}"})),
            "topic_name:a topic has up to 249 letters, digits, dots, underscores and hyphens",
        ),
        (amqp(json!({"host": "h", "queue": "ö".repeat(128)})), "queue:at most 255 bytes"),
        (
            amqp(json!({"host": "h", "queue": "q", "exchange": "ö".repeat(128)})),
            "exchange:at most 255 bytes",
        ),
        (amqp(json!({"host": "h", "queue": "q", "port": "x"})), "port:from 1 to 65535"),
        (amqp(json!({"host": "h", "queue": "q", "prefetch": 1001})), "prefetch:from 1 to 1000"),
        (
            json!({"name": "b", "type": "http", "pub_sub": {"type": "kafka", "workers": 1}}),
            "pub_sub:is for sources of the type pub_sub",
        ),
        (
            verified,
            "verifier has no effect on a pub_sub source: who may write to the broker is the broker's to say",
        ),
    ] {
        let reply = project.post("/sources", &body).expect(400);
        assert_eq!(reply.message(), message, "{body}");
    }
}

#[test]
fn a_list_that_did_not_change_is_not_sent_again() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let first = companion.call("GET", "/sources").send().expect(200);
    let etag = first.header("etag").expect("an ETag").to_owned();
    let again = || companion.call("GET", "/sources").header("If-None-Match", etag.as_str()).send();
    assert!(again().expect(304).body.is_empty());
    let mut body = kafka();
    body["is_disabled"] = json!(true);
    project.put(&format!("/sources/{}", uid(&source)), &body).expect(202);
    let changed = again().expect(200).json();
    assert_eq!(changed["sources"][0]["is_disabled"], true);
    assert_eq!(changed["max_message_bytes"], 5_242_880);
    assert_eq!(changed["project_id"], json!(project.uid));
}

#[test]
fn every_kind_of_message_becomes_its_event() {
    in_both_modes(|gateway| {
        let project = gateway.project();
        let companion = project.companion();
        let source = project.source(kafka());
        let [one, fan, dynamic] = [(); 3].map(|()| Endpoint::ok());
        let endpoint = project.endpoint(json!({"name": "e", "url": one.url("/hook")}));
        project.endpoint(json!({"name": "f", "url": fan.url("/hook"), "owner_id": "owner"}));
        let all = project.endpoint(json!({"name": "a", "url": one.url("/all")}));
        project.subscription(
            json!({"name": "all", "endpoint_id": all["uid"], "source_id": source["uid"],
            "filter_config": {"event_types": ["news"]}}),
        );
        let data = r#"{ "z": 1.10, "a": 12345678901234567890123 }"#;
        let message = |n: u32, kind: &str, payload: String| {
            BrokerMessage::new(&format!("orders-0-{n}"), payload)
                .header("X-Convoy-Message-Type", kind)
                .header("X-Trace", "one")
                .header("Authorization", "Bearer secret")
        };
        let messages = [
            message(1, "single", single(&endpoint, data)),
            message(2, "fanout", r#"{"owner_id":"owner","event_type":"t","data":2}"#.into()),
            message(3, "broadcast", r#"{"event_type":"news","data":3}"#.into()),
            message(
                4,
                "dynamic",
                format!(r#"{{"url":"{}","event_type":"t","data":4}}"#, dynamic.url("/d")),
            ),
            BrokerMessage::new("orders-0-5", single(&endpoint, "5"))
                .with("key", json!("customer"))
                .with("at", json!(1_764_190_000_000_u64)),
        ];
        let verdicts = companion.verdicts(uid(&source), &messages);
        let events: Vec<String> = verdicts.iter().map(accepted).collect();
        for event in &events {
            project.wait_for_delivery(event, "Success");
        }
        let delivered = one.received();
        let whole = delivered.iter().find(|one| one.text() == data).expect("the bytes of data");
        assert_eq!(whole.header("x-broker-message-id"), Some("orders-0-1"));
        assert_eq!(whole.header("x-trace"), Some("one"));
        assert_eq!(whole.header("authorization"), None);
        let five = delivered.iter().find(|one| one.text() == "5").unwrap();
        assert_eq!(five.header("x-broker-message-key"), Some("customer"));
        assert_eq!((fan.count(), dynamic.count()), (1, 1));
        assert_eq!(delivered.iter().filter(|one| one.path == "/all").count(), 1);

        let found = project.list("/events?brokerMessageId=orders-0-1");
        assert_eq!((found.len(), uid(&found[0])), (1, events[0].as_str()));
        assert_eq!(found[0]["source_id"], source["uid"]);
        let found = project.list("/eventdeliveries?brokerMessageId=orders-0-2");
        assert_eq!(found.len(), 1);

        // The broker hands a message out again: no second event, and the first one's id.
        let again = companion.verdicts(uid(&source), &messages[..1]);
        assert_eq!(again[0], json!({"status": "duplicate", "event_id": events[0]}));
    });
}

#[test]
fn what_stands_behind_a_message_that_cannot_be_stored_comes_again_behind_it() {
    for mode in ["queue", "journal"] {
        let gateway = Gateway::builder().durability(mode).tapped().start();
        let project = gateway.project();
        let (companion, source, server) =
            (project.companion(), project.source(kafka()), Endpoint::ok());
        let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
        let large = format!("\"{}\"", "x".repeat(200_000));
        let messages: Vec<BrokerMessage> = (0..)
            .zip(["1", &large, "3", "4"])
            .map(|(n, data)| BrokerMessage::new(&format!("orders-0-{n}"), single(&endpoint, data)))
            .collect();
        gateway.refuse("BODIES", None);
        let verdicts = companion.verdicts(uid(&source), &messages);
        let status = |verdicts: &[Value]| -> Vec<String> {
            verdicts.iter().map(|one| one["status"].as_str().expect("a word").to_owned()).collect()
        };
        assert_eq!(status(&verdicts), ["accepted", "retry", "retry", "retry"], "{mode}");
        gateway.allow("BODIES");
        let verdicts = companion.verdicts(uid(&source), &messages[1..]);
        assert_eq!(status(&verdicts), ["accepted", "accepted", "accepted"], "{mode}");
        server.wait_for(4);
        assert_eq!(project.stored_events().len(), 4);
    }
}

#[test]
fn copies_that_come_together_make_one_event() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let server = Endpoint::ok();
    let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
    let copies = vec![BrokerMessage::new("orders-0-1", single(&endpoint, "1")); 50];
    let verdicts = companion.verdicts(uid(&source), &copies);
    for verdict in &verdicts {
        project.wait_for_event(&accepted(verdict));
    }
    assert_eq!(project.stored_events().len(), 1);
    // A message without an id is never a copy; one of another source neither.
    let mut nameless = BrokerMessage::new("", single(&endpoint, "2"));
    nameless.head.as_object_mut().unwrap().remove("id");
    for verdict in companion.verdicts(uid(&source), &[nameless.clone(), nameless]) {
        project.wait_for_event(&accepted(&verdict));
    }
    let other = project.source(kafka());
    project.wait_for_event(&accepted(&companion.verdicts(uid(&other), &copies[..1])[0]));
    assert_eq!(project.stored_events().len(), 4);
}

#[test]
fn raw_messages_are_mapped() {
    let project = gateway().project();
    let companion = project.companion();
    let server = Endpoint::ok();
    let mut body = kafka();
    body["pub_sub"]["mapping"] = json!({"mode": "raw", "event_type": "sensor.read", "event_type_header": "X-Type",
        "content_type": "application/avro"});
    let source = project.source(body);
    assert_eq!(source["pub_sub"]["mapping"]["mode"], "raw");
    project.route(&source, &server);
    let bytes: Vec<u8> = (0..=255).collect();
    let messages = [
        BrokerMessage::new("a", bytes.clone()),
        BrokerMessage::new("b", "text").header("x-type", "sensor.lost"),
        BrokerMessage::new("c", ""),
    ];
    let events: Vec<String> =
        companion.verdicts(uid(&source), &messages).iter().map(accepted).collect();
    for event in &events {
        project.wait_for_delivery(event, "Success");
    }
    assert_eq!(project.event(&events[0])["event_type"], "sensor.read");
    assert_eq!(project.event(&events[1])["event_type"], "sensor.lost");
    let received = server.received();
    let binary = received.iter().find(|one| one.body == bytes).expect("the bytes as they were");
    assert_eq!(binary.header("content-type"), Some("application/avro"));
    assert!(received.iter().any(|one| one.body.is_empty()));

    let mut wrong = kafka();
    wrong["pub_sub"]["mapping"] =
        json!({"mode": "raw", "event_type": "t", "endpoint_id": "e", "broadcast": true});
    let message = project.post("/sources", &wrong).expect(400).message();
    assert_eq!(
        message,
        "pub_sub.mapping:give one of endpoint_id, owner_id and broadcast, or none of them"
    );
}

#[test]
fn a_poisoned_message_is_a_dead_letter_and_spoils_no_other() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let server = Endpoint::ok();
    let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
    let of = |id: &str, payload: &str| BrokerMessage::new(id, payload);
    let kind = |id: &str, kind: &str| {
        of(id, r#"{"event_type":"t","data":1}"#).header("x-convoy-message-type", kind)
    };
    let messages = [
        of("m-0", &single(&endpoint, "0")),
        of("m-1", "not JSON"),
        of("m-2", ""),
        of("m-3", r#"{"endpoint_id":"nobody","event_type":"t","data":1}"#),
        kind("m-4", "unicast"),
        kind("m-5", "fanout"),
        of("m-6", "half of it").with("dead", json!("too large for the companion")),
        of("m-7", r#"{"owner_id":"nobody","event_type":"t","data":1}"#)
            .header("x-convoy-message-type", "fanout"),
        of("m-8", &single(&endpoint, "8")),
    ];
    let verdicts = companion.verdicts(uid(&source), &messages);
    let statuses: Vec<&str> = verdicts.iter().map(status_of).collect();
    let dead = "dead_letter";
    assert_eq!(
        statuses,
        ["accepted", dead, dead, dead, dead, dead, dead, dead, "accepted"],
        "{verdicts:?}"
    );
    let reasons: Vec<&str> =
        verdicts.iter().filter_map(|verdict| verdict["reason"].as_str()).collect();
    assert_eq!(
        reasons,
        [
            "body contains badly-formed JSON (at character 2)",
            "body must not be empty",
            "endpoint not found: nobody",
            "\"unicast\" isn't a valid pubsub message type, it should be one of single, fanout, broadcast or dynamic",
            "owner_id:please provide an owner id",
            "too large for the companion",
            "no endpoint has the owner nobody",
        ]
    );
    project.wait_for_delivery(&accepted(&verdicts[8]), "Success");
    // The same message again is the same dead letter.
    let again = companion.verdicts(uid(&source), &messages[1..2]);
    assert_eq!(again[0]["dead_letter_id"], verdicts[1]["dead_letter_id"]);
}

#[test]
fn a_batch_that_is_not_one_is_refused_whole() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let id = uid(&source);
    let one = BrokerMessage::new("a", "{}");
    let long = one.clone().with("length", json!(3));
    let short = one.clone().with("length", json!(1));
    let negative = one.clone().with("length", json!(-1));
    let many = vec![BrokerMessage::new("a", ""); 1_001];
    let big = BrokerMessage::new("a", vec![b' '; 600_000]);
    let dead = BrokerMessage::new("a", vec![b' '; 70_000]).with("dead", json!("why"));
    for (body, status, says) in [
        (b"".to_vec(), 400, "has no end"),
        (b"{}".to_vec(), 400, "has no end"),
        (b"{\n".to_vec(), 400, "does not name its messages"),
        (b"{\"messages\":[]}\n".to_vec(), 400, "does not name its messages"),
        (framed(id, &[]), 400, "messages:a batch has at least one"),
        (framed(id, &[long]), 400, "messages[0].length:the body ends before 3 bytes of it"),
        (framed(id, &[short]), 400, "messages:the lengths leave 1 bytes of the body over"),
        (framed(id, &[negative]), 400, "does not name its messages"),
        (framed(id, &many), 413, "messages:at most 1000 in a batch, not 1001"),
        (framed(id, &[big.clone(), big]), 413, "at most 1048576 bytes in all"),
        (framed(id, &[dead]), 413, "messages[0].dead:at most 65536 bytes"),
        (framed("nobody", std::slice::from_ref(&one)), 404, "source not found"),
    ] {
        let reply = companion.hand_in(body).expect(status);
        assert!(reply.message().contains(says), "{}: {says}", reply.text());
    }
    let call = || companion.call("POST", "/batches").body(framed(id, std::slice::from_ref(&one)));
    call().send().expect(415);
    let typed = || call().header("Content-Type", "application/vnd.inlet.batch");
    typed().header("Content-Encoding", "br").send().expect(415);
    typed().header("Content-Encoding", "gzip").send().expect(400);
    project.expect_no_events();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_compressed_batch_is_read_and_a_bomb_is_not() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let server = Endpoint::ok();
    let endpoint = project.endpoint(json!({"name": "e", "url": server.url("/hook")}));
    let send = |body: Vec<u8>| {
        let call = companion.call("POST", "/batches").header("Content-Encoding", "gzip");
        call.header("Content-Type", "application/vnd.inlet.batch").body(body).send()
    };
    let messages = [BrokerMessage::new("a", single(&endpoint, "1"))];
    let answer = send(gzip(&framed(uid(&source), &messages))).expect(200).json();
    project.wait_for_delivery(&accepted(&answer["results"][0]), "Success");

    let bomb = gzip(&vec![b' '; 100_000_000]);
    assert!(bomb.len() < 200_000);
    send(bomb).expect(413);
}

#[test]
fn a_message_that_does_not_fit_its_schema_is_a_dead_letter() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let of = |id: &str, data: &str| {
        BrokerMessage::new(id, format!(r#"{{"event_type":"order.paid","data":{data}}}"#))
            .header("x-convoy-message-type", "broadcast")
    };
    let schema = json!({"type": "object", "required": ["id"]});
    project.post("/event-types", &json!({"name": "order.paid", "json_schema": schema})).expect(201);
    poll_until("the schema is in force", || {
        let messages = [of("", "{}"), of("", r#"{"id":1}"#)];
        let verdicts = companion.verdicts(uid(&source), &messages);
        assert_eq!(status_of(&verdicts[1]), "accepted");
        let reason = verdicts[0]["reason"].as_str()?.to_owned();
        assert!(reason.contains("does not fit the JSON schema"), "{reason}");
        Some(())
    });
}

#[test]
fn a_batch_with_many_new_urls_is_taken_whole() {
    let project = gateway().project();
    let companion = project.companion();
    let source = project.source(kafka());
    let server = Endpoint::ok();
    let message = |n: usize| {
        let url = server.url(&format!("/{}", n % 203));
        BrokerMessage::new(
            &format!("m-{n}"),
            format!(r#"{{"url":"{url}","event_type":"t","data":{n}}}"#),
        )
        .header("x-convoy-message-type", "dynamic")
    };
    let messages: Vec<BrokerMessage> = (0..206).map(message).collect();
    let verdicts = companion.verdicts(uid(&source), &messages);
    assert!(verdicts.iter().all(|verdict| status_of(verdict) == "accepted"), "{verdicts:?}");
    let made = "SELECT count(*) AS n FROM endpoints WHERE project_id = ?1";
    assert_eq!(gateway().sql("DB", made, &[json!(project.uid)])[0]["n"], 203);
}
