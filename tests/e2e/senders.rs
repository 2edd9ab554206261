//! Senders with manners of their own: those that sign nothing, send by GET, or read our answer.

use inlet_tests::{Connection, Endpoint, Gateway, base64, hmac_sha256, poll_until, source_path};
use serde_json::{Value, json};

use crate::gateway;

#[test]
fn a_provider_that_signs_nothing_is_let_in_by_what_was_chosen_and_keeps_its_names_and_questions() {
    let project = gateway().project();
    let bare = json!({"name": "a", "type": "http", "provider": "strava"});
    let refused = project.post("/sources", &bare).expect(400).message();
    assert!(refused.contains("strava signs nothing, so choose"), "{refused}");
    let row = gateway().get("/api/v1/providers/strava").expect(200).data();
    assert_eq!(row["signs"], false);
    assert!(row["protect_with"].as_str().unwrap().contains("api_key"), "{row}");

    let source =
        project.source(json!({"name": "a", "type": "http", "provider": "strava", "verifier": {
        "type": "scheme", "scheme": {"signature": "query:key", "algorithm": "token"},
        "secrets": [{"value": "in-the-url"}, {"value": "verify_token:ours"}]}}));
    let path = source_path(&source);
    let ask = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=c&hub.verify_token={token}");
        gateway().get(&format!("{path}?{query}"))
    };
    assert_eq!(ask("ours").expect(200).json(), json!({"hub.challenge": "c"}));
    ask("theirs").expect(403);
    let body = r#"{"object_id":1,"aspect_type":"create","event_time":2,"object_type":"activity"}"#;
    let send = |query: &str| gateway().call("POST", &format!("{path}{query}")).body(body).send();
    send("").expect(401);
    send("?key=other").expect(401);
    let id = send("?key=in-the-url&a=b").expect(200).header("inlet-event-id").unwrap().to_owned();
    let event = project.wait_for_event(&id);
    assert_eq!(event["event_type"], "activity:create");
    assert_eq!(event["url_query_params"], "a=b", "{event}");

    let open = project.source(
        json!({"name": "b", "type": "http", "provider": "zapier", "verifier": {"type": "noop"}}),
    );
    project.ingest(&open, b"{}").expect(200);
}

#[test]
fn who_signs_the_query_may_send_by_get() {
    let project = gateway().project();
    let source = project.source(json!({"name": "a", "type": "http", "provider": "plivo_v3",
        "verifier": {"hmac": {"secret": "a-secret-of-ours"}, "public_url": "https://hooks.example.com/p"}}));
    let endpoint = Endpoint::ok();
    project.route(&source, &endpoint);
    let path = source_path(&source);
    let query = "CallStatus=ringing&CallUUID=c-1";
    let signed = format!("https://hooks.example.com/p?{query}.n-1");
    let mac = base64(&hmac_sha256(b"a-secret-of-ours", signed.as_bytes()));
    let send = |query: &str| {
        let call = gateway().call("GET", &format!("{path}?{query}"));
        call.header("X-Plivo-Signature-V3", mac.as_str())
            .header("X-Plivo-Signature-V3-Nonce", "n-1")
            .send()
    };
    send("CallStatus=answered&CallUUID=c-1").expect(401);
    let id = send(query).expect(200).header("inlet-event-id").unwrap().to_owned();
    assert_eq!(project.wait_for_event(&id)["url_query_params"], query);
    assert_eq!(endpoint.wait_for_one().text(), "");
    let refused = gateway().call("PUT", &path).send().expect(405);
    assert_eq!(refused.header("allow"), Some("GET, POST"));
    let post_only = project.github_source("a-secret-of-ours");
    gateway().get(&source_path(&post_only)).expect(405);
}

#[test]
fn an_empty_answer_is_an_answer() {
    let project = gateway().project();
    let source = project.source(json!({"name": "a", "type": "http", "provider": "github",
        "custom_response": {"body": ""},
        "verifier": {"mode": "enforce", "hmac": {"secret": "a-secret-of-ours"}, "failure_response": {"body": ""}}}));
    let refused = project.ingest(&source, b"{}").expect(401);
    assert_eq!(refused.text(), "");
    let signature = inlet_tests::github_signature("a-secret-of-ours", b"{}");
    let call = project.ingest_call(&source).header("X-Hub-Signature-256", signature).body("{}");
    assert_eq!(call.send().expect(200).text(), "");
    let path = format!("/sources/{}", source["uid"].as_str().unwrap());
    let shown = project.get(&path).expect(200).data();
    assert_eq!(shown["custom_response"]["body"], "");
    project.call("PUT", &path).json(&shown).send().expect(202);
    assert_eq!(project.ingest(&source, b"{}").expect(401).text(), "");
}

#[test]
fn a_secret_that_is_handed_over_is_shown_to_be_told_to_the_provider() {
    let project = gateway().project();
    let source = project.source(json!({"name": "a", "type": "http", "provider": "notion"}));
    let path = format!("/sources/{}", source["uid"].as_str().unwrap());
    let shown = format!("{path}/handed-over");
    project.get(&shown).expect(404);
    project.post(&format!("{path}/arm"), &json!({})).expect(200);
    let body = br#"{"verification_token":"secret_of_notion"}"#;
    project.ingest(&source, body).expect(200);
    assert_eq!(project.get(&shown).expect(200).data()["secret"], "secret_of_notion");
    let read = project.get(&path).expect(200).data();
    assert!(read["verifier"]["secrets"][0]["shown_until"].is_string(), "{read}");
    assert!(!read.to_string().contains("secret_of_notion"), "{read}");
    let stranger = gateway().project();
    stranger.get(&shown).expect(404);
    let signature = format!("sha256={}", hex::encode(hmac_sha256(b"secret_of_notion", b"{}")));
    let call = project.ingest_call(&source).header("X-Notion-Signature", signature).body("{}");
    call.send().expect(200);
}

