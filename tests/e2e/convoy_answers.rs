//! What Convoy's answers hold, field by field, with the type that its SDKs read; and the envelope round it.

use inlet_tests::{Answer, Endpoint, Project, Reply, poll_until, uid};
use serde_json::{Value, json};

use crate::bad_input::kind;
use crate::gateway;

/// `fields` are lines of types as [`kind`] names them, with `|` between, and the names of the fields that have it; a dot goes into an object, `[]` into a list.
#[track_caller]
fn check(what: &str, shown: &Value, fields: &str) {
    for line in fields.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (types, names) = line.split_once(':').expect("types: names");
        for name in names.split_whitespace() {
            let pointer = format!("/{}", name.replace("[]", "/0").replace('.', "/"));
            let value = shown.pointer(&pointer);
            let value = value.unwrap_or_else(|| panic!("{what} has no {name}: {shown}"));
            let is_one = types.split('|').any(|one| one == kind(value));
            assert!(is_one, "{name} of {what} is no {types}: {value}");
        }
    }
}

const TIMES: &str = "text: uid created_at updated_at\nnull: deleted_at";

#[test]
fn what_is_configured_is_shown_with_convoys_fields() {
    let project = gateway().project();
    let shown = project.get("").says(200, "Project fetched successfully");
    check("a project", &shown, TIMES);
    check(
        "a project",
        &shown,
        "text: name type config.signature.header config.signature.versions[].hash config.signature.versions[].encoding
         text: config.strategy.type config.request_id_header
         number: config.max_payload_read_size config.strategy.duration config.strategy.retry_count
         number: config.ratelimit.count config.ratelimit.duration
         flag: config.ssl.enforce_secure_endpoints config.disable_endpoint config.multiple_endpoint_subscriptions
         flag: config.add_event_id_trace_headers config.meta_event.is_enabled
         object: config.circuit_breaker config.meta_event",
    );
    let source = project.open_source_with(json!({"verifier": {"type": "api_key",
        "api_key": {"header_name": "X-Key", "header_value": "a-key-of-mine"}}}));
    let read = project.get(&format!("/sources/{}", uid(&source))).expect(200).data();
    for shown in [&source, &read] {
        check("a source", shown, TIMES);
        check(
            "a source",
            shown,
            "text: project_id mask_id name url type provider event_type_location pub_sub.type
             text: verifier.type verifier.api_key.header_name verifier.api_key.header_value
             text: custom_response.body custom_response.content_type
             flag: is_disabled
             list: forward_headers idempotency_keys
             number: pub_sub.workers
             null: pub_sub.sqs pub_sub.google pub_sub.kafka pub_sub.amqp provider_config body_function header_function
             null: verifier.hmac verifier.basic_auth",
        );
    }
    let endpoint = project.endpoint(json!({"name": "e", "url": "https://example.com/"}));
    let read = project.get(&format!("/endpoints/{}", uid(&endpoint))).expect(200).data();
    for shown in [&endpoint, &read] {
        check("an endpoint", shown, TIMES);
        check(
            "an endpoint",
            shown,
            "text: project_id name url status owner_id description support_email slack_webhook_url content_type cb_state
             text: secrets[].uid secrets[].value secrets[].created_at
             null: secrets[].expires_at authentication
             number: http_timeout rate_limit rate_limit_duration failure_rate events
             flag: advanced_signatures",
        );
    }
    let subscription = project.subscription(
        json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint["uid"]}),
    );
    check("a subscription", &subscription, TIMES);
    check(
        "a subscription",
        &subscription,
        "text: project_id name type status source_id endpoint_id delivery_mode function
         text: endpoint_metadata.uid source_metadata.uid filter_config.event_types[]
         object: filter_config.filter.headers filter_config.filter.body filter_config.filter.query filter_config.filter.path
         flag: filter_config.filter.is_flattened
         null: alert_config rate_limit_config retry_config",
    );
    let types = project.get("/event-types").says(200, "Event types fetched successfully");
    check(
        "event types",
        &types,
        "text: 0.uid 0.name 0.category 0.description 0.project_id 0.created_at\nnull: 0.deprecated_at",
    );
    let filters = project.get(&format!("/subscriptions/{}/filters", uid(&subscription)));
    check(
        "filters",
        &filters.says(200, "Filters retrieved successfully"),
        "text: 0.uid 0.subscription_id 0.event_type 0.enabled_at 0.created_at\nobject: 0.headers 0.body 0.query 0.path",
    );
}

