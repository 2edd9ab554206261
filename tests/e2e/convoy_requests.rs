//! What becomes of each field of the requests that Convoy documents: none is accepted and dropped in silence.

use std::fs;

use inlet_tests::{Project, repository, uid};
use serde_json::{Value, json};

use crate::gateway;

/// Lines of `field | value | fate`; a dot goes into an object. The fates: `kept` (the answer shows it, at the same place),
/// `shown PLACE VALUE` (as something else), `does TEST` (the test of that name shows what), `refused TEXT`.
const SOURCE: &str = r#"
    name | "another" | kept
    type | "http" | kept
    type | "rest_api" | kept
    type | "db_change_stream" | refused type:db_change_stream is not supported; use
    provider | "github" | refused hmac secret is required for github source
    body_function | "function transform(x) { return x }" | kept
    header_function | "function transform(x) { return x }" | kept
    custom_response.body | "thanks" | kept
    custom_response.content_type | "text/xml" | kept
    idempotency_keys | ["request.header.X-Id"] | kept
    event_type_location | "request.body.type" | kept
    forward_headers | ["x-a"] | kept
    is_disabled | true | kept
    verifier | {"type":"noop"} | shown verifier.type "noop"
    verifier | {"type":"hmac","hmac":{"header":"X-S","hash":"SHA256","encoding":"hex","secret":"a-long-secret-of-mine"}} | shown verifier.hmac.header "X-S"
    verifier | {"type":"basic_auth","basic_auth":{"username":"u","password":"a-long-password"}} | shown verifier.basic_auth.username "u"
    verifier | {"type":"api_key","api_key":{"header_name":"X-K","header_value":"a-long-key-of-mine"}} | shown verifier.api_key.header_name "X-K"
    pub_sub | {"type":"kafka","workers":1} | refused pub_sub:is for sources of the type pub_sub
"#;

/// Each beside what its broker needs.
const KAFKA: &str = r#"
    pub_sub.workers | 3 | kept
    pub_sub.workers | 0 | refused workers:non zero value required
    pub_sub.kafka.brokers | ["a:9092","b:9092"] | kept
    pub_sub.kafka.topic_name | "orders" | kept
    pub_sub.kafka.consumer_group_id | "mine" | kept
    pub_sub.kafka.auth | {"type":"plain","username":"u","password":"a-long-password"} | shown pub_sub.kafka.auth.username "u"
    pub_sub.kafka.auth | {"type":"scram","hash":"SHA512","username":"u","password":"a-long-password","tls":true} | shown pub_sub.kafka.auth.hash "SHA512"
    pub_sub.kafka.auth | {"type":"scram","hash":"MD5","username":"u","password":"p"} | refused hash
    pub_sub.kafka.brokers | [] | refused brokers
"#;

const SQS: &str = r#"
    pub_sub.sqs.queue_name | "another" | kept
    pub_sub.sqs.default_region | "eu-west-1" | kept
    pub_sub.sqs.access_key_id | "AKIAIOSFODNN7EXAMPLE" | kept
    pub_sub.sqs.secret_key | "a-long-secret-key" | shown pub_sub.sqs.secret_key "********-key"
    pub_sub.sqs.endpoint | "http://127.0.0.1:9324" | kept
    pub_sub.sqs.queue_name | "" | refused queue_name
"#;

const GOOGLE: &str = r#"
    pub_sub.google.project_id | "another" | kept
    pub_sub.google.subscription_id | "another" | kept
    pub_sub.google.service_account | "not base64 and no JSON" | refused service_account
    pub_sub.google.subscription_id | "" | refused subscription_id
"#;

