use serde_json::Value;

use super::*;
use crate::api::parse;

const GITHUB: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn compiled(body: &str) -> Compiled {
    let vault = Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let source =
        Source::create(parse(body.as_bytes()).unwrap(), "p", &vault, 0, &mut |b| b.fill(5))
            .unwrap();
    Compiled::new(
        Snapshot {
            source,
            body_max_bytes: 50,
            shard: 0,
            project_limit: None,
            schemas: std::collections::BTreeMap::new(),
        },
        &vault,
    )
    .unwrap()
}

fn github() -> Compiled {
    compiled(
        r#"{"name":"a","type":"http","provider":"github","verifier":{"hmac":{"secret":"It's a Secret to Everybody"}}}"#,
    )
}

fn admit(
    source: &Compiled,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(Envelope, Reply), Rejection> {
    let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let arrival = Arrival {
        door: Door::Ingest,
        method: "POST",
        url,
        headers: &headers,
        body: body.as_bytes(),
    };
    match source.admit(&arrival, "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), 1_700_000_000_000)? {
        Admitted::Event { meta, reply } => {
            Ok((Envelope { meta: *meta, body: Body::Inline(body.into()) }, reply))
        }
        other => panic!("{other:?}"),
    }
}

fn key(source: &Compiled, headers: &[(&str, &str)], body: &str) -> Option<String> {
    admit(source, "https://x/ingest/m", headers, body).unwrap().0.meta.claim.map(|claim| claim.key)
}

#[test]
fn githubs_own_example_is_an_event() {
    let headers = [
        ("X-Hub-Signature-256", GITHUB),
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", "d-1"),
        ("Host", "x"),
    ];
    let (envelope, reply) =
        admit(&github(), "https://x/ingest/m?a=b", &headers, "Hello, World!").unwrap();
    assert_eq!(envelope.body, Body::Inline(b"Hello, World!".to_vec()));
    assert_eq!((envelope.meta.event_type.as_str(), envelope.meta.query.as_str()), ("push", "a=b"));
    assert!(envelope.meta.claim.is_some());
    let names: Vec<_> = envelope.meta.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-github-event", "x-github-delivery"]);
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["message"], "Event received");
    assert_eq!(body["data"], 13);
    assert_eq!(
        reply.headers,
        [("inlet-event-id".into(), body["event_id"].as_str().unwrap().to_owned())]
    );
}

#[test]
fn xero_reads_no_body_in_any_answer() {
    let xero = compiled(
        r#"{"name":"a","type":"http","provider":"xero","verifier":{"hmac":{"secret":"abc"}}}"#,
    );
    let body = r#"{"events":[{"eventType":"CREATE"}]}"#;
    let mac = inlet_verify::hmac(inlet_verify::Hash::Sha256, b"abc", &[body.as_bytes()]);
    let mac = inlet_verify::Encoding::Base64.encode(&mac);
    let send = |mac: &str| admit(&xero, "https://x/ingest/m", &[("x-xero-signature", mac)], body);
    let (_, accepted) = send(&mac).unwrap();
    assert_eq!((accepted.status, accepted.body.as_slice()), (200, &[][..]));
    assert_eq!(accepted.headers.len(), 1);
    let refused = send("AAAA").unwrap_err().reply();
    assert_eq!((refused.status, refused.body.as_slice()), (401, &[][..]));
}