#[test]
fn events_deliveries_and_attempts_are_shown_with_convoys_fields() {
    let project = gateway().outgoing(json!({}));
    let server = Endpoint::answering(&[Answer::status(410).header("X-Why", "gone")]);
    let endpoint = uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook")})));
    let body = json!({"endpoint_id": endpoint, "event_type": "a", "data": {"n": 1}, "idempotency_key": "key-1",
        "custom_headers": {"X-Own": "1"}});
    let queued = project.post("/events", &body).says(201, "Event queued successfully");
    let event = uid(&queued);
    assert_eq!(queued, json!({"uid": event, "event_type": "a", "idempotency_key": "key-1"}));
    let delivery = uid(&project.wait_for_delivery(&event, "Failure"));
    let read = project.event(&event);
    let fields = "text: project_id event_type source_id idempotency_key raw status failure_reason acknowledged_at
        text: url_path url_query_params headers.X-Own[] source_metadata.uid
        flag: is_duplicate_event
        object: data headers";
    for shown in [&read, &project.list("/events")[0]] {
        check("an event", shown, TIMES);
        check("an event", shown, fields);
        assert_eq!(shown["data"], json!({"n": 1}));
    }
    assert_eq!(read["endpoints"], json!([endpoint]));

    let read = project.get(&format!("/eventdeliveries/{delivery}")).expect(200).data();
    for shown in [&read, &project.list("/eventdeliveries")[0]] {
        check("a delivery", shown, TIMES);
        check(
            "a delivery",
            shown,
            "text: project_id event_id endpoint_id subscription_id event_type delivery_mode status description target_url
             text: latency idempotency_key url_query_params acknowledged_at endpoint_metadata.uid event_metadata.uid
             text: endpoint_metadata.name endpoint_metadata.url endpoint_metadata.target_url endpoint_metadata.status
             text: metadata.strategy metadata.raw
             object: metadata.data headers
             number: latency_seconds metadata.num_trials metadata.interval_seconds metadata.retry_limit metadata.max_retry_seconds
             null|text: metadata.next_send_time",
        );
        assert_eq!(shown["idempotency_key"], "key-1");
    }

    let path = format!("/eventdeliveries/{delivery}/deliveryattempts");
    let attempts = project.get(&path).says(200, "Event delivery attempts fetched successfully");
    let one = project.get(&format!("{path}/{}", uid(&attempts[0])));
    let one = one.says(200, "Event delivery attempt fetched successfully");
    for shown in [&attempts[0], &one] {
        check("an attempt", shown, TIMES);
        check(
            "an attempt",
            shown,
            "text: project_id endpoint_id msg_id url method http_status response_data error api_version ip_address
             text: requested_at responded_at request_http_header.X-Convoy-Signature response_http_header.x-why
             flag: status",
        );
        assert_eq!(
            (&shown["msg_id"], &shown["http_status"]),
            (&json!(delivery), &json!("410 Gone"))
        );
    }
}

#[test]
fn an_owner_is_told_of_no_endpoint_of_others() {
    let project = gateway().outgoing(json!({}));
    let server = Endpoint::ok();
    let [mine, other] = ["mine", "other"].map(|owner| {
        let body = json!({"name": "e", "url": server.url("/hook"), "owner_id": owner});
        let id = uid(&project.endpoint(body));
        project.subscription(json!({"name": "s", "endpoint_id": id}));
        id
    });
    let event = uid(&project
        .post("/events/broadcast", &json!({"event_type": "a", "data": 1}))
        .expect(201)
        .data());
    server.wait_for(2);
    let mut both = vec![json!(mine), json!(other)];
    both.sort_by_key(ToString::to_string);
    let shown = poll_until("both deliveries", || {
        let mut shown = project.wait_for_event(&event)["endpoints"].as_array()?.clone();
        shown.sort_by_key(ToString::to_string);
        (shown.len() == 2).then_some(shown)
    });
    assert_eq!(shown, both);
    let link = project.post("/portal-links", &json!({"name": "p", "owner_id": "mine"}));
    let token = link.expect(201).data()["token"].as_str().expect("a token").to_owned();
    let call = gateway().call("GET", &format!("/portal-api/events/{event}")).bearer(&token);
    assert_eq!(call.send().expect(200).data()["endpoints"], json!([mine]));
}

