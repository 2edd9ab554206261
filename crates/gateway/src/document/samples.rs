//! What the presenters show: made by the functions that the handlers call, from bodies that the readers read.

mod dead_letters;

use dead_letters::dead_letters;
use inlet_verify::Secret;
use serde_json::{Value, json};

use crate::api::{ApiError, parse};
use crate::api_key::NewApiKey;
use crate::breaker::{self, Breaker, BreakerConfig};
use crate::consumer::{self, NewKey, StoredKey};
use crate::deliver::{Answered, Attempt, Call, Delivery};
use crate::endpoint::{ContentType, Endpoint};
use crate::event::StoredEvent;
use crate::event_type::EventType;
use crate::hookstream;
use crate::meta_event;
use crate::page::PageQuery;
use crate::pointed::Pointed;
use crate::portal::PortalLink;
use crate::project::Project;
use crate::sent::Sent;
use crate::source::{ArmInput, Source};
use crate::source_count::{SourceCount, count_into};
use crate::subscription::Subscription;
use crate::type_filter::{Batch, FilterInput, TypeFilter};
use crate::vault::Vault;
use crate::version::Version;

/// 2026-11-26T12:00:00Z.
pub(super) const NOW: u64 = 1_795_694_400_000;
pub(super) const PROJECT: &str = "01KB0J7EA0PR0JECT0EXAMP1E0";
pub(super) const SOURCE: &str = "01KB0J7EA0S0VRCE00EXAMP1E0";
pub(super) const ENDPOINT: &str = "01KB0J7EA0ENDP01NT0EXAMP1E";
pub(super) const SUBSCRIPTION: &str = "01KB0J7EA0SVBSCR1PT10NEXAM";
pub(super) const EVENT: &str = "01KB0J7EA0EVENT00EXAMP1E00";
pub(super) const DELIVERY: &str = "01KB0J7EA0DE11VERY0EXAMP1E";
pub(super) const FILTER: &str = "01KB0J7EA0F11TER00EXAMP1E0";
pub(super) const EVENT_TYPE: &str = "01KB0J7EA0EVENTTYPEEXAMP1E";
pub(super) const PORTAL_LINK: &str = "01KB0J7EA0P0RTA1110EXAMP1E";
const ORIGIN: &str = "https://gateway.example.com";

pub(super) const PROJECT_BODY: &str = r#"{"name":"orders","type":"outgoing","config":{
    "strategy":{"type":"exponential","duration":10,"retry_count":20},
    "signature":{"header":"X-Convoy-Signature","versions":[{"hash":"SHA256","encoding":"hex"}]},
    "retention_policy":{"days":30}}}"#;
pub(super) const GITHUB_BODY: &str = r#"{"name":"github","type":"http","provider":"github",
    "verifier":{"type":"hmac","hmac":{"secret":"a-long-secret-of-yours"}}}"#;
pub(super) const HMAC_BODY: &str = r#"{"name":"own service","type":"http","verifier":{"type":"hmac","hmac":{
    "header":"X-Signature","hash":"SHA256","encoding":"hex","secret":"a-long-secret-of-yours"}},
    "event_type_location":"request.body.type","idempotency_keys":["request.header.X-Request-Id"],
    "custom_response":{"body":"thanks for {{event_id}}","content_type":"text/plain","status":202,"headers":{"X-Queue":"orders"}},"forward_headers":["X-Request-Id"],"forward_query":["page"]}"#;
pub(super) const HOOKSTREAM_BODY: &str = r#"{"name":"orders","slug":"orders","description":"of the shop",
    "verification_type":"hmac_sha256","verification_header":"X-Signature","verification_secret":"a-long-secret-of-yours",
    "dedup_strategy":"header_field","dedup_field":"X-Request-Id","ip_allowlist":["192.0.2.0/24","2001:db8::/32"]}"#;
const SCHEME_BODY: &str = r#"{"name":"scheme","type":"http","verifier":{"type":"scheme","mode":"observe",
    "tolerance_seconds":60,"public_url":"https://hooks.example.com","failure_response":{"status":403,"body":"no"},
    "secrets":[{"value":"a-long-secret-of-yours","label":"new","expires_at":"2027-01-01T00:00:00Z"}],
    "scheme":{"preset":"timestamped","header":"X-Signature"}}}"#;