#[test]
fn a_tolerance_is_refused_where_no_signed_time_is_checked() {
    let vault = Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let made = |provider: &str, verifier: &str| {
        let body = format!(
            r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{verifier}}}"#
        );
        Source::create(parse(body.as_bytes()).unwrap(), "p", &vault, 0, &mut |b| b.fill(5))
            .map(|_| ())
            .map_err(|error| error.message)
    };
    let hmac =
        |seconds: u64| format!(r#"{{"hmac":{{"secret":"shh"}},"tolerance_seconds":{seconds}}}"#);
    for provider in ["github", "gitlab", "shopify", "netlify"] {
        let error = made(provider, &hmac(60)).unwrap_err();
        assert!(error.contains("signs no time"), "{error}");
        made(provider, &hmac(0)).unwrap();
    }
    for provider in ["stripe", "slack", "mailgun"] {
        made(provider, &hmac(60)).unwrap();
    }
    let by_hand = r#"{"hmac":{"header":"x","hash":"SHA256","encoding":"hex","secret":"s"},"tolerance_seconds":60}"#;
    assert!(made("", by_hand).unwrap_err().contains("reads no time"));
    let scheme = |template: &str| {
        format!(
            r#"{{"type":"scheme","secrets":[{{"value":"abc"}}],"tolerance_seconds":300,"scheme":
            {{"signature":"header:x","template":"{template}","timestamp":"header:t","tolerance_seconds":0}}}}"#
        )
    };
    assert!(made("", &scheme("{body}")).unwrap_err().contains("checked but not signed"));
    made("", &scheme("{timestamp}.{body}")).unwrap();
}

