//! What an endpoint is called with: its credentials, and the form of the body.

use inlet_tests::{Answer, Endpoint, Project, hmac_sha256};
use serde_json::{Value, json};

use crate::gateway;

fn path(endpoint: &Value) -> String {
    format!("/endpoints/{}", endpoint["uid"].as_str().expect("a uid"))
}

fn send(project: &Project<'_>, source: &Value, body: &[u8]) -> String {
    let answer = project.ingest(source, body).expect(200).json();
    answer["event_id"].as_str().expect("an id").to_owned()
}

#[test]
fn an_api_key_goes_along_and_is_shown_to_nobody() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let key = "a-key-of-some-length";
    let created = project.route_with(
        &source,
        &endpoint,
        json!({"authentication": {"type": "api_key",
            "api_key": {"header_name": "X-Their-Key", "header_value": key}}}),
    );
    let shown = json!({"type": "api_key",
        "api_key": {"header_name": "X-Their-Key", "header_value": "********ngth"}});
    assert_eq!(created["authentication"], shown);
    let event = send(&project, &source, b"{}");
    assert_eq!(endpoint.wait_for_one().header("x-their-key"), Some(key));
    let delivery = project.wait_for_delivery(&event, "Success");
    let attempt = &project.attempts(delivery["uid"].as_str().expect("a uid"))[0];
    assert_eq!(attempt["request_http_header"]["X-Their-Key"], "********", "{attempt}");
    let sql = "SELECT doc FROM endpoints WHERE project_id = ?1";
    let stored = project.gateway.sql("DB", sql, &[json!(project.uid)]);
    assert!(!stored[0]["doc"].as_str().expect("a doc").contains(key));

    // A change that sends the mask back leaves the key alone; an empty type takes it away.
    project.put(&path(&created), &json!({"name": "b", "authentication": shown})).expect(202);
    endpoint.take();
    send(&project, &source, b"{}");
    assert_eq!(endpoint.wait_for_one().header("x-their-key"), Some(key));
    project.put(&path(&created), &json!({"authentication": {"type": ""}})).expect(202);
    endpoint.take();
    send(&project, &source, b"{}");
    assert_eq!(endpoint.wait_for_one().header("x-their-key"), None);
}

#[test]
fn a_user_name_and_password_go_along_whatever_the_event_says() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let created = project.endpoint(json!({"name": "a", "url": endpoint.url("/"),
        "authentication": {"type": "basic_auth", "basic_auth": {"username": "us", "password": "pa:ss"}}}));
    assert_eq!(created["authentication"]["basic_auth"]["password"], "********");
    project
        .post(
            "/events",
            &json!({"endpoint_id": created["uid"], "event_type": "a", "data": {"n": 1}}),
        )
        .expect(201);
    assert_eq!(endpoint.wait_for_one().header("authorization"), Some("Basic dXM6cGE6c3M="));
}

#[test]
fn an_endpoint_may_have_a_form_and_its_bytes_are_what_is_signed() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let created = project.route_with(
        &source,
        &endpoint,
        json!({"content_type": "application/x-www-form-urlencoded", "advanced_signatures": false,
            "secret": "a-secret-of-our-own"}),
    );
    assert_eq!(created["content_type"], "application/x-www-form-urlencoded");
    send(&project, &source, br#"{"text":"a b&c","price":1.50,"deep":{"list":[1, 2]},"none":null}"#);
    let received = endpoint.wait_for_one();
    let form = "text=a+b%26c&price=1.50&deep=%7B%22list%22%3A%5B1%2C+2%5D%7D&none=null";
    assert_eq!(received.text(), form);
    assert_eq!(received.header("content-type"), Some("application/x-www-form-urlencoded"));
    let signature = hex::encode(hmac_sha256(b"a-secret-of-our-own", form.as_bytes()));
    assert_eq!(received.header("x-convoy-signature"), Some(signature.as_str()));
}

