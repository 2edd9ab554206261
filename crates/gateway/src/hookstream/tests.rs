mod requests;

use inlet_verify::{Hash, Provider, Verifier};

use super::*;
use crate::api::parse;
use crate::source_count::SourceCount;

const SECRET: &str = "a-long-secret-of-yours";

fn vault() -> Vault {
    Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
}

fn input(body: &Value) -> Result<HookstreamSource, String> {
    parse(body.to_string().as_bytes()).map_err(|error| error.message)
}

/// A source with these fields, and a name.
fn made(fields: Value) -> Result<Source, String> {
    let mut body = json!({"name": "a b", "slug": "a"});
    if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
        body.extend(fields);
    }
    create(input(&body)?, "p", &vault(), 0, &mut |b| b.fill(5)).map_err(|error| error.message)
}

fn changed(source: &mut Source, fields: &Value) -> Result<(), String> {
    change(source, input(fields)?, &vault(), 1, &mut |b| b.fill(6)).map_err(|error| error.message)
}

fn shown(source: &Source) -> Value {
    present(source, "https://x", &[])
}

fn convoy(body: &Value) -> Source {
    let input = parse(body.to_string().as_bytes()).unwrap();
    Source::create(input, "p", &vault(), 0, &mut |b| b.fill(5)).unwrap()
}

fn hmac(fields: &Value) -> Value {
    let mut body = json!({"verification_type": "hmac_sha256", "verification_header": "X-Sig", "verification_secret": SECRET});
    if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields.clone()) {
        body.extend(fields);
    }
    body
}

#[test]
fn an_answer_has_all_documented_fields_in_their_types() {
    let source = made(hmac(&json!({
        "description": "d", "dedup_strategy": "header_field", "dedup_field": "X-Id", "ip_allowlist": ["192.0.2.0/24"],
        "ip_denylist": ["2001:db8::/32"], "json_schema": {"type": "object"}, "expires_at": "2030-01-31T00:00:00Z",
        "request_limit": 7, "source_config": {"event_type_location": "request.body.type"},
        "verification_config": {"encoding": "base64"},
    })))
    .unwrap();
    let count = SourceCount { source_id: source.uid.clone(), events: 3, last_event_at: 1_000 };
    let uid = source.uid.clone();
    let expect = json!({
        "id": uid, "org_id": "p", "env_id": "p", "slug": "a", "name": "a b", "description": "d", "template": "custom",
        "verification_enabled": 1, "verification_type": "hmac_sha256", "verification_secret": "********ours",
        "verification_header": "X-Sig", "verification_config": r#"{"encoding":"base64"}"#,
        "dedup_enabled": 1, "dedup_strategy": "header_field", "dedup_field": "x-id", "dedup_window_seconds": 300,
        "ip_allowlist": r#"["192.0.2.0/24"]"#, "ip_denylist": r#"["2001:db8::/32"]"#,
        "status": "active", "event_count": 3, "last_event_at": "1970-01-01T00:00:01.000Z",
        "created_at": "1970-01-01T00:00:00.000Z", "updated_at": "1970-01-01T00:00:00.000Z",
        "is_ephemeral": 1, "expires_at": "2030-01-31T00:00:00.000Z", "request_limit": 7, "type": "http",
        "source_config": r#"{"event_type_location":"request.body.type"}"#,
        "schema_validation_enabled": 1, "json_schema": r#"{"type":"object"}"#, "schema_action": "reject",
        "url": format!("https://x/v1/ingest/{uid}"),
    });
    assert_eq!(present(&source, "https://x", &[count]), expect);
    let bare = shown(&made(json!({})).unwrap());
    for (field, value) in expect.as_object().unwrap() {
        assert!(bare.get(field).is_some(), "{field} is always there");
        let is_number = value.is_number() && field != "request_limit";
        assert_eq!(bare[field].is_number(), is_number, "{field}");
    }
    for field in
        ["template", "verification_type", "verification_secret", "ip_allowlist", "schema_action"]
    {
        assert_eq!(bare[field], Value::Null, "{field}");
    }
    assert_eq!((&bare["verification_enabled"], &bare["dedup_enabled"]), (&json!(0), &json!(0)));
}