const AMQP: &str = r#"
    pub_sub.amqp.host | "rabbit.example.com" | kept
    pub_sub.amqp.queue | "another" | kept
    pub_sub.amqp.schema | "amqps" | kept
    pub_sub.amqp.port | "5671" | shown pub_sub.amqp.port "5671"
    pub_sub.amqp.vhost | "mine" | kept
    pub_sub.amqp.auth | {"user":"u","password":"a-long-password"} | shown pub_sub.amqp.auth.user "u"
    pub_sub.amqp.bindExchange | {"exchange":"x","routingKey":"k"} | shown pub_sub.amqp.bindedExchange "x"
    pub_sub.amqp.bindExchange | {"exchange":"x","routingKey":"k"} | shown pub_sub.amqp.routingKey "k"
    pub_sub.amqp.deadLetterExchange | "dead" | kept
    pub_sub.amqp.schema | "http" | refused schema
    pub_sub.amqp.queue | "" | refused queue
"#;

const ENDPOINT: &str = r#"
    name | "another" | kept
    url | "https://example.com/other" | kept
    description | "of ours" | kept
    owner_id | "customer-7" | kept
    advanced_signatures | false | kept
    http_timeout | 20 | kept
    rate_limit | 0 | kept
    rate_limit | 5 | refused rate_limit_duration:from 1 to
    content_type | "application/x-www-form-urlencoded" | kept
    is_disabled | true | shown status "paused"
    secret | "a-long-secret-of-mine" | shown secrets.0.value "a-long-secret-of-mine"
    authentication | {"type":"api_key","api_key":{"header_name":"X-K","header_value":"a-long-key"}} | shown authentication.type "api_key"
    authentication | {"type":"basic_auth","basic_auth":{"username":"u","password":"a-long-password"}} | shown authentication.type "basic_auth"
    authentication | {"type":"oauth2","oauth2":{"url":"https://id.example.com/token","client_id":"c","client_secret":"a-long-secret","scope":"s","audience":"a"}} | shown authentication.oauth2.client_secret "********cret"
    authentication | {"type":"oauth2","oauth2":{"url":"https://id.example.com/token","client_id":"c","client_secret":"a-long-secret","scope":"s","audience":"a"}} | shown authentication.oauth2.scope "s"
    authentication | {"type":"oauth2","oauth2":{"url":"https://id.example.com/token","client_id":"c","client_secret":"s","grant_type":"client_credentials"}} | does a_token_is_fetched_once_and_sent_until_it_ends
    authentication | {"type":"oauth2","oauth2":{"url":"https://id.example.com/token","client_id":"c","client_secret":"s","grant_type":"password"}} | refused grant_type
    authentication | {"type":"oauth2","oauth2":{"url":"https://id.example.com/token","client_id":"c","authentication_type":"shared_secret"}} | refused client_secret
    authentication | {"type":"oauth2","oauth2":{"url":"https://id.example.com/token","client_id":"c","client_secret":"a-long-secret","field_mapping":{"access_token":"token","token_type":"kind","expires_in":"ttl"}}} | shown authentication.oauth2.field_mapping.access_token "token"
    authentication | {"type":"oauth2","oauth2":{"url":"https://id.example.com/token","client_id":"c","client_secret":"a-long-secret","expiry_time_unit":"milliseconds"}} | shown authentication.oauth2.expiry_time_unit "milliseconds"
    authentication | {"type":"oauth2","oauth2":{"url":"https://id.example.com/token","client_id":"c","authentication_type":"client_assertion","signing_algorithm":"ES384"}} | refused signing_key
    support_email | "a@example.com" | refused support_email is not supported yet
    slack_webhook_url | "https://hooks.slack.com/x" | refused slack_webhook_url is not supported yet
    teams_webhook_url | "https://example.com/x" | refused teams_webhook_url is not supported yet
    mtls_client_cert | {"client_cert":"x","client_key":"y"} | refused mtls_client_cert is not supported: a Worker
"#;