#[test]
fn a_form_goes_on_as_it_came_and_a_function_gets_its_fields() {
    let project = gateway().project();
    let (forms, made) = (Endpoint::ok(), Endpoint::ok());
    let source = project.open_source();
    let form = "application/x-www-form-urlencoded";
    project.route_with(&source, &forms, json!({"content_type": form}));
    let endpoint = project.endpoint(json!({"name": "made", "url": made.url("/")}));
    let subscription = json!({"name": "made", "source_id": source["uid"], "endpoint_id": endpoint["uid"],
        "function": "function transform(fields) { return {got: fields.a} }"});
    project.post("/subscriptions", &subscription).expect(201);
    let call = project.ingest_call(&source).header("Content-Type", form);
    call.body("a=1&a=2&b=x+y").send().expect(200);
    let received = forms.wait_for_one();
    assert_eq!(
        (received.text().as_str(), received.header("content-type")),
        ("a=1&a=2&b=x+y", Some(form))
    );
    assert_eq!(made.wait_for_one().text(), r#"{"got":"1"}"#);
}

#[test]
fn what_cannot_be_a_form_is_a_failure_that_says_so() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let form = json!({"content_type": "application/x-www-form-urlencoded"});
    project.route_with(&source, &endpoint, form);
    let event = send(&project, &source, b"[1,2]");
    let delivery = project.wait_for_delivery(&event, "Failure");
    let reason = delivery["description"].as_str().unwrap_or_default();
    assert!(reason.contains("is neither a form nor a JSON object"), "{reason}");
    assert_eq!(endpoint.count(), 0);
}

#[test]
fn an_answer_is_kept_with_its_time_and_headers_but_not_its_secrets() {
    let project = gateway().project();
    let answer = Answer::ok().header("X-Trace", "7").header("Set-Cookie", "session=1").body("fine");
    let endpoint = Endpoint::answering(&[answer]);
    let source = project.open_source();
    project.route(&source, &endpoint);
    let event = send(&project, &source, b"{}");
    let delivery = project.wait_for_delivery(&event, "Success");
    assert!(
        delivery["latency_ms"].is_u64() && delivery["latency_seconds"].is_number(),
        "{delivery}"
    );
    let attempt = &project.attempts(delivery["uid"].as_str().expect("a uid"))[0];
    assert_eq!(attempt["response_http_header"]["x-trace"], "7");
    assert_eq!(attempt["response_http_header"]["set-cookie"], "********");
    assert_eq!(
        (&attempt["response_data"], &attempt["http_status"]),
        (&json!("fine"), &json!("200 OK"))
    );
    let signature = attempt["request_http_header"]["X-Convoy-Signature"].as_str();
    assert!(signature.is_some_and(|signature| signature.starts_with("t=")), "{attempt}");
}

#[test]
fn what_could_not_work_or_would_do_nothing_is_refused() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    for (fields, expect) in [
        (json!({"authentication": {"type": "magic"}}), "authentication.type:one of"),
        (json!({"authentication": {"type": "api_key"}}), "api key field is required"),
        (
            json!({"authentication": {"type": "api_key", "api_key": {"header_name": "a\nb", "header_value": "c"}}}),
            "header_name",
        ),
        (
            json!({"authentication": {"type": "api_key", "api_key": {"header_name": "a", "header_value": "b\r\nc: d"}}}),
            "printable",
        ),
        (json!({"authentication": "basic"}), "field \"authentication\""),
        (json!({"content_type": "text/xml"}), "content_type:either"),
        (
            json!({"mtls_client_cert": {"client_cert": "a", "client_key": "b"}}),
            "mtls_client_cert is not supported: a Worker",
        ),
        (
            json!({"slack_webhook_url": "https://hooks.slack.com/x"}),
            "slack_webhook_url is not supported",
        ),
        (
            json!({"teams_webhook_url": "https://x.example.com/"}),
            "teams_webhook_url is not supported",
        ),
        (json!({"support_email": "a@example.com"}), "support_email is not supported"),
    ] {
        let mut body = json!({"name": "a", "url": endpoint.url("/")});
        body.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("fields").clone());
        let reply = project.post("/endpoints", &body).expect(400);
        assert!(reply.message().contains(expect), "{fields}: {}", reply.message());
    }
    let empty = json!({"name": "a", "url": endpoint.url("/"), "slack_webhook_url": "", "support_email": "",
        "teams_webhook_url": "", "mtls_client_cert": null, "authentication": null});
    project.post("/endpoints", &empty).expect(201);
}