#[test]
fn a_scheme_that_no_sender_could_satisfy_is_refused() {
    let vault = Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let made = |scheme: &str| {
        let body = format!(
            r#"{{"name":"a","type":"http","verifier":{{"type":"scheme","secrets":[{{"value":"abc"}}],"scheme":{scheme}}}}}"#
        );
        Source::create(parse(body.as_bytes()).unwrap(), "p", &vault, 0, &mut |b| b.fill(5))
            .map_err(|error| error.message)
    };
    for (scheme, words) in [
        (r#"{"signature":"header:x","pairs":["v1"],"prefix":"sha256="}"#, "beside `pairs`"),
        (r#"{"signature":"query:sig","template":"{url}{body}"}"#, "no sender could make it"),
        (r#"{"signature":"form:sig","template":"{form}","integrity":"partial"}"#, "no sender"),
        (
            r#"{"signature":"header:x","timestamp":"header:x","template":"{timestamp}{body}"}"#,
            "stands where",
        ),
        (r#"{"signature":"header:x","timestamp_unit":"fortnights"}"#, "has no effect"),
    ] {
        let error = made(scheme).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    // One that is stored and not understood believes nobody.
    let mut source = made(r#"{"signature":"header:x"}"#).unwrap();
    source.verifier.trust.scheme = Some(json!({"signature": "nowhere"}));
    assert!(source.open_verifier(&vault).is_err());
}

#[test]
fn a_rejection_counts_the_secrets_that_are_valid() {
    let source = compiled(
        r#"{"name":"a","type":"http","provider":"github","verifier":{"secrets":[{"value":"abc"},{"value":"abd","expires_at":"2001-01-01T00:00:00Z"}]}}"#,
    );
    let headers: Headers =
        [("x-hub-signature-256".to_owned(), format!("sha256={}", "0".repeat(64)))]
            .into_iter()
            .collect();
    let (door, method, url, body) = (Door::Ingest, "POST", "http://h/ingest/a", &b"{}"[..]);
    let arrival = Arrival { door, method, url, headers: &headers, body };
    let cause = source.admit(&arrival, "id".into(), 1_700_000_000_000).unwrap_err();
    assert_eq!(cause.detail(), "the signature matches none of 1 secrets (1 signatures tried)");
}

#[test]
fn a_tolerance_without_a_time_is_refused() {
    let source = |scheme: &str| {
        let body = format!(
            r#"{{"name":"a","type":"http","verifier":{{"type":"scheme","secrets":[{{"value":"abc"}}],"scheme":{scheme}}}}}"#
        );
        parse::<crate::source::SourceInput>(body.as_bytes()).map(|_| ())
    };
    assert!(source(r#"{"signature":"header:x-sig"}"#).is_ok());
    assert!(source(r#"{"signature":"header:x-sig","tolerance_seconds":0}"#).is_ok());
    let error = source(r#"{"signature":"header:x-sig","tolerance_seconds":300}"#).unwrap_err();
    assert!(error.message.contains("`timestamp` does not say"), "{}", error.message);
}

#[test]
fn who_is_only_observed_claims_no_dedup_key() {
    let observing = compiled(
        r#"{"name":"a","type":"http","provider":"github","verifier":{"mode":"observe","hmac":{"secret":"It's a Secret to Everybody"}}}"#,
    );
    let headers = |signature| [("X-Hub-Signature-256", signature), ("X-GitHub-Delivery", "d-1")];
    assert!(key(&observing, &headers(GITHUB), "Hello, World!").is_some());
    assert_eq!(key(&observing, &headers("sha256=00"), "Hello, World!"), None);
}

#[test]
fn a_secret_in_the_url_does_not_go_on_to_endpoints() {
    let source = compiled(
        r#"{"name":"a","type":"http","verifier":{"type":"scheme","secrets":[{"value":"abc"}],
                "scheme":{"signature":"query:sig"}}}"#,
    );
    let mac = hex::encode(inlet_verify::hmac(inlet_verify::Hash::Sha256, b"abc", &[b"hi"]));
    let url = format!("https://x/ingest/m?a=1&sig={mac}&b=2");
    let (envelope, _) = admit(&source, &url, &[], "hi").unwrap();
    assert_eq!(envelope.meta.query, "a=1&b=2");
}

#[test]
fn a_wrong_signature_is_refused_before_anything_else_is_looked_at() {
    for signature in ["", "sha256=00", "sha256=zz", &GITHUB.replace('7', "8"), "sha1=757107ea"] {
        let rejection =
            admit(&github(), "https://x/", &[("X-Hub-Signature-256", signature)], "Hello, World!")
                .unwrap_err();
        assert_eq!(rejection.status().0, 401, "{signature}");
        assert_eq!(rejection.to_string(), "Request verification failed");
    }
}

#[test]
fn state_method_and_size_are_decided_before_the_body() {
    let open = compiled(r#"{"name":"a","type":"http"}"#);
    assert_eq!(open.before_body(Door::Ingest, "POST", Some(50)), Ok(()));
    assert_eq!(open.before_body(Door::Ingest, "POST", Some(51)).unwrap_err().status().0, 413);
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(
            open.before_body(Door::Ingest, method, None).unwrap_err().status().0,
            405,
            "{method}"
        );
    }
    let rest = compiled(r#"{"name":"a","type":"rest_api"}"#);
    assert_eq!(rest.before_body(Door::Ingest, "POST", None), Err(Rejection::NotHttp));
    let mut disabled = compiled(r#"{"name":"a","type":"http"}"#);
    disabled.source.is_disabled = true;
    assert_eq!(disabled.before_body(Door::Ingest, "GET", None), Err(Rejection::Disabled));
}

#[test]
fn twitters_question_is_answered_and_makes_no_event() {
    let twitter = compiled(
        r#"{"name":"a","type":"http","provider":"twitter","verifier":{"hmac":{"secret":"Convoy"}}}"#,
    );
    let headers = Headers::default();
    let arrival = Arrival {
        door: Door::Ingest,
        method: "GET",
        url: "https://x/ingest/m?crc_token=uzwcfYtzr9",
        headers: &headers,
        body: b"",
    };
    let Ok(Admitted::Handshake(reply)) = twitter.admit(&arrival, String::new(), 0) else {
        panic!()
    };
    let expect = r#"{"response_token":"sha256=HXvxTdsfShG6k2zC9NVANwFquJBdOugRYHax2vNiiOo="}"#;
    assert_eq!(String::from_utf8(reply.body).unwrap(), expect);
    let plain = Arrival { url: "https://x/ingest/m", ..arrival };
    assert_eq!(twitter.admit(&plain, String::new(), 0).unwrap_err().status().0, 405);
}

#[test]
fn a_dedup_key_needs_all_of_its_parts_and_keeps_them_apart() {
    let source = compiled(
        r#"{"name":"a","type":"http","idempotency_keys":["request.header.X-A","request.body.b"]}"#,
    );
    let of = |a: &str, b: &str| key(&source, &[("X-A", a)], &format!(r#"{{"b":"{b}"}}"#));
    assert_eq!(of("ab", "c"), of("ab", "c"));
    assert_ne!(of("ab", "c"), of("a", "bc"));
    assert_eq!(key(&source, &[("X-A", "a")], r#"{"b":null}"#), None);
    assert_eq!(key(&source, &[("X-A", "a")], "no json"), None);
    assert_eq!(key(&source, &[], r#"{"b":"c"}"#), None);
    assert!(
        key(&source, &[("X-A", "a"), ("Content-Type", "application/x-www-form-urlencoded")], "b=c")
            .is_some()
    );
}

#[test]
fn credentials_are_kept_from_endpoints_unless_they_are_listed() {
    let body = r#"{"name":"a","type":"http","verifier":{"type":"api_key","api_key":{"header_name":"X-Key","header_value":"kkk"}}}"#;
    let headers = [
        ("X-Key", "kkk"),
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("X-Other", "1"),
        ("Host", "h"),
        ("CF-Ray", "r"),
        ("X-Forwarded-For", "1.2.3.4"),
    ];
    let names = |source: &Compiled| -> Vec<String> {
        let (envelope, _) = admit(source, "https://x/", &headers, "{}").unwrap();
        envelope.meta.headers.into_iter().map(|(name, _)| name).collect()
    };
    let mut source = compiled(body);
    assert_eq!(names(&source), ["x-other"]);
    source.source.forward_headers = Some(vec!["x-key".into(), "host".into()]);
    assert_eq!(names(&source), ["x-key"]);
}

#[test]
fn credentials_in_a_query_are_kept_from_endpoints_unless_they_are_listed() {
    let scheme = r#"{"name":"a","type":"http","verifier":{"type":"scheme","secrets":[{"value":"s e"}],
        "scheme":{"signature":"query:door","algorithm":"token"}},"event_type_location":"request.query.token"}"#;
    let url = "https://x/?a=1&token=t&&door=s+e&b%5B%5D=%C3%BC&api%5Fkey=k&empty&Signature=x&a=2";
    let mut source = compiled(scheme);
    let query = |source: &Compiled| {
        let (envelope, _) = admit(source, url, &[], "{}").unwrap();
        assert_eq!(envelope.meta.event_type, "t", "what is read of a request is read before");
        envelope.meta.query
    };
    assert_eq!(query(&source), "a=1&&b%5B%5D=%C3%BC&empty&a=2");
    source.source.forward_query = Some(vec!["token".into(), "b[]".into(), "door".into()]);
    assert_eq!(query(&source), "token=t&&door=s+e&b%5B%5D=%C3%BC");
    assert!(admit(&source, "https://x/?token=t&door=wrong", &[], "{}").is_err());
}

#[test]
fn the_answer_can_be_the_operators_own() {
    let with = |response: &str| {
        let source =
            compiled(&format!(r#"{{"name":"a","type":"http","custom_response":{response}}}"#));
        admit(&source, "https://x/", &[], "").unwrap().1
    };
    let reply = with(r#"{"body":"[accepted]"}"#);
    assert_eq!(
        (reply.body.as_slice(), reply.content_type.as_str()),
        (&b"[accepted]"[..], "text/plain; charset=utf-8")
    );
    let reply = with(r#"{"body":"<ok/>","content_type":"text/xml"}"#);
    assert_eq!((reply.body.as_slice(), reply.content_type.as_str()), (&b"<ok/>"[..], "text/xml"));
    let reply = with(r#"{"body":"<ok/>","status":202}"#);
    assert_eq!((reply.status, reply.body.as_slice()), (202, &b"<ok/>"[..]));
    let reply = with(r#"{"body":"nothing","status":204}"#);
    assert_eq!((reply.status, reply.body.as_slice()), (204, &b""[..]));
    let reply = with(r#"{"status":201}"#);
    assert!(String::from_utf8_lossy(&reply.body).contains(r#""data":2"#), "ours, as it is");
    assert_eq!(reply.status, 201);
    let reply = with(r#"{"content_type":"text/xml"}"#);
    assert!(String::from_utf8(reply.body).unwrap().contains(r#""data":2"#));
    assert_eq!(reply.headers[0].0, "inlet-event-id");
}

#[test]
fn an_event_type_that_is_not_there_is_the_senders_fault() {
    let source =
        compiled(r#"{"name":"a","type":"http","event_type_location":"request.body.kind"}"#);
    let (envelope, _) = admit(&source, "https://x/", &[], r#"{"kind":"push"}"#).unwrap();
    assert_eq!(envelope.meta.event_type, "push");
    let rejection = admit(&source, "https://x/", &[], "{}").unwrap_err();
    assert_eq!(rejection.status().0, 400);
    assert_eq!(rejection.to_string(), "event type not found in request body at kind");
    let plain = compiled(r#"{"name":"a","type":"http"}"#);
    let (envelope, _) = admit(&plain, "https://x/", &[], "{}").unwrap();
    assert_eq!(envelope.meta.event_type, plain.source.mask_id);
}

#[test]
fn large_bodies_and_large_headers_send_the_body_to_r2() {
    let with = |body: usize, header: usize| {
        let mut envelope = crate::wire::tests::envelope(Body::Inline(vec![0; body]));
        envelope.meta.headers = vec![("x".into(), "y".repeat(header))];
        needs_store(&envelope)
    };
    assert!(!with(120_000, 0));
    assert!(with(120_001, 0));
    assert!(with(119_000, 10_000));
}

/// A `GET` of `query`, with these headers.
fn get(source: &Compiled, query: &str, headers: &[(&str, &str)]) -> Result<Admitted, Rejection> {
    let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let url = format!("https://x/ingest/m?{query}");
    let arrival =
        Arrival { door: Door::Ingest, method: "GET", url: &url, headers: &headers, body: b"" };
    source.before_body(Door::Ingest, "GET", None)?;
    source.admit(&arrival, "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), 1_700_000_000_000)
}

#[test]
fn who_sends_by_get_and_signs_the_query_makes_events() {
    let twilio = compiled(
        r#"{"name":"a","type":"http","provider":"twilio","verifier":{"hmac":{"secret":"abc"}}}"#,
    );
    let query = "MessageSid=SM1&MessageStatus=sent";
    let signed = format!("https://x/ingest/m?{query}");
    let mac = inlet_verify::hmac(inlet_verify::Hash::Sha1, b"abc", &[signed.as_bytes()]);
    let mac = inlet_verify::Encoding::Base64.encode(&mac);
    let send = |query: &str, mac: &str| {
        get(&twilio, query, &[("X-Twilio-Signature", mac), ("I-Twilio-Idempotency-Token", "t")])
    };
    let Ok(Admitted::Event { meta, .. }) = send(query, &mac) else { panic!() };
    assert_eq!((meta.query.as_str(), meta.event_type.as_str()), (query, "sent"));
    assert!(meta.claim.is_some());
    assert_eq!(send("MessageSid=SM2", &mac).unwrap_err().status().0, 401);
    assert_eq!(send(query, "").unwrap_err().status().0, 401);
    let put = twilio.before_body(Door::Ingest, "PUT", None).unwrap_err().reply();
    assert_eq!((put.status, put.headers[0].1.as_str()), (405, "GET, POST"));
    assert_eq!(get(&github(), query, &[]).unwrap_err().status().0, 405);
}

#[test]
fn providers_that_sign_nothing_are_let_in_by_what_the_operator_chose() {
    let strava = |verifier: &str| {
        compiled(&format!(
            r#"{{"name":"a","type":"http","provider":"strava","verifier":{verifier}}}"#
        ))
    };
    let body = r#"{"object_id":1,"aspect_type":"create","event_time":2,"object_type":"ride"}"#;
    let open = strava(r#"{"type":"noop","secrets":[{"value":"verify_token:ours"}]}"#);
    let (envelope, _) = admit(&open, "https://x/ingest/m", &[], body).unwrap();
    assert_eq!(envelope.meta.event_type, "ride:create");
    assert!(envelope.meta.claim.is_some());
    let asked = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=c&hub.verify_token={token}");
        get(&open, &query, &[])
    };
    let Ok(Admitted::Handshake(reply)) = asked("ours") else { panic!() };
    assert_eq!(reply.body, br#"{"hub.challenge":"c"}"#);
    assert_eq!(asked("theirs").unwrap_err().status().0, 403);

    let token = r#"{"type":"scheme","scheme":{"signature":"query:key","algorithm":"token"},
        "secrets":[{"value":"in-the-url"}]}"#;
    let closed = strava(token);
    let (envelope, _) = admit(&closed, "https://x/ingest/m?key=in-the-url&a=b", &[], body).unwrap();
    assert_eq!(
        (envelope.meta.query.as_str(), envelope.meta.event_type.as_str()),
        ("a=b", "ride:create")
    );
    for url in ["https://x/ingest/m", "https://x/ingest/m?key=other", "https://x/ingest/m?key="] {
        assert_eq!(admit(&closed, url, &[], body).unwrap_err().status().0, 401, "{url}");
    }
}

#[test]
fn an_empty_answer_can_be_chosen() {
    let silent = compiled(r#"{"name":"a","type":"http","custom_response":{"body":""}}"#);
    let (_, reply) = admit(&silent, "https://x/", &[], "{}").unwrap();
    assert_eq!((reply.status, reply.body.len(), reply.headers.len()), (200, 0, 1));
    let failing = |response: &str| {
        let source = compiled(&format!(
            r#"{{"name":"a","type":"http","provider":"github","verifier":{{"hmac":{{"secret":"abc"}},"failure_response":{response}}}}}"#
        ));
        let shown = source.source.present("");
        let reply = admit(&source, "https://x/", &[], "{}").unwrap_err().reply();
        (reply.status, reply.body, shown["verifier"]["failure_response"].clone())
    };
    let (status, body, shown) = failing(r#"{"body":""}"#);
    assert_eq!((status, body.len(), &shown["body"]), (401, 0, &json!("")));
    let (status, body, shown) = failing(r#"{"status":403}"#);
    assert_eq!((status, body.is_empty(), &shown["body"]), (403, false, &Value::Null));
}

#[test]
fn who_reads_our_answer_gets_what_it_can_read_unless_the_operator_has_one() {
    let answer = |source: &Compiled, body: &str| {
        let (_, reply) = admit(source, "https://x/", &[], body).unwrap();
        assert_eq!(reply.headers[0].0, "inlet-event-id");
        (reply.status, reply.content_type, String::from_utf8(reply.body).unwrap())
    };
    let of = |status, kind: &str, body: &str| (status, kind.to_owned(), body.to_owned());
    for (provider, want) in [
        ("slack", of(200, "text/plain", "")),
        ("twilio", of(200, "text/xml", "<Response/>")),
        ("signalwire", of(200, "text/xml", "<Response/>")),
        ("plivo_v3", of(200, "text/xml", "<Response/>")),
        ("dropbox_sign", of(200, "text/plain", "Hello API Event Received")),
        ("adyen", of(200, "text/plain", "[accepted]")),
        (
            "ms_teams_outgoing",
            of(200, "application/json", r#"{"type":"message","text":"Received"}"#),
        ),
    ] {
        let key = if provider == "adyen" { "3132" } else { "MTIz" };
        let body = format!(
            r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{{"mode":"observe","secrets":[{{"value":"{key}"}}]}}}}"#
        );
        assert_eq!(answer(&compiled(&body), "{}"), want, "{provider}");
        let own = body.replacen('{', r#"{"custom_response":{"body":"mine"},"#, 1);
        assert_eq!(answer(&compiled(&own), "{}").2, "mine", "{provider}");
    }
    let discord = compiled(
        r#"{"name":"a","type":"http","provider":"discord","verifier":{"mode":"observe",
            "hmac":{"secret":"cd92d5c447c6ae1bfe280f01612670306150136297d5cde3010f53a7eac57937"}}}"#,
    );
    for (body, status, want) in [
        (r#"{"type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}"#, 204, ""),
        (r#"{"type":2,"id":"1"}"#, 200, r#"{"type":5}"#),
        (r#"{"type":3,"id":"1"}"#, 200, r#"{"type":6}"#),
        (r#"{"type":4,"id":"1"}"#, 200, r#"{"type":8,"data":{"choices":[]}}"#),
        (r#"{"type":5,"id":"1"}"#, 200, r#"{"type":5}"#),
    ] {
        let (had, _, text) = answer(&discord, body);
        assert_eq!((had, text.as_str()), (status, want), "{body}");
    }
}

#[test]
fn who_is_not_believed_is_asked_for_the_credentials_that_http_knows() {
    let basic = r#""type":"basic_auth","basic_auth":{"username":"u","password":"p"}"#;
    let bearer =
        r#""type":"api_key","api_key":{"header_name":"Authorization","header_value":"Bearer t"}"#;
    let token = r#""type":"scheme","secrets":[{"value":"t"}],"scheme":{"algorithm":"token","signature":"header:authorization","prefix":"Bearer "}"#;
    let (asks_basic, asks_bearer) = (r#"Basic realm="webhooks""#, r#"Bearer realm="webhooks""#);
    for (provider, verifier, want) in [
        ("", basic.to_owned(), Some(asks_basic)),
        ("", format!(r#"{basic},"failure_response":{{"body":"no"}}"#), Some(asks_basic)),
        ("", format!(r#"{basic},"failure_response":{{"status":403}}"#), None),
        ("", bearer.to_owned(), Some(asks_bearer)),
        ("", bearer.replace("Bearer ", "bASIC "), Some(asks_basic)),
        ("", bearer.replace("Bearer ", ""), None),
        ("", bearer.replace("Authorization", "X-Key"), None),
        ("", token.to_owned(), Some(asks_bearer)),
        ("", token.replace("header:authorization", "query:key"), None),
        ("", r#""type":"hmac","hmac":{"secret":"s","header":"authorization","hash":"SHA256","encoding":"hex"}"#.to_owned(), None),
        ("vonage", r#""hmac":{"secret":"s"}"#.to_owned(), Some(asks_bearer)),
        ("postmark", r#""hmac":{"secret":"u:p"}"#.to_owned(), Some(asks_basic)),
        ("github", r#""hmac":{"secret":"s"}"#.to_owned(), None),
    ] {
        let provider = if provider.is_empty() { String::new() } else { format!(r#""provider":"{provider}","#) };
        let source = compiled(&format!(
            r#"{{"name":"a","type":"http",{provider}"verifier":{{{verifier}}}}}"#
        ));
        let refused = admit(&source, "https://x/ingest/m", &[], "{}").unwrap_err();
        for reply in [refused.reply(), crate::hookstream::refuse(&refused, "req_1")] {
            let asked = reply.headers.iter().find(|(name, _)| name == "www-authenticate");
            assert_eq!(asked.map(|(_, value)| value.as_str()), want, "{provider}{verifier}");
        }
    }
}

#[test]
fn a_source_that_observes_answers_questions_whoever_signs_them() {
    let answer = |provider: &str, mode: &str, headers: &[(&str, &str)], body: &str| {
        let key = if provider == "discord" {
            "cd92d5c447c6ae1bfe280f01612670306150136297d5cde3010f53a7eac57937"
        } else {
            "s"
        };
        let source = compiled(&format!(
            r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{{"mode":"{mode}","hmac":{{"secret":"{key}"}}}}}}"#
        ));
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (door, method, url) = (Door::Ingest, "POST", "https://x/");
        let arrival = Arrival { door, method, url, headers: &headers, body: body.as_bytes() };
        match source.admit(&arrival, "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), 1_700_000_000_000) {
            Ok(Admitted::Handshake(reply)) => String::from_utf8(reply.body).unwrap(),
            Ok(_) => "an event".to_owned(),
            Err(refused) => refused.status().1.to_owned(),
        }
    };
    let challenge = r#"{"type":"url_verification","challenge":"c"}"#;
    let wrong = [("x-slack-request-timestamp", "1700000000"), ("x-slack-signature", "v0=00")];
    assert_eq!(answer("slack", "observe", &[], challenge), "c");
    assert_eq!(answer("slack", "observe", &wrong, challenge), "c");
    assert_eq!(answer("slack", "enforce", &[], challenge), "missing");
    assert_eq!(answer("slack", "observe", &[], r#"{"type":"event_callback"}"#), "an event");
    assert_eq!(answer("discord", "observe", &[], r#"{"type":1}"#), r#"{"type":1}"#);
}
