use super::begin::INTERRUPTED_MAX;
use super::*;
use crate::api::parse;
use crate::breaker::Outcome;
use crate::endpoint::Status as EndpointStatus;
use crate::retry::StrategyKind;
use crate::vault::Vault;

const CHARGE: &[u8] = br#"{"event":"charge.success","amount":1000,"currency":"NGN"}"#;

struct Case {
    delivery: Delivery,
    event: StoredEvent,
    endpoint: Endpoint,
    secrets: Vec<Secret>,
    config: Config,
    body: Vec<u8>,
    is_made: bool,
    credential: Option<(String, String)>,
}

impl Case {
    fn new(secret: &str, url: &str) -> Self {
        let vault = Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
        let body = format!(r#"{{"name":"a","url":"{url}","secret":"{secret}"}}"#);
        let input = parse(body.as_bytes()).unwrap();
        let (endpoint, _) =
            Endpoint::create(input, "p", true, &vault, 0, &mut |b| b.fill(5)).unwrap();
        let event = serde_json::from_value(json!({
            "project_id": "p", "id": "evt", "source_id": "s", "mask_id": "m", "event_type": "push", "received_at": 0,
            "content_type": "application/json", "headers": r#"[["x-github-event","push"],["webhook-id","forged"]]"#,
            "query": "a=b", "idempotency_key": null, "body": "", "is_base64": 0, "body_key": null, "status": "Success",
            "failure_reason": "",
        }));
        let delivery = serde_json::from_value(json!({
            "project_id": "p", "id": "dlv", "event_id": "evt", "subscription_id": "sub", "endpoint_id": "e", "source_id": "s",
            "event_type": "push", "delivery_mode": "at_least_once", "status": "Processing", "description": "", "attempts": 0,
            "attempt": null, "due_at": null, "created_at": 0, "updated_at": 0,
        }));
        Self {
            delivery: delivery.unwrap(),
            event: event.unwrap(),
            endpoint,
            secrets: vec![Secret::new(secret.as_bytes()).unwrap()],
            config: Config::default(),
            body: CHARGE.to_vec(),
            is_made: false,
            credential: None,
        }
    }

    fn call(&self, allow_private: bool, now_s: u64) -> Result<Call, Undeliverable> {
        let outgoing = Outgoing {
            delivery: &self.delivery,
            event: &self.event,
            body: &self.body,
            endpoint: &self.endpoint,
            secrets: &self.secrets,
            config: &self.config,
            is_made: self.is_made,
            credential: self.credential.as_ref(),
        };
        outgoing.call(allow_private, now_s * 1000)
    }

    fn header(&self, name: &str, now_s: u64) -> String {
        let headers = self.call(true, now_s).unwrap().headers;
        let mut values = headers.into_iter().filter(|(have, _)| have.eq_ignore_ascii_case(name));
        let value = values.next().unwrap().1;
        assert!(values.next().is_none(), "{name} is there once");
        value
    }

    fn versions(&mut self, versions: &[(&str, &str)]) {
        let version = |(hash, encoding): &(&str, &str)| crate::project::SignatureVersion {
            uid: String::new(),
            hash: (*hash).into(),
            encoding: (*encoding).into(),
        };
        self.config.signature.versions = versions.iter().map(version).collect();
    }
}

#[test]
fn a_pushed_event_names_its_own_user_agent_and_a_providers_is_not_passed_on() {
    let mut case = Case::new("secret", "https://example.com/");
    assert_eq!(case.header("user-agent", 1), USER_AGENT);
    case.event.headers = r#"[["user-agent","Mine/1"]]"#.into();
    assert_eq!(case.header("user-agent", 1), USER_AGENT, "it came with a request");
    case.event.mask_id = String::new();
    assert_eq!(case.header("user-agent", 1), "Mine/1");
}

#[test]
fn convoys_published_signatures_come_out() {
    let mut case = Case::new("convoy-webhook-secret", "https://example.com");
    for (hash, encoding, simple, advanced) in [
        (
            "SHA256",
            "hex",
            "244449b7f48cbc2709060c9dcdc2b3aa47a78f540430579015c579fb12defbb4",
            "77b8b9269f25a199846a55a2bd25b3fba151c70fdae60bb1dcd87fbbc943c55c",
        ),
        (
            "SHA256",
            "base64",
            "JERJt/SMvCcJBgydzcKzqkenj1QEMFeQFcV5+xLe+7Q=",
            "d7i5Jp8loZmEalWivSWz+6FRxw/a5gux3Nh/u8lDxVw=",
        ),
        (
            "SHA512",
            "base64",
            "bMdy3IGUKuG1/6kcOmoHsNN+3I3GvYPjUYohnx8Z/3GuG3bWsyCUDUFMI2oarX95MLY+DxkolRlV0xIZVF4bZg==",
            "shIuJSzSWCzyJcsrjUzu3p40Mp4v6VwCYZw+1dSj2ac+a+ry3/jnbXGmk64ZjO5AaF7tEq1O4uAz3C0Dme3gVw==",
        ),
    ] {
        case.versions(&[(hash, encoding)]);
        case.endpoint.advanced_signatures = false;
        assert_eq!(case.header("X-Convoy-Signature", 1_700_000_000), simple);
        case.endpoint.advanced_signatures = true;
        assert_eq!(
            case.header("X-Convoy-Signature", 1_700_000_000),
            format!("t=1700000000,v1={advanced}")
        );
    }
}

#[test]
fn every_active_secret_and_version_signs() {
    let mut case = Case::new("unused-secret", "https://example.com");
    case.body = br#"{"b":{},"e":"123","a":1}"#.to_vec();
    case.secrets = ["older-expired-secret", "expired-secret", "new-secret"]
        .map(|secret| Secret::new(secret.as_bytes()).unwrap())
        .into();
    assert_eq!(
        case.header("X-Convoy-Signature", 1_257_894_000),
        "t=1257894000,v1=5b255b0b867c5540679bad7dfa11be73ffd4ee248647646fb325ccbe19167439,\
         v1=9942b27103f8f5f5ce4cd3751524dbb7087a596487c784655a33f528cd4d7400,\
         v1=d5589c4f5e51d74e6116c8d5db2704d76cdf88521e2cdd749d2d5091e3d6183c"
    );
    assert_eq!(case.header("webhook-signature", 1_257_894_000).split(' ').count(), 3);
    case.versions(&[("SHA256", "hex"), ("SHA512", "base64")]);
    assert!(case.header("X-Convoy-Signature", 1).contains(",v2="));
}

#[test]
fn the_bytes_that_are_sent_are_what_is_signed() {
    let mut case = Case::new("secret-secret", "https://example.com");
    case.endpoint.advanced_signatures = false;
    case.body = b"{ \"a\" : 1 }\n".to_vec();
    let expect = hex::encode(hmac(Hash::Sha256, b"secret-secret", &[b"{ \"a\" : 1 }\n"]));
    assert_eq!(case.header("X-Convoy-Signature", 1), expect);
}

#[test]
fn standard_webhooks_own_vector_comes_out() {
    let mut case = Case::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "https://example.com");
    case.event.id = "msg_p5jXN8AQM9LWM0D4loKWxJek".into();
    case.body = br#"{"test": 2432232314}"#.to_vec();
    assert_eq!(
        case.header("webhook-signature", 1_614_265_330),
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
    assert_eq!(case.header("webhook-id", 1), "msg_p5jXN8AQM9LWM0D4loKWxJek");
}

#[test]
fn the_events_query_and_headers_go_along_and_never_replace_ours() {
    let case = Case::new("secret-secret", "https://example.com/hooks?own=1");
    let call = case.call(false, 1).unwrap();
    assert_eq!(call.url, "https://example.com/hooks?own=1&a=b");
    assert_eq!(case.header("x-github-event", 1), "push");
    assert_eq!(case.header("webhook-id", 1), "evt");
}

#[test]
fn a_header_that_repeats_goes_out_once_with_all_of_its_values() {
    let mut case = Case::new("secret-secret", "https://example.com");
    case.event.headers = r#"[["x-h","1"],["webhook-id","forged"],["X-H","2"]]"#.into();
    let headers = case.call(false, 1).unwrap().headers;
    let found: Vec<_> =
        headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-h")).collect();
    assert_eq!(found, [&("x-h".to_owned(), "1, 2".to_owned())]);
    assert_eq!(case.header("webhook-id", 1), "evt");
}

#[test]
fn a_call_that_must_not_be_made_is_not_made() {
    let mut case = Case::new("secret-secret", "http://127.0.0.1:9000/");
    assert!(case.call(true, 1).is_ok());
    let refused = case.call(false, 1).unwrap_err().settled(&case.delivery, 1);
    assert_eq!(refused.status, Status::Failure);
    assert!(refused.description.contains("loopback"), "{}", refused.description);
    case.endpoint.status = EndpointStatus::Paused;
    let waits = case.call(true, 1).unwrap_err().settled(&case.delivery, 7);
    assert_eq!((waits.status, waits.due_at), (Status::Retry, Some(7)));
    let not_made = Undeliverable::NotMade("the endpoint's secrets");
    let due = |age: u64| not_made.settled(&case.delivery, case.delivery.created_at + age).due_at;
    let created = case.delivery.created_at;
    assert_eq!(due(0), Some(created + 30_000));
    assert_eq!(due(800_000), Some(created + 900_000));
    assert_eq!(due(800_000_000), Some(created + 803_600_000));
    let no_room = |age: u64| Undeliverable::NoRoom.settled(&case.delivery, created + age).due_at;
    assert_eq!(no_room(0), Some(created + 2_000));
    assert_eq!(no_room(80_000), Some(created + 90_000));
    assert_eq!(no_room(800_000), Some(created + 860_000));
    let too_late = Undeliverable::TooLate.settled(&case.delivery, created);
    assert_eq!((too_late.status, too_late.due_at), (Status::Retry, Some(created + 2_000)));
    for (now, timeout, expect) in
        [(0, 60_000, true), (19_999, 60_000, true), (20_000, 60_000, false), (89_000, 1, false)]
    {
        assert_eq!(in_lease(now, timeout, 90_000).is_ok(), expect, "{now}");
    }
    case.delivery.delivery_mode = "at_most_once".into();
    case.delivery.description = INTERRUPTED.into();
    let begin = |case: &Case, event: bool, endpoint: bool| {
        let event = event.then(|| case.event.clone());
        begin(&case.delivery, 6, event, endpoint.then_some(&case.endpoint)).map(|event| event.id)
    };
    for (event, endpoint) in [(true, true), (false, true), (true, false)] {
        assert_eq!(begin(&case, event, endpoint), Err(Undeliverable::Interrupted));
    }
    case.delivery.description = String::new();
    assert_eq!(begin(&case, true, true), Ok("evt".into()));
    assert_eq!(begin(&case, false, true), Err(Undeliverable::BodyGone));
    assert_eq!(begin(&case, true, false), Err(Undeliverable::EndpointGone));
}

#[test]
fn a_call_that_kills_its_dispatcher_is_made_alone_and_given_up_in_the_end() {
    let mut case = Case::new("secret-secret", "https://example.com/");
    let begin = |case: &Case, together: usize| {
        let event = Some(case.event.clone());
        begin(&case.delivery, together, event, Some(&case.endpoint)).map(|_| ())
    };
    assert_eq!((begin(&case, 1), begin(&case, 6)), (Ok(()), Ok(())));
    for interrupted in 1..INTERRUPTED_MAX {
        case.delivery.interrupted = interrupted;
        assert_eq!((begin(&case, 1), begin(&case, 2)), (Ok(()), Err(Undeliverable::Apart)));
    }
    let apart = Undeliverable::Apart.settled(&case.delivery, 7);
    assert_eq!((apart.status, apart.due_at), (Status::Retry, Some(7)));
    case.delivery.interrupted = INTERRUPTED_MAX;
    let why = begin(&case, 6).unwrap_err();
    assert_eq!(begin(&case, 1), Err(why.clone()));
    let settled = why.settled(&case.delivery, 7);
    assert_eq!((settled.status, settled.due_at), (Status::Failure, None));
    assert!(settled.description.starts_with("given up: 10 times"), "{}", settled.description);
}

#[test]
fn the_endpoints_credential_goes_along_and_no_header_of_the_event_replaces_it() {
    let mut case = Case::new("secret-secret", "https://example.com/");
    case.credential = Some(("X-GitHub-Event".into(), "mine".into()));
    assert_eq!(case.header("x-github-event", 1), "mine");
    case.credential = Some(("webhook-id".into(), "mine".into()));
    assert_eq!(case.header("webhook-id", 1), "evt");
}

#[test]
fn what_no_header_may_hold_is_left_out_of_every_header() {
    let mut case = Case::new("secret-secret", "https://example.com/");
    case.event.headers = json!([["x-odd", "a\u{1}b\r\nc"]]).to_string();
    case.event.content_type = Some("text/\u{0}plain".into());
    case.event.idempotency_key = Some("broker:1\n2".into());
    assert_eq!(case.header("x-odd", 1), "abc");
    assert_eq!(case.header("content-type", 1), "text/plain");
    assert_eq!(case.header("x-convoy-idempotency-key", 1), "broker:12");
}

#[test]
fn a_form_is_what_is_signed_when_a_form_is_sent() {
    let mut case = Case::new("secret-secret", "https://example.com/");
    case.endpoint.content_type = ContentType::Form;
    case.endpoint.advanced_signatures = false;
    case.body = body_for(case.endpoint.content_type, None, CHARGE).unwrap().into_owned();
    assert_eq!(case.body, b"event=charge.success&amount=1000&currency=NGN");
    let expect = hex::encode(hmac(Hash::Sha256, b"secret-secret", &[&case.body]));
    assert_eq!(case.header("X-Convoy-Signature", 1), expect);
    assert_eq!(case.header("content-type", 1), "application/x-www-form-urlencoded");
    assert_eq!(
        body_for(case.endpoint.content_type, None, b"[1]").unwrap_err(),
        Undeliverable::NoForm
    );
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Answered {
    let headers = headers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    Answered::Response { status, headers, body: Vec::new() }
}

#[track_caller]
fn check(
    answered: Answered,
    attempt: u32,
    mode: DeliveryMode,
    expect: (Status, &str, Option<u64>),
) {
    let strategy = Strategy { kind: StrategyKind::Linear, duration: 10, retry_count: 3 };
    let settled = settle(&answered, attempt, mode, &strategy, 1_000, 0);
    assert_eq!((settled.status, settled.description.as_str(), settled.due_at), expect);
}

#[test]
fn an_answer_decides_what_becomes_of_a_delivery() {
    use DeliveryMode::{AtLeastOnce, AtMostOnce};
    let nothing = || Answered::Nothing { error: "connection refused".into() };
    let limit = "Retry limit exceeded";
    for status in [200, 201, 202, 204] {
        check(answer(status, &[]), 1, AtLeastOnce, (Status::Success, "", None));
    }
    check(answer(299, &[]), 3, AtLeastOnce, (Status::Success, "", None));
    check(answer(302, &[]), 1, AtLeastOnce, (Status::Retry, "", Some(11_000)));
    check(answer(400, &[]), 1, AtLeastOnce, (Status::Retry, "", Some(11_000)));
    check(answer(500, &[]), 2, AtLeastOnce, (Status::Retry, "", Some(11_000)));
    check(answer(500, &[]), 3, AtLeastOnce, (Status::Failure, limit, None));
    check(answer(503, &[("retry-after", "60")]), 1, AtLeastOnce, (Status::Retry, "", Some(61_000)));
    check(answer(429, &[("retry-after", "1")]), 1, AtLeastOnce, (Status::Retry, "", Some(11_000)));
    check(nothing(), 1, AtLeastOnce, (Status::Retry, "", Some(11_000)));
    check(
        nothing(),
        1,
        AtMostOnce,
        (Status::Failure, "Endpoint did not answer: connection refused", None),
    );
    check(
        answer(500, &[]),
        1,
        AtMostOnce,
        (Status::Failure, "Endpoint returned status code 500", None),
    );
    // It has not been called, so it may be tried again.
    let uncalled = || Answered::NotCalled { error: "no token".into() };
    check(uncalled(), 1, AtMostOnce, (Status::Retry, "", Some(11_000)));
    check(uncalled(), 3, AtLeastOnce, (Status::Failure, limit, None));
    let gone = "Endpoint answered 410 Gone: it does not want this event";
    check(answer(410, &[]), 1, AtLeastOnce, (Status::Failure, gone, None));
}

#[test]
fn an_attempt_keeps_the_answer_and_masks_credentials() {
    let call = Call {
        url: "https://x/".into(),
        headers: vec![("Authorization".into(), "Bearer x".into()), ("X-Mine".into(), "y".into())],
        timeout_ms: 1,
        credential: Some("x-mine".into()),
    };
    let answered = Answered::Response {
        status: 200,
        headers: vec![("set-cookie".into(), "a=b".into()), ("x-id".into(), "7".into())],
        body: b"ok\xff\0".to_vec(),
    };
    let case = Case::new("secret-secret", "https://example.com");
    let shown = Attempt::new("a".into(), 1, &call, &answered, 1_000, 1_250).present(&case.delivery);
    assert_eq!(shown["http_status"], "200 OK");
    assert_eq!(shown["status"], true);
    assert_eq!(shown["latency_ms"], 250);
    assert_eq!(shown["response_data"], "ok\u{fffd}\u{fffd}");
    assert_eq!(
        shown["request_http_header"],
        json!({"Authorization": "********", "X-Mine": "********"})
    );
    assert_eq!(shown["response_http_header"], json!({"set-cookie": "********", "x-id": "7"}));
}

#[test]
fn an_answer_of_cloudflares_own_is_not_taken_for_the_endpoints() {
    let call =
        Call { url: "http://8.8.8.8/".into(), headers: vec![], timeout_ms: 1, credential: None };
    let attempt = |status, body: &str| {
        let answered = Answered::Response { status, headers: vec![], body: body.into() };
        Attempt::new("a".into(), 1, &call, &answered, 1_000, 1_250)
    };
    let explained = attempt(403, "error code: 1003");
    assert!(explained.error.contains("give the url a host name"), "{}", explained.error);
    assert_eq!(explained.outcome(), Outcome::Failure(explained.error.clone()));
    let own = attempt(403, "no");
    assert_eq!((own.error.as_str(), own.outcome()), ("", Outcome::Failure("403 Forbidden".into())));
    assert_eq!(attempt(200, "error code: 1003").error, "");
}

#[test]
fn what_is_due_later_than_a_queue_can_tell_is_left_to_the_sweep() {
    let settled = |due_at| Settled { status: Status::Retry, description: String::new(), due_at };
    assert_eq!(settled(None).rings_in(5), None);
    assert_eq!(settled(Some(3)).rings_in(5), Some(0));
    assert_eq!(settled(Some(5 + BELL_DELAY_MAX_MS)).rings_in(5), Some(BELL_DELAY_MAX_MS));
    assert_eq!(settled(Some(6 + BELL_DELAY_MAX_MS)).rings_in(5), None);
}

#[test]
fn what_a_sender_says_of_its_body_goes_with_that_body_alone() {
    let headers = json!([
        ["content-encoding", "gzip"],
        ["Digest", "SHA-256=abc"],
        ["content-md5", "x"],
        ["signature-input", "a"],
        ["x-tenant", "acme"]
    ]);
    let sent = |change: fn(&mut Case)| {
        let mut case = Case::new("a-secret-of-ours", "https://example.com/");
        case.event.headers = headers.to_string();
        change(&mut case);
        let headers = case.call(true, 1).unwrap().headers;
        let theirs = ["content-encoding", "digest", "content-md5", "signature-input", "x-tenant"];
        theirs.map(|name| headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name)))
    };
    assert_eq!(sent(|_| {}), [true; 5]);
    assert_eq!(sent(|case| case.event.arrived = Some(r#"{"headers":[]}"#.into())), [true; 5]);
    let made = [false, false, false, false, true];
    assert_eq!(sent(|case| case.is_made = true), made);
    assert_eq!(sent(|case| case.endpoint.content_type = ContentType::Form), made);
    assert_eq!(
        sent(|case| case.event.arrived = Some(r#"{"content_type":null,"body":["x",false]}"#.into())),
        made
    );
}

#[test]
fn a_header_that_is_too_long_to_be_shown_hides_no_other() {
    let long = "x".repeat(16_384);
    let headers = [("a", "1"), ("b", &*long), ("c", "3")].map(|(k, v)| (k.into(), v.into()));
    let shown = masked(&headers, None);
    assert_eq!(shown, [("a", "1"), ("c", "3")].map(|(k, v)| (k.into(), v.into())));
}