#[test]
fn older_versions_have_older_names_and_times_as_texts() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let call = |method: &str, path: &str, version: &str| {
        project.call(method, path).header("X-Convoy-Version", version)
    };
    let body = json!({"title": "a", "target_url": endpoint.url("/"), "http_timeout": "20s", "rate_limit": 5,
        "rate_limit_duration": "1m"});
    let made = call("POST", "/endpoints", "2024-01-01").json(&body).send().expect(201).data();
    assert_eq!((&made["title"], &made["http_timeout"]), (&json!("a"), &json!("20s")));
    assert_eq!(
        (&made["rate_limit_duration"], &made["advanced_signatures"]),
        (&json!("60s"), &json!(false))
    );
    assert!(made["name"].is_null() && made["url"].is_null(), "{made}");
    let shown = call("GET", &path(&made), "2024-04-01").send().expect(200).data();
    assert_eq!((&shown["title"], &shown["target_url"]), (&json!("a"), &json!(endpoint.url("/"))));
    assert_eq!(shown["http_timeout"], 20);
    let shown = project.get(&path(&made)).expect(200).data();
    assert_eq!((&shown["name"], &shown["rate_limit_duration"]), (&json!("a"), &json!(60)));
    let listed = call("GET", "/endpoints", "2024-04-01").send().expect(200).data();
    assert_eq!(listed["content"][0]["title"], "a");
    let changed = json!({"http_timeout": "7s"});
    let changed = call("PUT", &path(&made), "2024-01-01").json(&changed).send().expect(202).data();
    assert_eq!((&changed["http_timeout"], &changed["title"]), (&json!("7s"), &json!("a")));
    for version in ["2023-01-01", "latest", "2024-01-01,2024-04-01"] {
        let reply = call("GET", "/endpoints", version).send().expect(400);
        assert_eq!(reply.message(), "Invalid API version");
    }
    project.post("/endpoints", &body).expect(400);
    let soon = json!({"title": "a", "target_url": endpoint.url("/"), "http_timeout": "soon"});
    call("POST", "/endpoints", "2024-01-01").json(&soon).send().expect(400);
}

#[test]
fn endpoints_are_found_by_name_and_owner_page_by_page() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    for (name, owner) in [("Alpha", "one"), ("beta", "one"), ("alphabet", "two"), ("gamma", "")] {
        project.endpoint(json!({"name": name, "owner_id": owner, "url": endpoint.url("/")}));
    }
    gateway()
        .project()
        .endpoint(json!({"name": "alpha of others", "owner_id": "one", "url": endpoint.url("/")}));
    let names = |query: &str| -> Vec<String> {
        let listed = project.list(&format!("/endpoints?{query}"));
        listed.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("q=alpha"), ["alphabet", "Alpha"]);
    assert_eq!(names("ownerId=one"), ["beta", "Alpha"]);
    assert_eq!(names("ownerId=one&q=ALPHA"), ["Alpha"]);
    assert_eq!(names("ownerId=nobody"), [""; 0]);
    let page = project.get("/endpoints?perPage=3").expect(200).data();
    assert_eq!(page["content"].as_array().map(Vec::len), Some(3));
    let cursor = page["pagination"]["next_page_cursor"].as_str().expect("a cursor");
    assert_eq!(names(&format!("perPage=3&next_page_cursor={cursor}")), ["Alpha"]);
}

#[test]
fn the_subscriptions_of_a_deleted_endpoint_go_with_it_and_no_others() {
    let project = gateway().project();
    let (gone, stays) = (Endpoint::ok(), Endpoint::ok());
    let source = project.open_source();
    let (deleted, _) = (project.route(&source, &gone), project.route(&source, &stays));
    gateway().project().delete(&path(&deleted)).expect(404);
    assert_eq!(project.list("/subscriptions").len(), 2);
    project.delete(&path(&deleted)).expect(200);
    assert_eq!(project.list("/subscriptions").len(), 1);
    project.get(&path(&deleted)).expect(404);
    let event = send(&project, &source, b"{}");
    project.wait_for_delivery(&event, "Success");
    assert_eq!((gone.count(), stays.count()), (0, 1));
}

#[test]
fn what_waits_for_an_endpoint_ends_when_it_is_deleted() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let created = project.route(&source, &endpoint);
    project.put(&format!("{}/pause", path(&created)), &json!({})).expect(202);
    let event = send(&project, &source, b"{}");
    inlet_tests::poll_until("the delivery waits", || {
        let delivery = project.deliveries(&event).pop()?;
        delivery["description"].as_str()?.contains("paused").then_some(())
    });
    project.delete(&path(&created)).expect(200);
    let delivery = project.wait_for_delivery(&event, "Discarded");
    assert_eq!(delivery["description"], "the endpoint no longer exists");
    assert_eq!(endpoint.count(), 0);
}