const SUBSCRIPTION: &str = r#"
    name | "another" | kept
    function | "function transform(x) { return x }" | kept
    alert_config | {"count":5,"threshold":"1h"} | kept
    alert_config | {"count":5,"threshold":"1h"} | does a_project_is_told_once_when_attempts_of_a_subscription_fail_as_often_as_its_alert_config_says
    filter_config.event_types | ["a","b"] | kept
    filter_config.filter | {"body":{"a":1}} | shown filter_config.filter.body.a 1
    filter_config.filter | {"headers":{"x-a":"1"}} | shown filter_config.filter.headers.x-a "1"
    filter_config.filter | {"query":{"q":"1"}} | shown filter_config.filter.query.q "1"
    filter_config.filter | {"path":{"path":"/a"}} | shown filter_config.filter.path.path "/a"
    filter_config.filter | {"body":{"a":{"$unknown":1}}} | refused $unknown
    filter_config.filter | {"bodies":{"a":1}} | refused bodies
    rate_limit_config | {"count":5,"duration":60} | kept
    retry_config | {"type":"linear","duration":10,"retry_count":3} | shown retry_config.retry_count 3
    delivery_mode | "at_most_once" | kept
    app_id | "a" | refused app_id is not supported yet
"#;

const PROJECT: &str = r#"
    logo_url | "https://example.com/logo.png" | kept
    type | "outgoing" | refused type:the type of a project does not change
    config.max_payload_read_size | 1000 | kept
    config.disable_endpoint | true | kept
    config.add_event_id_trace_headers | true | kept
    config.multiple_endpoint_subscriptions | true | kept
    config.request_id_header | "X-Own-Id" | kept
    config.ratelimit | {"count":10,"duration":60} | kept
    config.strategy | {"type":"linear","duration":5,"retry_count":3} | kept
    config.signature | {"header":"X-Own","versions":[{"hash":"SHA512","encoding":"hex"}]} | shown config.signature.header "X-Own"
    config.ssl.enforce_secure_endpoints | true | kept
    config.retention_policy | {"policy":"720h"} | shown config.retention_policy.days 30
    config | {"retention_policy":{"policy":"48h"},"is_retention_policy_enabled":true} | shown config.retention_policy.days 2
    config | {"retention_policy":{"policy":"48h"},"is_retention_policy_enabled":false} | refused is_retention_policy_enabled
    config.meta_event | {"is_enabled":true,"type":"http","url":"https://example.com/meta","secret":"a-long-secret","event_type":["endpoint.created"]} | shown config.meta_event.event_type ["endpoint.created"]
    config.meta_event | {"is_enabled":true,"type":"http","url":"https://example.com/meta","secret":"a-long-secret"} | shown config.meta_event.secret "********cret"
    config.meta_event | {"is_enabled":true,"type":"pub_sub","pub_sub":{"type":"sqs"}} | refused meta_event
    config.meta_event | {"is_enabled":true,"url":"https://example.com/meta","secret":"a-long-secret","event_type":["no.such"]} | refused event_type
    config.circuit_breaker.sample_rate | 20 | kept
    config.circuit_breaker.error_timeout | 40 | kept
    config.circuit_breaker.failure_threshold | 60 | kept
    config.circuit_breaker.success_threshold | 10 | kept
    config.circuit_breaker.observability_window | 7 | kept
    config.circuit_breaker.minimum_request_count | 12 | kept
    config.circuit_breaker.consecutive_failure_threshold | 9 | kept
    config.circuit_breaker.failure_threshold | 101 | refused failure_threshold
    config.replay_attacks_prevention_enabled | true | refused config.replay_attacks_prevention_enabled is not supported yet
    config.search_policy | "720h" | refused config.search_policy is not supported yet
"#;

const EVENT: &str = r#"
    event_type | "paid" | shown event_type "paid"
    data | {"n":1} | kept
    custom_headers | {"X-Own":"1"} | shown headers.X-Own.0 "1"
    idempotency_key | "key-of-this-test" | kept
    owner_id | "customer-7" | shown event_type "t"
    app_id | "a" | refused app_id
    url | "https://example.com/d" | refused url:has no effect here