/// The names of an object's fields.
fn names(reply: &Reply) -> Vec<String> {
    reply.json().as_object().expect("an object").keys().cloned().collect()
}

#[test]
fn every_answer_is_in_the_envelope_as_json_whatever_is_accepted() {
    let project = gateway().project();
    let source = project.open_source();
    let path = format!("/sources/{}", uid(&source));
    for accept in ["application/json", "application/xml", "text/html", "*/*", ""] {
        let get = |path: &str| project.call("GET", path).header("Accept", accept).send();
        for (reply, status, fields) in [
            (get(&path), 200, &["data", "message", "status"][..]),
            (get("/events"), 200, &["data", "message", "status"]),
            (get("/sources/none"), 404, &["message", "status"]),
            (get("/events?startDate=soon"), 400, &["message", "status"]),
            (get("/none"), 404, &["message", "status"]),
        ] {
            let reply = reply.expect(status);
            assert_eq!(reply.header("content-type"), Some("application/json"), "{accept}");
            assert_eq!(names(&reply), fields);
            assert_eq!(reply.json()["status"], status == 200);
        }
    }
    let deleted = project.delete(&path).expect(200);
    assert_eq!(
        deleted.json(),
        json!({"status": true, "message": "Source deleted successfully", "data": null})
    );
}

/// What convoy.js, convoy-go and convoy-python put into each request: headers and bodies that ask for nothing.
#[test]
fn requests_are_taken_as_the_sdks_make_them() {
    let project: Project<'_> = gateway().outgoing(json!({}));
    let server = Endpoint::answering(&[Answer::status(410), Answer::ok()]);
    let endpoint = uid(&project.endpoint(json!({"name": "e", "url": server.url("/hook")})));
    let call = |method: &str, path: &str| {
        project
            .call(method, path)
            .header("X-Convoy-Version", "2025-11-24")
            .header("Accept", "application/json")
    };
    let body = json!({"endpoint_id": endpoint, "event_type": "test.event", "data": {"k": "v"}});
    let event =
        uid(&call("POST", "/events").json(&body).send().says(201, "Event queued successfully"));
    let delivery = uid(&project.wait_for_delivery(&event, "Failure"));
    // With `{}`, with no body, and with a content type but no body; in Go what is left out of a query is written as its zero.
    let query = "per_page=0&prev_page_cursor=&next_page_cursor=&eventId=&status=Failure&subscriptionId=\
        &startDate=0001-01-01T00%3A00%3A00&endDate=0001-01-01T00%3A00%3A00";
    let path = format!("/eventdeliveries/batchretry?{query}");
    let retried = call("POST", &path).json(&json!({})).send();
    retried.says(200, "Batch retry processing");
    project.wait_for_delivery(&event, "Success");
    let force = json!({"ids": [delivery]});
    let forced = call("POST", "/eventdeliveries/forceresend").json(&force).send();
    forced.says(200, "1 successful, 0 failed");
    project.wait_for_delivery(&event, "Success");
    for (method, path, status, message) in [
        ("PUT", format!("/events/{event}/replay"), 200, "Endpoint event replayed successfully"),
        (
            "POST",
            format!("/events/batchreplay?endpointId={endpoint}"),
            200,
            "1 successful, 0 failed",
        ),
        (
            "PUT",
            format!("/endpoints/{endpoint}/pause"),
            202,
            "endpoint status updated successfully",
        ),
        (
            "POST",
            format!("/endpoints/{endpoint}/activate"),
            202,
            "endpoint status successfully activated",
        ),
        ("GET", format!("/endpoints/{endpoint}"), 200, "Endpoint fetched successfully"),
    ] {
        call(method, &path).send().says(status, message);
        if path.ends_with("pause") || path.ends_with("activate") {
            continue;
        }
        call(method, &path).header("Content-Type", "application/json").send().says(status, message);
    }
}