/// What no other sample sets.
const WHOLE_BODY: &str = r#"{"name":"whole","type":"http","max_requests":1000,"expires_at":"2027-01-01T00:00:00Z",
    "json_schema":{"type":"object","required":["id"]},"json_schema_action":"reject",
    "body_function":"function transform(input) { return input }",
    "header_function":"function transform(input) { return input }",
    "verifier":{"type":"scheme","scheme":{"preset":"timestamped","header":"X-Signature"},
    "secrets":[{"value":"a-long-secret-of-yours"}]}}"#;
const SNS_BODY: &str = r#"{"name":"sns","type":"http","provider":"aws_sns",
    "provider_config":{"sns":{"topic_arn":"arn:aws:sns:eu-west-1:123456789012:orders"}}}"#;
const BASIC_BODY: &str = r#"{"name":"basic","type":"rest_api",
    "verifier":{"type":"basic_auth","basic_auth":{"username":"user","password":"a-long-password"}}}"#;
const KEY_BODY: &str = r#"{"name":"key","type":"http",
    "verifier":{"type":"api_key","api_key":{"header_name":"X-Key","header_value":"a-long-key-of-yours"}}}"#;
const ARMED_BODY: &str = r#"{"name":"asana","type":"http","provider":"asana"}"#;
const X_BODY: &str = r#"{"name":"x","type":"http","provider":"twitter",
    "verifier":{"type":"hmac","hmac":{"secret":"a-long-secret-of-yours"}}}"#;
pub(super) const ENDPOINT_BODY: &str = r#"{"name":"billing","url":"https://billing.example.com/hooks",
    "owner_id":"customer-7","description":"invoices","http_timeout":20,"advanced_signatures":true,
    "rate_limit":100,"rate_limit_duration":60}"#;
const NOTION_BODY: &str = r#"{"name":"notion","type":"http","provider":"notion"}"#;
pub(super) const SUBSCRIPTION_BODY: &str = r#"{"name":"github to billing","source_id":"01KB0J7EA0S0VRCE00EXAMP1E0",
    "endpoint_id":"01KB0J7EA0ENDP01NT0EXAMP1E","filter_config":{"event_types":["push"]},
    "delivery_mode":"at_least_once"}"#;

pub(super) const FILTER_BODY: &str = r#"{"event_type":"invoice.paid","body":{"invoice.total":{"$gt":100}},
    "headers":{"X-Env":{"$neq":"test"}}}"#;
pub(super) const EVENT_TYPE_BODY: &str = r#"{"name":"invoice.paid","category":"billing",
    "description":"An invoice was paid.","json_schema":{"type":"object","required":["invoice"]}}"#;
pub(super) const PORTAL_BODY: &str = r#"{"name":"customer 7","owner_id":"customer-7","auth_type":"static_token",
    "can_manage_endpoint":true}"#;

const KAFKA_BODY: &str = r#"{"name":"orders","type":"pub_sub","pub_sub":{"type":"kafka","workers":3,"kafka":{
    "brokers":["kafka.example.com:9092"],"topic_name":"orders"}}}"#;
pub(super) const REPORT_BODY: &str = r#"{"companion":"host-1-a","version":"0.1.0","sources":[{
    "source_id":"01KB0J7EA0S0VRCE00EXAMP1E0","version":"1","state":"connected","lag":0,"received":12,"accepted":12}]}"#;

/// Bytes that are the same in every run, and not the same twice.
pub(super) fn fill() -> impl FnMut(&mut [u8]) {
    let mut state: u32 = 7;
    move |buffer: &mut [u8]| {
        for byte in buffer {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = state.to_be_bytes()[0];
        }
    }
}

pub(super) fn vault() -> Vault {
    Vault::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("32 bytes")
}

#[track_caller]
pub(super) fn made<T>(result: Result<T, ApiError>) -> T {
    result.unwrap_or_else(|error| panic!("a sample is refused: {error}"))
}

fn project(body: &str) -> Project {
    let made = made(Project::create(made(parse(body.as_bytes())), 0, NOW, &mut fill()));
    Project { uid: PROJECT.into(), ..made }
}

fn source(body: &str) -> Source {
    let input = made(parse(body.as_bytes()));
    let made = made(Source::create(input, PROJECT, &vault(), NOW, &mut fill()));
    Source { uid: SOURCE.into(), ..made }
}

fn armed() -> Source {
    let mut armed = source(ARMED_BODY);
    made(armed.arm(made(parse::<ArmInput>(b"{}")), NOW));
    armed
}

fn handed_over() -> Source {
    let mut notion = source(NOTION_BODY);
    made(notion.arm(made(parse::<ArmInput>(b"{}")), NOW));
    let secret = Secret::new(*b"secret_EXAMPLE0handed0over").expect("a secret");
    notion.capture(&secret, &vault(), NOW, &mut fill()).expect("it is armed");
    notion
}