#[test]
fn keys_are_fetched_from_where_the_operator_says() {
    let url = "https://keys.example.com/discord";
    let key = "119c4d9c5e5d3ae173bfab934a058068abfc3d23a5bee3aaef705f1c0ac00f8d";
    let gateway = Gateway::builder().outbound(url, key).start();
    let project = gateway.project();
    let with = |url: &str| {
        json!({"name": "a", "type": "http", "provider": "discord",
            "verifier": {"tolerance_seconds": 0, "secrets": [{"value": url, "label": "fetched"}]}})
    };
    let source = project.source(with(url));
    let body = r#"{"type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}"#;
    let signature = "f46b48284d7b4f5de863b25aa522e8b4c4fd9593327e101ff09c90bc42bd517f\
        136beac64c2c6f3c66c453091c488540b4a5917fe2632c54cf2e572957a3f504";
    let send = |source: &serde_json::Value, body: &str| {
        let call = project.ingest_call(source).header("X-Signature-Ed25519", signature);
        call.header("X-Signature-Timestamp", "1700000000").body(body).send()
    };
    let taken = send(&source, body).expect(204);
    let event = project.wait_for_event(taken.header("inlet-event-id").unwrap());
    assert_eq!(event["verification"]["secret"], "fetched");
    send(&source, r#"{"type":1,"event":{"type":"OTHER"}}"#).expect(401);
    let nowhere = project.source(with("https://gone.example.com/discord"));
    send(&nowhere, body).expect(503);
    let refused = project.post("/sources", &with("https://10.0.0.1/discord")).expect(400);
    assert!(refused.message().contains("names a URL from which no key is fetched"));
}

#[test]
fn slow_senders_of_one_source_leave_room_for_the_bodies_of_another() {
    // Bodies count as they come, also small ones, and those that do not say how large they are.
    let chunked = "Transfer-Encoding: chunked\r\n\r\nfde8\r\n";
    for (senders, length, sent) in [
        (45, "Content-Length: 700000\r\n\r\n", 600_000),
        (300, "Content-Length: 65000\r\n\r\n", 60_000),
        (300, chunked, 64_000),
    ] {
        let gateway = Gateway::builder().start();
        let project = gateway.project();
        let (slow, other) = (project.open_source(), project.open_source());
        let head = format!("POST {} HTTP/1.1\r\nHost: t\r\n{length}", source_path(&slow));
        let part = [head.as_bytes(), &vec![b'x'; sent]].concat();
        let waiting: Vec<_> = (0..senders)
            .map(|_| {
                let mut connection = Connection::open(gateway.url()).expect("a connection");
                // One that is refused is not read to its end.
                connection.write(&part).ok();
                connection
            })
            .collect();
        let body = vec![b'x'; 2_000_000];
        let send = |source: &Value| {
            gateway.call("POST", &source_path(source)).body(body.as_slice()).send()
        };
        let busy = poll_until("the slow hold all that they may", || {
            let reply = send(&slow);
            (reply.status == 503).then_some(reply)
        });
        assert!(busy.header("Retry-After").is_some(), "{busy:?}");
        send(&other).expect(200);
        drop(waiting);
        poll_until("those who broke off hold nothing", || {
            (send(&slow).status == 200).then_some(())
        });
        // Nor is anything waiting that nobody gives back: as much as all may hold goes through one after another.
        for _ in 0..15 {
            send(&slow).expect(200);
        }
    }
}

#[test]
fn who_announces_bodies_and_sends_none_leaves_room_for_those_of_others() {
    let gateway = Gateway::builder().start();
    let project = gateway.project();
    let waiting: Vec<_> = [project.open_source(), project.open_source()]
        .iter()
        .map(source_path)
        .flat_map(|path| std::iter::repeat_n(path, 200))
        .map(|path| {
            let head = format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 65000\r\n\r\nx");
            let mut connection = Connection::open(gateway.url()).expect("a connection");
            connection.write(head.as_bytes()).expect("a head");
            connection
        })
        .collect();
    let other = gateway.project();
    let source = other.open_source();
    let body = vec![b'x'; 20_000];
    for _ in 0..20 {
        other.ingest(&source, &body).expect(200);
    }
    drop(waiting);
}

#[test]
fn who_announces_a_body_and_sends_none_is_told_to_come_again() {
    let project = gateway().project();
    let source = project.open_source();
    let begin = |path: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: 10\r\n\r\n{{\"a\"",
            project.key
        );
        let mut connection = Connection::open(gateway().url()).expect("a connection");
        connection.write(head.as_bytes()).expect("a head");
        connection
    };
    let events = format!("/api/v1/projects/{}/events", project.uid);
    let waiting = [begin(&source_path(&source)), begin(&events)];
    for mut connection in waiting {
        let reply = connection.read_reply(false).expect("an answer").expect(503);
        assert!(reply.header("Retry-After").is_some(), "{reply:?}");
        assert!(reply.text().contains("too long"), "{reply:?}");
    }
}