/// Every way to make a source, in both dialects.
fn all_kinds() -> Vec<Source> {
    let mut all: Vec<Source> = [
        json!({}),
        hmac(&json!({})),
        hmac(&json!({"verification_type": "hmac-sha1", "verification_config": {"encoding": "base64"}})),
        hmac(&json!({"verification_enabled": false, "status": "paused", "dedup_enabled": true})),
        json!({"template": "stripe", "verification_secret": SECRET, "verification_config": {"tolerance_seconds": 60}}),
        json!({"template": "github", "dedup_enabled": false}),
        json!({"template": "clio"}),
        json!({"verification_type": "standard-webhooks", "verification_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
        json!({"verification_type": "api_key", "verification_header": "X-Key", "verification_secret": SECRET}),
        json!({"verification_type": "basic_auth", "verification_secret": SECRET, "verification_config": {"username": "u"}}),
        json!({"verification_type": "scheme", "verification_secret": SECRET,
            "verification_config": {"scheme": {"preset": "timestamped", "header": "X-Sig"}}}),
        json!({"dedup_strategy": "body_field", "dedup_field": "$.data[0].id", "dedup_window_seconds": 60}),
        json!({"json_schema": r#"{"type":"object"}"#, "schema_validation_enabled": 0, "schema_action": "warn"}),
        json!({"ip_allowlist": r#"["192.0.2.1"]"#, "ip_denylist": ["2001:db8::/32"], "status": "disabled"}),
        json!({"source_config": {"idempotency_keys": ["request.header.a", "request.body.b"],
            "rate_limit": {"count": 5, "duration": 10}, "custom_response": {"body": "thanks"}, "forward_headers": ["X-A"]}}),
    ]
    .into_iter()
    .map(|fields| made(fields.clone()).unwrap_or_else(|error| panic!("{fields}: {error}")))
    .collect();
    all.extend(
        [
            json!({"name": "Eins & zwei", "type": "http"}),
            json!({"name": "☃", "type": "rest_api"}),
            json!({"name": "kafka", "type": "pub_sub", "pub_sub": {"type": "kafka", "workers": 1,
                "kafka": {"brokers": ["kafka.example.com:9092"], "topic_name": "orders"}}}),
            json!({"name": "rotating", "type": "http", "provider": "github", "verifier": {"mode": "observe", "secrets": [
                {"value": SECRET, "label": "new"}, {"value": "an-older-secret", "expires_at": "2030-01-31T00:00:00Z"}]}}),
            json!({"name": "typed", "type": "http", "provider": "github",
                "verifier": {"type": "hmac", "hmac": {"secret": SECRET}}}),
            json!({"name": "query", "type": "http", "idempotency_keys": ["request.query.id"], "is_disabled": true}),
            json!({"name": "basic", "type": "http",
                "verifier": {"type": "basic_auth", "basic_auth": {"username": "u", "password": SECRET}}}),
        ]
        .iter()
        .map(convoy),
    );
    all
}

#[test]
fn what_was_read_can_be_sent_back_and_changes_nothing() {
    for source in all_kinds() {
        let mut again = source.clone();
        let before = shown(&source);
        changed(&mut again, &before).unwrap_or_else(|error| panic!("{before}: {error}"));
        let stored = |source: &Source| {
            let mut stored = serde_json::to_value(source).unwrap();
            stored["updated_at"] = json!(0);
            stored
        };
        assert_eq!(stored(&again), stored(&source), "{before}");
        let nothing = json!({});
        changed(&mut again, &nothing).unwrap_or_else(|error| panic!("{before}: {error}"));
        assert_eq!(stored(&again), stored(&source), "{before}");
    }
}

#[test]
fn convoys_dialect_can_send_back_what_it_read_of_these_sources() {
    for source in all_kinds() {
        let mut again = source.clone();
        let body = source.present("").to_string();
        let input = parse(body.as_bytes()).unwrap();
        again.update(input, &vault(), 1, &mut |b| b.fill(6)).unwrap();
        assert_eq!(shown(&again)["status"], shown(&source)["status"]);
        for field in [
            "verification_secret",
            "dedup_enabled",
            "dedup_strategy",
            "schema_validation_enabled",
            "slug",
        ] {
            assert_eq!(shown(&again)[field], shown(&source)[field], "{field} of {body}");
        }
    }
}

#[test]
fn all_of_hookstreams_templates_make_a_source() {
    for template in [
        "stripe", "github", "shopify", "slack", "twilio", "sendgrid", "intercom", "linear",
        "clerk", "svix", "paddle", "resend", "postmark", "typeform", "custom",
    ] {
        let source = made(json!({"template": template})).unwrap();
        let is_own = template == "custom";
        let expect = if is_own { Value::Null } else { json!(template) };
        assert_eq!(shown(&source)["template"], expect);
        assert_eq!(shown(&source)["verification_enabled"], json!(u8::from(!is_own)), "{template}");
    }
    let kind = |template: &str| {
        let shown = shown(&made(json!({"template": template})).unwrap());
        (shown["verification_type"].clone(), shown["verification_header"].clone())
    };
    assert_eq!(kind("github"), (json!("hmac_sha256"), json!("x-hub-signature-256")));
    assert_eq!(kind("twilio"), (json!("hmac_sha1"), json!("x-twilio-signature")));
    assert_eq!(kind("clerk"), (json!("standard_webhooks"), json!("webhook-signature")));
    assert_eq!(kind("sendgrid").0, json!("ecdsa_sha256"));
    assert_eq!(kind("postmark"), (json!("basic_auth"), json!("authorization")));
}

#[test]
fn every_row_of_the_catalogue_can_be_told() {
    for row in catalogue::all().iter().filter(|row| !row.is_unsigned()) {
        let mut source = made(json!({"template": row.name})).unwrap();
        let before = shown(&source);
        assert_eq!(before["template"], row.name);
        assert_eq!(before["verification_enabled"], json!(u8::from(!row.observe())), "{}", row.name);
        changed(&mut source, &before).unwrap();
        assert_eq!(shown(&source)["verification_type"], before["verification_type"]);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_cannot_be_is_refused_with_the_field_and_the_way_out() {
    for (fields, expect) in [
        (json!({"name": ""}), "name: is required"),
        (json!({"name": 5}), "field \"name\""),
        (json!({"slug": ""}), "slug: is required"),
        (json!({"slug": "A b"}), "slug:lower-case letters"),
        (json!({"colour": "red"}), "colour: is not a field of a source"),
        (json!({"type": "websocket"}), "type: websocket is not supported; use http"),
        (json!({"type": "ftp"}), "type: http is the one"),
        (json!({"template": "no-such"}), "template: no-such is not in the catalogue"),
        (json!({"template": "zapier"}), "template: zapier signs nothing; say by verification_type"),
        (
            json!({"template": "stripe", "verification_type": "hmac_sha1"}),
            "stripe says hmac_sha256, not hmac_sha1",
        ),
        (
            json!({"template": "stripe", "verification_header": "X-Other"}),
            "stripe says stripe-signature",
        ),
        (
            json!({"template": "stripe", "verification_config": {"encoding": "hex"}}),
            "verification_config.encoding: has no effect",
        ),
        (
            json!({"template": "svix", "verification_secret": "not base64!"}),
            "verification_secret:primary has to be base64",
        ),
        (json!({"verification_enabled": true}), "verification_enabled: there is nothing to check"),
        (json!({"verification_enabled": "yes"}), "verification_enabled: true or false"),
        (json!({"verification_enabled": 2}), "verification_enabled: true or false"),
        (json!({"verification_type": "rot13"}), "verification_type: \"rot13\" is not one of"),
        (json!({"verification_type": "hmac_rot13"}), "is not one of"),
        (json!({"verification_type": "hmac_sha256"}), "verification_header: hmac_sha256 needs it"),
        (json!({"verification_secret": SECRET}), "verification_header: hmac_sha256 needs it"),
        (json!({"verification_header": "X-Sig"}), "verification_secret: hmac_sha256 needs it"),
        (
            json!({"verification_type": "basic_auth", "verification_secret": SECRET}),
            "verification_config.username: basic_auth needs it",
        ),
        (
            json!({"verification_type": "scheme", "verification_secret": SECRET}),
            "verification_config.scheme:say what is signed",
        ),
        (hmac(&json!({"verification_secret": ""})), "verification_secret: must not be empty"),
        (
            hmac(&json!({"verification_secret": "********ours"})),
            "verification_secret:this is the mask",
        ),
        (hmac(&json!({"verification_secret": "0000"})), "verification_secret:must not be blank"),
        (
            hmac(&json!({"verification_header": "X Sig"})),
            "verification_header:not a valid header name",
        ),
        (
            hmac(&json!({"verification_config": {"encoding": "rot13"}})),
            "verification_config.encoding:",
        ),
        (
            hmac(&json!({"verification_config": {"tolerance_seconds": 5}})),
            "tolerance_seconds: has no effect",
        ),
        (hmac(&json!({"verification_config": "{"})), "verification_config: an object is expected"),
        (
            json!({"dedup_strategy": "vibes"}),
            "dedup_strategy: payload_hash, header_field or body_field",
        ),
        (
            json!({"dedup_strategy": "header_field"}),
            "dedup_field: header_field needs to know which",
        ),
        (
            json!({"dedup_strategy": "header_field", "dedup_field": "X Id"}),
            "dedup_field: not a valid header name",
        ),
        (
            json!({"dedup_strategy": "body_field", "dedup_field": "a..b"}),
            "dedup_field: a path into the body",
        ),
        (
            json!({"dedup_strategy": "payload_hash", "dedup_field": "a"}),
            "dedup_field: is for header_field",
        ),
        (json!({"dedup_field": "a"}), "dedup_field: say with dedup_strategy"),
        (json!({"dedup_window_seconds": 2_678_401}), "dedup_window_seconds:from 1 to"),
        (json!({"dedup_window_seconds": -1}), "dedup_window_seconds:a whole number from 1 to"),
        (json!({"ip_allowlist": ["192.0.2.1/24"]}), "ip_allowlist:192.0.2.1/24 begins at"),
        (json!({"ip_allowlist": "192.0.2.1"}), "ip_allowlist: a list of texts"),
        (json!({"ip_denylist": [5]}), "ip_denylist: a list of texts"),
        (json!({"status": "asleep"}), "status: active, paused or disabled"),
        (
            json!({"schema_validation_enabled": true}),
            "schema_validation_enabled: there is no json_schema",
        ),
        (json!({"json_schema": {"type": "x"}}), "invalid JSON schema"),
        (json!({"json_schema": [1]}), "json_schema: an object"),
        (json!({"schema_action": "drop"}), "schema_action: reject or warn"),
        (
            json!({"source_config": {"region": "eu"}}),
            "source_config.region: has no effect here; what may be set is custom_response",
        ),
        (
            json!({"source_config": {"idempotency_keys": ["request.body.a"]}, "dedup_strategy": "payload_hash"}),
            "give one of them",
        ),
        (
            json!({"source_config": {"custom_response": 5}}),
            "field \"source_config.custom_response\"",
        ),
        (
            json!({"source_config": {"custom_response": {"bdoy": "x"}}}),
            "source_config.custom_response.bdoy:unknown field: did you mean body?",
        ),
        (
            json!({"source_config": {"custom_response": {"status": 99}}}),
            "source_config.custom_response.status:from 200",
        ),
        (
            json!({"source_config": {"rate_limit": {"cuont": 5, "duration": 1}}}),
            "source_config.rate_limit.cuont:unknown field",
        ),
        (
            json!({"source_config": {"rate_limit": {"count": -5, "duration": 1}}}),
            "source_config.rate_limit.count:a whole number",
        ),
        (
            json!({"source_config": {"forward_headers": ["host"], "rate_limit": {"count": 5}}}),
            "source_config.forward_headers:",
        ),
        (
            json!({"source_config": {"forward_query": vec!["q"; 500]}}),
            "source_config.forward_query:",
        ),
        (json!({"expires_at": "soon"}), "expires_at:a time like"),
        (json!({"request_limit": 1_000_000_001}), "request_limit:at most"),
        (json!({"template": "clio", "verification_enabled": true}), "known by hearsay only"),
    ] {
        let error = made(fields.clone()).expect_err(&fields.to_string());
        assert!(error.contains(expect), "{fields}: {error}");
    }
}

#[test]
fn a_check_can_be_switched_off_on_and_exchanged() {
    let verifier = |source: &Source| source.open_verifier(&vault()).unwrap();
    let mut source = made(json!({})).unwrap();
    changed(&mut source, &hmac(&json!({}))).unwrap();
    assert_eq!(shown(&source)["verification_enabled"], 1);
    for (off, shows) in [(json!(0), 0), (json!(true), 1), (json!(false), 0), (json!(1), 1)] {
        changed(&mut source, &json!({"verification_enabled": off})).unwrap();
        assert_eq!(shown(&source)["verification_enabled"], shows);
        assert!(matches!(verifier(&source), Verifier::Hmac { hash: Hash::Sha256, .. }));
    }
    changed(&mut source, &json!({"verification_type": "hmac-sha512"})).unwrap_err();
    let full = json!({"verification_type": "hmac-sha512", "verification_secret": "another-secret"});
    changed(&mut source, &full).unwrap();
    let Verifier::Hmac { hash: Hash::Sha512, secrets, .. } = verifier(&source) else { panic!() };
    assert_eq!(secrets[0].expose(), b"another-secret");
    changed(&mut source, &json!({"template": "github"})).unwrap();
    let Verifier::Provider { provider, secrets } = verifier(&source) else { panic!() };
    assert_eq!((provider.name, secrets.len()), ("github", 0), "a secret is of one scheme");
    changed(&mut source, &json!({"verification_secret": SECRET})).unwrap();
    changed(&mut source, &json!({"verification_secret": "********ours", "name": "b"})).unwrap();
    let Verifier::Provider { secrets, .. } = verifier(&source) else { panic!() };
    assert_eq!(secrets[0].expose(), SECRET.as_bytes());
    changed(&mut source, &json!({"template": "custom", "verification_enabled": false})).unwrap();
    assert!(matches!(verifier(&source), Verifier::Noop));
    assert_eq!(shown(&source)["verification_secret"], Value::Null);
    changed(&mut source, &hmac(&json!({"verification_enabled": 0}))).unwrap();
    changed(&mut source, &json!({"verification_type": "none"})).unwrap();
    assert_eq!(shown(&source)["verification_type"], Value::Null);
    assert!(matches!(verifier(&source), Verifier::Noop));
}

#[test]
fn a_check_ends_only_where_that_is_said() {
    let basic = json!({"type": "basic_auth", "basic_auth": {"username": "u", "password": SECRET}});
    let mut all = all_kinds();
    // One that signs nothing and asks a question, for which a token is kept.
    let asks = |row: &&&Provider| row.is_unsigned() && row.asks_for_token();
    for row in catalogue::all().iter().filter(asks) {
        let mut verifier = basic.clone();
        verifier["secrets"] = json!([{"value": "a-verify-token"}]);
        all.push(convoy(
            &json!({"name": "a", "type": "http", "provider": row.name, "verifier": verifier}),
        ));
    }
    let stored =
        |source: &Source| serde_json::to_value((&source.provider, &source.verifier)).unwrap();
    for source in all {
        let before = shown(&source);
        for fields in [
            json!({"template": ""}),
            json!({"template": " ", "verification_type": ""}),
            json!({"template": "custom"}),
            json!({"template": "custom", "verification_type": "", "name": "b"}),
            json!({"template": "zapier", "verification_type": ""}),
            json!({"template": "clio"}),
            json!({"verification_type": ""}),
            json!({"verification_type": "", "name": "b"}),
            json!({"name": "b"}),
        ] {
            let mut again = source.clone();
            let answer = changed(&mut again, &fields);
            let template = fields.get("template").and_then(Value::as_str).unwrap_or_default();
            match &answer {
                Err(error) => assert!(
                    error.starts_with("template: ") && !template.trim().is_empty(),
                    "{before} {fields}: {error}"
                ),
                Ok(()) if template == "clio" => {
                    assert_eq!(before["verification_enabled"], 0, "{before} {fields}");
                }
                Ok(()) => assert_eq!(stored(&again), stored(&source), "{before} {fields}"),
            }
        }
    }
}

#[test]
fn what_is_said_of_a_check_is_done() {
    let github = json!({"template": "github", "verification_secret": SECRET});
    for (fields, kind, enabled) in [
        (json!({"template": "custom", "verification_enabled": false}), Value::Null, 0),
        (json!({"template": "custom", "verification_type": "none"}), Value::Null, 0),
        (json!({"template": "", "verification_enabled": false}), json!("hmac_sha256"), 0),
        (json!({"template": "zapier", "verification_type": "none"}), Value::Null, 0),
        (json!({"template": "clio", "verification_enabled": false}), json!("hmac_sha256"), 0),
        (
            hmac(&json!({"template": "custom", "verification_type": "hmac_sha1"})),
            json!("hmac_sha1"),
            1,
        ),
        (json!({"template": "stripe"}), json!("hmac_sha256"), 1),
    ] {
        let mut source = made(github.clone()).unwrap();
        changed(&mut source, &fields).unwrap_or_else(|error| panic!("{fields}: {error}"));
        let after = shown(&source);
        assert_eq!(
            (&after["verification_type"], &after["verification_enabled"]),
            (&kind, &json!(enabled)),
            "{fields}"
        );
    }
    let source = made(hmac(&json!({"template": "", "verification_type": ""}))).unwrap();
    assert_eq!(shown(&source)["verification_type"], "hmac_sha256", "a secret is for a check");
}

#[test]
fn a_new_secret_takes_the_place_of_all_others() {
    let rotating = json!({"name": "a", "type": "http", "provider": "github", "verifier": {"secrets": [
        {"value": SECRET}, {"value": "an-older-secret", "expires_at": "2030-01-31T00:00:00Z"}]}});
    let mut source = convoy(&rotating);
    changed(&mut source, &json!({"verification_secret": "********ours"})).unwrap();
    assert_eq!(source.open_secrets(&vault()).unwrap().len(), 2);
    changed(&mut source, &json!({"verification_secret": "the-only-secret"})).unwrap();
    let secrets = source.open_secrets(&vault()).unwrap();
    assert_eq!(secrets.len(), 1);
    assert_eq!(secrets[0].0.expose(), b"the-only-secret");
}

#[test]
fn what_is_taken_away_is_gone() {
    let mut source = made(json!({
        "description": "d", "ip_allowlist": ["192.0.2.1"], "json_schema": {"type": "object"}, "request_limit": 5,
        "expires_at": "2030-01-31T00:00:00Z", "dedup_strategy": "payload_hash", "schema_validation_enabled": 0,
    }))
    .unwrap();
    let nothing = json!({
        "description": "", "ip_allowlist": [], "json_schema": {}, "request_limit": 0, "expires_at": "", "dedup_strategy": "",
    });
    changed(&mut source, &nothing).unwrap();
    let left = shown(&source);
    for field in [
        "description",
        "ip_allowlist",
        "json_schema",
        "request_limit",
        "expires_at",
        "dedup_strategy",
        "schema_action",
    ] {
        assert_eq!(left[field], Value::Null, "{field}");
    }
    assert_eq!((&left["is_ephemeral"], &left["dedup_enabled"]), (&json!(0), &json!(0)));
    changed(&mut source, &json!({"json_schema": {"type": "object"}})).unwrap();
    assert_eq!(
        shown(&source)["schema_validation_enabled"],
        1,
        "a switch is not kept for what is to come"
    );
}

#[test]
fn a_slug_that_the_name_would_make_is_stored_all_the_same() {
    let source = made(json!({"name": "orders", "slug": "orders"})).unwrap();
    assert_eq!(source.profile.slug, "orders");
}

#[test]
fn convoys_switch_ends_a_pause() {
    let mut source = made(json!({"status": "paused"})).unwrap();
    let input = parse(br#"{"name":"a","type":"http","is_disabled":false}"#).unwrap();
    source.update(input, &vault(), 1, &mut |b| b.fill(6)).unwrap();
    assert_eq!(shown(&source)["status"], "active");
    let input = parse(br#"{"name":"a","type":"http","is_disabled":true}"#).unwrap();
    source.update(input, &vault(), 1, &mut |b| b.fill(6)).unwrap();
    assert_eq!(shown(&source)["status"], "disabled");
}

#[test]
fn pages_are_as_long_as_is_asked_for() {
    let limit = |query: &str| page(query).map(|page| page.per_page).ok();
    assert_eq!([limit(""), limit("limit=1"), limit("limit=100")], [Some(20), Some(1), Some(100)]);
    for query in ["limit=0", "limit=101", "limit=-1", "limit=many"] {
        assert_eq!(limit(query), None, "{query}");
    }
    let uid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert_eq!(page(&format!("cursor={uid}")).unwrap().cursor.as_deref(), Some(uid));
    assert!(page("cursor=abc").unwrap_err().message.contains("the page cursor is not one"));
}

#[test]
fn a_call_names_its_project_or_none() {
    let read = |body: &Value| Input::Source(Box::new(input(body).unwrap()));
    let named = |query: &str, body: Value| named_projects(query, &read(&body));
    assert_eq!(check_projects(named("", json!({})), "p"), Ok(()));
    assert_eq!(check_projects(named("org_id=p", json!({"env_id": "p"})), "p"), Ok(()));
    for (query, body) in [
        ("org_id=q", json!({})),
        ("", json!({"env_id": "q"})),
        ("env_id=q", json!({"org_id": "p"})),
    ] {
        assert_eq!(check_projects(named(query, body), "p").unwrap_err().status, 403);
    }
    assert_eq!(one_project(named("", json!({"org_id": "q"}))), Ok("q".into()));
    assert_eq!(one_project(named("", json!({}))).unwrap_err().status, 400);
    assert_eq!(one_project(named("org_id=a&env_id=b", json!({}))).unwrap_err().status, 403);
}