"#;

const FANOUT: &str = r#"
    owner_id | "customer-7" | shown event_type "t"
    owner_id | "" | refused owner_id:please provide an owner id
    data | {"n":1} | kept
    custom_headers | {"X-Own":"1"} | shown headers.X-Own.0 "1"
    idempotency_key | "key-of-a-fanout" | kept
"#;

const BROADCAST: &str = r#"
    event_type | "paid" | shown event_type "paid"
    data | {"n":1} | kept
    custom_headers | {"X-Own":"1"} | shown headers.X-Own.0 "1"
    idempotency_key | "key-of-a-broadcast" | kept
    event_type | "" | refused event_type:please provide an event type
"#;

const DYNAMIC: &str = r#"
    url | "https://example.com/another" | shown event_type "t"
    url | "" | refused url:please provide an endpoint url
    secret | "a-long-secret-of-mine" | shown event_type "t"
    event_types | ["a","b"] | shown event_type "t"
    data | {"n":1} | kept
    custom_headers | {"X-Own":"1"} | shown headers.X-Own.0 "1"
    idempotency_key | "key-of-a-dynamic-event" | kept
"#;

const FILTER: &str = r#"
    event_type | "b" | kept
    headers | {"x-a":"1"} | kept
    body | {"a":{"$gt":1}} | kept
    query | {"q":"1"} | kept
    path | {"path":"/a"} | kept
    body | {"a":{"$nope":1}} | refused $nope
"#;

const EVENT_TYPE: &str = r#"
    category | "billing" | kept
    description | "of ours" | kept
    json_schema | {"type":"object"} | kept
"#;

const PORTAL_LINK: &str = r#"
    name | "another" | kept
    owner_id | "customer-7" | kept
    auth_type | "refresh_token" | kept
    can_manage_endpoint | true | kept
"#;

fn at<'v>(value: &'v Value, place: &str) -> &'v Value {
    value.pointer(&format!("/{}", place.replace('.', "/"))).unwrap_or(&Value::Null)
}

fn put(body: &mut Value, place: &str, value: Value) {
    let mut at = body;
    for step in place.split('.') {
        at = &mut at[step];
    }
    *at = value;
}