fn endpoint(body: &str) -> (Endpoint, String) {
    let input = made(parse(body.as_bytes()));
    let (made, secret) = made(Endpoint::create(input, PROJECT, false, &vault(), NOW, &mut fill()));
    (Endpoint { uid: ENDPOINT.into(), ..made }, secret)
}

fn sessions() -> Vec<Value> {
    let open =
        made(hookstream::open_session(made(parse(b"{}")), PROJECT, &vault(), NOW, &mut fill()));
    let open = Source { uid: SOURCE.into(), mask_id: SOURCE.into(), ..open };
    let mut answering = open.clone();
    let response = made(parse(br#"{"status":202,"content_type":"text/plain","body":"thanks"}"#));
    made(hookstream::respond(&mut answering, response, &vault(), NOW, &mut fill()));
    // Half of the limits may be taken away as from any source.
    let (mut endless, mut unlimited) = (open.clone(), open.clone());
    endless.admission.expires_at = None;
    unlimited.admission.max_requests = None;
    let all = [open, answering, endless, unlimited];
    all.iter().map(|source| hookstream::present_session(source, ORIGIN, 12)).collect()
}

fn endpoints() -> Vec<Value> {
    let (endpoint, secret) = endpoint(ENDPOINT_BODY);
    let mut exchanged = endpoint.clone();
    let new =
        exchanged.expire_secret(made(parse(br#"{"expiration":24}"#)), &vault(), NOW, &mut fill());
    let new = made(new);
    let failed = Breaker {
        endpoint_id: ENDPOINT.into(),
        state: "open".into(),
        since: NOW,
        reason: "7 of 10 calls failed, the last: 503 Service Unavailable".into(),
        next_try: NOW + 30_000,
        window_start: NOW,
        ok: 3,
        failed: 7,
        trips: 1,
    };
    let mut all = Vec::new();
    for auth in [
        r#"{"type":"api_key","api_key":{"header_name":"X-Key","header_value":"one-of-theirs"}}"#,
        r#"{"type":"basic_auth","basic_auth":{"username":"inlet","password":"one-of-theirs"}}"#,
        r#"{"type":"oauth2","oauth2":{"url":"https://id.example.com/token","client_id":"inlet","client_secret":"one-of-theirs"}}"#,
    ] {
        let mut with = endpoint.clone();
        let body = format!("{{\"authentication\":{auth}}}");
        made(with.update(made(parse(body.as_bytes())), false, &vault(), NOW, &mut fill()));
        all.push(with.present());
    }
    all.splice(
        0..0,
        [endpoint.present_created(&secret), endpoint.present(), exchanged.present_exchanged(&new)],
    );
    for (shown, breaker) in all.iter_mut().zip([None, Some(&failed), None, None, None, None]) {
        let fields = breaker::present(breaker, &BreakerConfig::default(), NOW);
        if let (Value::Object(shown), Value::Object(fields)) = (shown, fields) {
            shown.extend(fields);
            shown.insert("events".into(), json!(12));
        }
    }
    let older = [Version::V20240101, Version::V20240401];
    let older = older.map(|version| version.show_endpoint(all[0].clone()));
    all.extend(older);
    all
}

fn subscription(body: &str) -> Subscription {
    let input = made(parse(body.as_bytes()));
    let made = made(Subscription::create(input, PROJECT, false, NOW, &mut fill()));
    Subscription { uid: SUBSCRIPTION.into(), ..made }
}

fn event() -> StoredEvent {
    StoredEvent {
        project_id: PROJECT.into(),
        id: EVENT.into(),
        source_id: SOURCE.into(),
        mask_id: "Jz6sEXAMPLE0mask".into(),
        event_type: "invoice.paid".into(),
        received_at: NOW,
        content_type: Some("application/json".into()),
        headers: r#"[["x-github-event","push"]]"#.into(),
        query: String::new(),
        idempotency_key: Some("invoice-7".into()),
        body: r#"{"invoice":7,"amount":1250}"#.into(),
        is_base64: 0,
        body_key: None,
        status: "Success".into(),
        failure_reason: String::new(),
        verification: Some(r#"{"verdict":"verified","secret":"primary"}"#.into()),
        target: None,
        broker_message_id: None,
        arrived: None,
        endpoints: None,
    }
}

/// What the other samples point at.
pub(super) fn pointed() -> Pointed {
    let rows = json!([
        {"kind": "endpoint", "id": ENDPOINT, "shown": json!({"uid": ENDPOINT, "name": "billing",
            "url": "https://billing.example.com/hooks", "target_url": "https://billing.example.com/hooks", "owner_id": "",
            "status": "active", "content_type": "application/json"}).to_string()},
        {"kind": "source", "id": SOURCE, "shown": json!({"uid": SOURCE, "name": "github", "type": "http",
            "provider": "github", "is_disabled": false}).to_string()},
    ]);
    Pointed::new(serde_json::from_value(rows).expect("rows"))
}

/// A subscription that was made from `body`, as it is shown.
pub(super) fn subscription_shown(body: &str) -> Value {
    let subscription = subscription(body);
    let mut shown = subscription.present();
    pointed().lay_over(&mut shown, &subscription.endpoint_id, &subscription.source_id);
    shown
}

pub(super) fn delivered_event() -> StoredEvent {
    StoredEvent { endpoints: Some(json!([ENDPOINT]).to_string()), ..event() }
}

pub(super) fn shown(text: String) -> Value {
    serde_json::from_str(&text).expect("what is shown is JSON")
}

pub(super) fn events() -> Vec<Value> {
    let first = delivered_event();
    let body = first.body.clone().into_bytes();
    let plain = StoredEvent {
        content_type: None,
        idempotency_key: None,
        source_id: String::new(),
        mask_id: String::new(),
        verification: None,
        target: Some(json!(crate::wire::Target::Endpoint(ENDPOINT.into())).to_string()),
        ..event()
    };
    let owned = StoredEvent {
        target: Some(json!(crate::wire::Target::Owner("customer-7".into())).to_string()),
        verification: Some(
            r#"{"verdict":"refused","reason":"no signature","observed":true}"#.into(),
        ),
        ..event()
    };
    let omitted = StoredEvent { body_key: Some("key".into()), ..event() };
    vec![
        shown(first.present_with(&body, None, &pointed())),
        shown(plain.present(b"text", None)),
        shown(owned.present(b"[1]", Some(EVENT))),
        shown(omitted.present_in_list(&pointed())),
        shown(first.present_with(&body, None, &Pointed::default())),
    ]
}

fn hookstream_sources() -> Vec<Value> {
    let bare = r#"{"name":"github","slug":"github","template":"github","verification_secret":"a-long-secret-of-yours"}"#;
    let full = r#"{"name":"full","slug":"full","verification_type":"hmac_sha256","verification_header":"X-Signature",
        "verification_secret":"a-long-secret-of-yours","verification_config":{"encoding":"base64"},
        "source_config":{"event_type_location":"request.body.type"},"ip_denylist":["192.0.2.7"],"request_limit":2000,
        "expires_at":"2030-01-31T00:00:00Z","json_schema":{"type":"object"},"schema_action":"warn"}"#;
    let made = |body: &str| {
        let input = made(parse(body.as_bytes()));
        let made = made(hookstream::create(input, PROJECT, &vault(), NOW, &mut fill()));
        Source { uid: SOURCE.into(), mask_id: SOURCE.into(), ..made }
    };
    let count = SourceCount { source_id: SOURCE.into(), events: 12, last_event_at: NOW };
    let mut all = vec![hookstream::present(&made(HOOKSTREAM_BODY), ORIGIN, &[count])];
    let others = [made(bare), made(full), source(KAFKA_BODY), source(SCHEME_BODY)];
    all.extend(others.iter().map(|other| hookstream::present(other, ORIGIN, &[])));
    all
}

fn attempt() -> Attempt {
    let call = Call {
        url: "https://billing.example.com/hooks".into(),
        headers: vec![("webhook-id".into(), EVENT.into())],
        timeout_ms: 20_000,
        credential: None,
    };
    let answered = Answered::Response {
        status: 200,
        headers: vec![("content-type".into(), "text/plain".into())],
        body: b"ok".to_vec(),
    };
    Attempt::new("01KB0J7EA0ATTEMPT0EXAMP1E0".into(), 1, &call, &answered, NOW, NOW + 42)
}

fn delivery() -> Delivery {
    Delivery {
        project_id: PROJECT.into(),
        id: DELIVERY.into(),
        event_id: EVENT.into(),
        subscription_id: SUBSCRIPTION.into(),
        endpoint_id: ENDPOINT.into(),
        source_id: SOURCE.into(),
        event_type: "invoice.paid".into(),
        delivery_mode: "at_least_once".into(),
        status: "Success".into(),
        description: String::new(),
        attempts: 1,
        attempt: Some(json!(attempt()).to_string()),
        due_at: None,
        interrupted: 0,
        created_at: NOW,
        updated_at: NOW + 42,
        replay: None,
        event: Some(
            json!({"idempotency_key": "invoice-7", "query": "", "received_at": NOW, "is_base64": 0,
                "headers": r#"[["x-github-event","push"]]"#, "content_type": "application/json",
                "body": r#"{"invoice":7,"amount":1250}"#})
            .to_string(),
        ),
    }
}

fn deliveries() -> Vec<Value> {
    let strategy = project(PROJECT_BODY).config.strategy;
    let waiting = Delivery {
        attempt: None,
        status: "Retry".into(),
        due_at: Some(NOW),
        replay: Some("01KB0J7EA0REP1AY00EXAMP1E0".into()),
        event: None,
        ..delivery()
    };
    let gone = (Delivery { source_id: String::new(), ..delivery() }, Pointed::default());
    let shown = |(delivery, pointed): &(Delivery, Pointed)| {
        let mut shown = delivery.present(&strategy);
        pointed.lay_over(&mut shown, &delivery.endpoint_id, &delivery.source_id);
        self::shown(Sent::in_list(delivery, None, ContentType::Json).lay_over(shown))
    };
    [(delivery(), pointed()), (waiting, pointed()), gone].iter().map(shown).collect()
}

/// The example of a shape.
pub(super) fn first(shape: &str) -> Value {
    of(shape).into_iter().next().unwrap_or_default()
}

/// Samples of a shape; the first is its example. Together they hold every type that a field may have.
#[expect(clippy::too_many_lines, reason = "one arm for each shape")]
pub(super) fn of(shape: &str) -> Vec<Value> {
    match shape {
        "Pagination" => {
            let (_, page) = PageQuery::parse("").page(Vec::<String>::new(), |id| id, None, false);
            vec![json!(page)]
        }
        "HookstreamRefusal" => {
            let error = ApiError::bad_request("name: is required");
            vec![hookstream::refusal(&error, "req_01kb0j7ea0requ3st0examp1e0").body]
        }
        "HookstreamSourceShown" => hookstream_sources(),
        "Refusal" => vec![ApiError::bad_request("name:please provide a valid name").answer().body],
        "Project" => vec![project(PROJECT_BODY).present()],
        "CreatedProject" => {
            let project = project(PROJECT_BODY);
            vec![NewApiKey::generate(NOW, &mut fill()).present_with(&project)]
        }
        "ApiKey" => {
            let own = NewApiKey::generate(NOW, &mut fill());
            let further = NewApiKey { name: "ci".into(), expires_at: Some(NOW), ..own };
            let own = NewApiKey::generate(NOW, &mut fill());
            [own, further].iter().map(|key| key.present(&project(PROJECT_BODY))).collect()
        }
        "Source" => {
            let bodies = [
                GITHUB_BODY,
                HMAC_BODY,
                SCHEME_BODY,
                WHOLE_BODY,
                SNS_BODY,
                BASIC_BODY,
                KEY_BODY,
                X_BODY,
            ];
            let mut all: Vec<Value> =
                bodies.iter().map(|body| source(body).present(ORIGIN)).collect();
            all.push(armed().present(ORIGIN));
            all.push(handed_over().present(ORIGIN));
            let mut answered = source(X_BODY);
            answered.crc_verified_at = Some(NOW);
            all.push(answered.present(ORIGIN));
            let mut observing = source(SCHEME_BODY).present(ORIGIN);
            for at in [json!(null), json!(crate::time::rfc3339(NOW))] {
                observing["observed"] =
                    json!({"verified": 12, "refused": 3, "last_refused_at": at});
                all.push(observing.clone());
            }
            let mut read = source(KAFKA_BODY).present(ORIGIN);
            read["pub_sub_status"] = consumer::status(crate::pub_sub::Broker::Kafka, &[], NOW);
            let source_id = SOURCE.to_owned();
            let count = SourceCount { source_id, events: 12, last_event_at: NOW };
            for counts in [vec![count], Vec::new()] {
                let mut counted = read.clone();
                count_into(&mut counted, SOURCE, &counts);
                all.push(counted);
            }
            all
        }
        "HookstreamSession" => sessions(),
        "DeadLetter" => {
            let mut all = dead_letters();
            for letter in &mut all {
                if let Some(fields) = letter.as_object_mut() {
                    for more in
                        ["headers", "key", "published_at", "raw", "raw_is_base64", "data", "event"]
                    {
                        fields.remove(more);
                    }
                }
            }
            all
        }
        "WholeDeadLetter" => dead_letters(),
        "ConsumerKey" => [None, Some(NOW)]
            .map(|last_used_at| StoredKey {
                id: "01KB0J7EA0C0NSVMERKEYEXAMP".into(),
                name: "companion in Frankfurt".into(),
                created_at: NOW,
                last_used_at,
            })
            .iter()
            .map(StoredKey::present)
            .collect(),
        "NewConsumerKey" => {
            let input = made(parse(br#"{"name":"companion in Frankfurt"}"#));
            vec![NewKey::generate(input, NOW, &mut fill()).present()]
        }
        "MetaEvent" => {
            let strategy = project(PROJECT_BODY).config.strategy;
            let event = StoredEvent {
                project_id: meta_event::shadow_id(PROJECT),
                event_type: "endpoint.created".into(),
                ..event()
            };
            let body = br#"{"event_type":"endpoint.created","data":{}}"#;
            let waiting = Delivery { attempt: None, due_at: Some(NOW), ..delivery() };
            vec![
                meta_event::present(&event, Some(body), Some(&delivery()), &strategy),
                meta_event::present(&event, None, Some(&waiting), &strategy),
                meta_event::present(&event, None, None, &strategy),
            ]
        }
        "HandedOver" => {
            vec![made(handed_over().handed_over(&vault(), NOW))]
        }
        "Rejection" => vec![
            json!({
                "at": crate::time::rfc3339(NOW), "status": 401, "label": "signature_wrong",
                "reason": "the signature is wrong", "findings": ["the secret is right, read as base64"],
                "method": "POST", "body_bytes": 27, "header_names": ["content-type"], "refused_since_the_last": 0,
            }),
            json!({
                "at": crate::time::rfc3339(NOW), "status": 413, "label": "too_large",
                "reason": "request body too large: the limit is 5242880 bytes", "findings": [], "method": "POST",
                "body_bytes": null, "header_names": ["transfer-encoding"], "refused_since_the_last": 2,
            }),
        ],
        "Provider" => {
            // Every row is a sample, GitHub's the first.
            let mut all = vec![crate::providers::get("github").expect("a row of the catalogue")];
            all.extend(crate::providers::list("").as_array().cloned().unwrap_or_default());
            all
        }
        "Endpoint" => endpoints(),
        "Subscription" => {
            let open = r#"{"name":"all","source_id":"s","endpoint_id":"e"}"#;
            let paced = r#"{"name":"slow","source_id":"s","endpoint_id":"e",
                "retry_config":{"type":"linear","duration":60,"retry_count":3},
                "rate_limit_config":{"count":10,"duration":60},"alert_config":{"count":5,"threshold":"1h"}}"#;
            [SUBSCRIPTION_BODY, paced, open].map(subscription_shown).to_vec()
        }
        "Filter" => {
            let mut of = subscription(SUBSCRIPTION_BODY);
            let input = vec![made(parse::<FilterInput>(FILTER_BODY.as_bytes()))];
            let mut filter = made(of.add_filters(input, Batch::One, NOW, &mut fill())).remove(0);
            filter.uid = FILTER.into();
            let disabled = TypeFilter { enabled_at: None, ..filter.clone() };
            vec![filter.present(SUBSCRIPTION), disabled.present(SUBSCRIPTION)]
        }
        "EventType" => {
            let body = made(parse(EVENT_TYPE_BODY.as_bytes()));
            let one = made(EventType::create(body, PROJECT, NOW, &mut fill()));
            let one = EventType { uid: EVENT_TYPE.into(), ..one };
            let mut bare = EventType::named("a", PROJECT, NOW, &mut fill());
            bare.deprecate(NOW);
            vec![one.present(), bare.present()]
        }
        "PortalLink" => {
            let body = made(parse(PORTAL_BODY.as_bytes()));
            let made_link = PortalLink::create(body, PROJECT, &vault(), NOW, &mut fill());
            let (mut link, token) = made(made_link);
            link.uid = PORTAL_LINK.into();
            let project = project(PROJECT_BODY);
            vec![link.present(&project, ORIGIN, Some(&token.text), &[ENDPOINT.into()])]
        }
        "Event" => events(),
        "Delivery" => deliveries(),
        "Attempt" => vec![attempt().present(&delivery())],
        other => panic!("there is no sample of {other}"),
    }
}