/// Every source file that may hold the test of an effect.
fn tests() -> String {
    let folder = repository().join("tests/e2e");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// Sends each field in turn, beside what is needed, and looks at what became of it. `send` answers the status and, where it
/// was taken, what a later read shows.
fn check(what: &str, lines: &str, base: &Value, send: impl Fn(&Value) -> (u16, Value)) {
    let tests = tests();
    let mut wrong = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let [field, value, fate] = line.splitn(3, " | ").collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let value: Value =
            serde_json::from_str(value).unwrap_or_else(|error| panic!("{line}: {error}"));
        let (fate, detail) = fate.split_once(' ').unwrap_or((fate, ""));
        if fate == "does" {
            assert!(tests.contains(&format!("fn {detail}(")), "{what}: there is no test {detail}");
            continue;
        }
        let mut body = base.clone();
        put(&mut body, field, value.clone());
        let (status, shown) = send(&body);
        let is_so = match fate {
            "refused" => {
                let message = shown["message"].as_str().unwrap_or_default();
                status == 400 && message.contains(detail)
            }
            "kept" => at(&shown, field) == &value,
            "shown" => {
                let (place, expect) = detail.split_once(' ').expect("a place and a value");
                let expect: Value = serde_json::from_str(expect).expect("JSON");
                at(&shown, place) == &expect
            }
            other => panic!("{other} is no fate"),
        };
        if !is_so {
            wrong.push(format!("{line}: {status} {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

/// Posts and gives back what the answer shows.
fn post(project: &Project<'_>, path: &str, body: &Value) -> (u16, Value) {
    let reply = project.post(path, body);
    let shown = if reply.status == 201 { reply.data() } else { reply.json() };
    (reply.status, shown)
}

#[test]
fn no_field_that_convoy_documents_is_accepted_and_dropped() {
    let project = gateway().project();
    check("a source", SOURCE, &json!({"name": "a", "type": "http"}), |body| {
        let (status, shown) = post(&project, "/sources", body);
        if status != 201 || body.get("is_disabled").is_none() {
            return (status, shown);
        }
        let read = project.get(&format!("/sources/{}", uid(&shown)));
        (status, read.expect(200).data())
    });
    for (lines, broker, base) in [
        (KAFKA, "kafka", json!({"brokers": ["a:9092"], "topic_name": "t"})),
        (
            SQS,
            "sqs",
            json!({"queue_name": "q", "default_region": "r", "access_key_id": "A", "secret_key": "s"}),
        ),
        (GOOGLE, "google", json!({"project_id": "p", "subscription_id": "s"})),
        (AMQP, "amqp", json!({"schema": "amqp", "host": "h", "port": "5672", "queue": "q"})),
    ] {
        let base = json!({"name": "a", "type": "pub_sub", "pub_sub": {"type": broker, "workers": 1, broker: base}});
        check(broker, lines, &base, |body| post(&project, "/sources", body));
    }
    let endpoint = json!({"name": "a", "url": "https://example.com/"});
    check("an endpoint", ENDPOINT, &endpoint, |body| post(&project, "/endpoints", body));
    let base = json!({"name": "a", "source_id": uid(&project.open_source()),
        "endpoint_id": uid(&project.endpoint(endpoint.clone()))});
    check("a subscription", SUBSCRIPTION, &base, |body| post(&project, "/subscriptions", body));
    let next = std::cell::Cell::new(0);
    check("a filter", FILTER, &json!({}), |body| {
        // Each for a type of its own: a subscription has one for each.
        let subscription = uid(&project.subscription(base.clone()));
        next.set(next.get() + 1);
        let mut body = body.clone();
        if body.get("event_type").is_none() {
            body["event_type"] = json!(format!("filtered-{}", next.get()));
        }
        post(&project, &format!("/subscriptions/{subscription}/filters"), &body)
    });
    check(
        "a portal link",
        PORTAL_LINK,
        &json!({"name": "a", "owner_id": "o", "auth_type": "static_token"}),
        |body| post(&project, "/portal-links", body),
    );
    let next = std::cell::Cell::new(0);
    check("an event type", EVENT_TYPE, &json!({}), |body| {
        next.set(next.get() + 1);
        let mut body = body.clone();
        body["name"] = json!(format!("type-{}", next.get()));
        post(&project, "/event-types", &body)
    });
    let configured = gateway().project();
    check("a project", PROJECT, &json!({}), |body| {
        let reply = configured.put("", body);
        let shown = if reply.status == 202 { reply.data() } else { reply.json() };
        (reply.status, shown)
    });
    let outgoing = gateway().outgoing(json!({}));
    let target = uid(&outgoing
        .endpoint(json!({"name": "a", "url": "https://example.com/", "is_disabled": true})));
    let event = json!({"endpoint_id": target, "event_type": "t", "data": {}});
    let common = json!({"event_type": "t", "data": {}});
    let with = |field: &str, value: &str| {
        let mut body = common.clone();
        body[field] = json!(value);
        body
    };
    for (what, path, lines, base) in [
        ("an event", "/events", EVENT, &event),
        ("a fanout", "/events/fanout", FANOUT, &with("owner_id", "o")),
        ("a broadcast", "/events/broadcast", BROADCAST, &common),
        ("a dynamic event", "/events/dynamic", DYNAMIC, &with("url", "https://example.com/d")),
    ] {
        check(what, lines, base, |body| {
            let (status, shown) = post(&outgoing, path, body);
            if status == 201 {
                (status, outgoing.wait_for_event(&uid(&shown)))
            } else {
                (status, shown)
            }
        });
    }
}
