use proptest::prelude::*;

use super::*;
use crate::api::parse;

fn project() -> Project {
    let input = parse(br#"{"name":"a","type":"outgoing"}"#).unwrap();
    Project::create(input, 3, 0, &mut |b| b.fill(5)).unwrap()
}

fn error(kind: Kind, body: &str) -> String {
    Push::parse(kind, body.as_bytes()).unwrap_err().message
}

#[test]
fn data_keeps_its_bytes() {
    let data = r#"{ "z": 1.10, "a": 12345678901234567890123, "u": "\u003c" }"#;
    let body = format!(r#"{{"event_type":"t","endpoint_id":"e","data": {data} }} }}"#);
    let push = Push::parse(Kind::Single, body.as_bytes()).unwrap();
    let envelope = push.envelope(&project(), Origin::default(), "id".into(), 7).unwrap();
    assert_eq!(envelope.body, Body::Inline(data.as_bytes().to_vec()));
    assert_eq!(envelope.meta.target, Some(Target::Endpoint("e".into())));
    assert_eq!((envelope.meta.shard, envelope.meta.received_at), (3, 7));
    assert_eq!(Envelope::decode(&envelope.encode()).unwrap(), envelope);
}

#[test]
fn what_is_queued_is_told_as_convoys_clients_read_it() {
    for (key, told) in
        [("", ""), (r#","idempotency_key":"k""#, "k"), (r#","idempotency_key":"""#, "")]
    {
        let body = format!(r#"{{"event_type":"t","endpoint_id":"e","data":1{key}}}"#);
        let push = Push::parse(Kind::Single, body.as_bytes()).unwrap();
        let queued = json!({"uid": "id", "event_type": "t", "idempotency_key": told});
        assert_eq!(push.queued("id"), queued);
    }
}

#[test]
fn what_is_missing_is_said_in_convoys_words() {
    use Kind::*;
    for (kind, body, expect) in [
        (Single, "{}", "data:please provide your data, event_type:please provide an event type"),
        (Single, r#"{"event_type":"t","data":{}}"#, "please provide an endpoint ID"),
        (
            Single,
            r#"{"event_type":"t","data":{},"app_id":"a"}"#,
            "app ID has no configured endpoints",
        ),
        (
            Single,
            r#"{"event_type":"t","data":{},"app_id":"a","endpoint_id":"e"}"#,
            "app_id:Inlet knows no apps: leave it out, and name an endpoint_id or an owner_id",
        ),
        (Fanout, r#"{"event_type":"t","data":1}"#, "owner_id:please provide an owner id"),
        (Dynamic, r#"{"event_type":"t","data":1}"#, "url:please provide an endpoint url"),
        (
            Single,
            r#"{"event_type":"t","data":{},"endpoint_id":"e","idempotencyKey":"k"}"#,
            "idempotencyKey:unknown field: did you mean idempotency_key?",
        ),
        (
            Broadcast,
            r#"{"event_type":"t","data":{},"custom_header":{}}"#,
            "custom_header:unknown field: did you mean custom_headers?",
        ),
        (
            Fanout,
            r#"{"event_type":"t","data":{},"ownerId":"o"}"#,
            "ownerId:unknown field: did you mean owner_id?",
        ),
        (
            Dynamic,
            r#"{"event_type":"t","data":{},"url":"u","event-types":["t"]}"#,
            "event-types:unknown field: did you mean event_types?",
        ),
        (Single, "", "body must not be empty"),
        (Single, "[]", "body contains incorrect JSON type: an object is expected"),
        (Single, r#"{"a":}"#, "body contains badly-formed JSON (at character 6)"),
        (
            Single,
            r#"{"data":1,"event_type":5}"#,
            "body contains incorrect JSON type for field \"event_type\"",
        ),
        (
            Broadcast,
            r#"{"data":1,"event_type":"t","custom_headers":{"a":1}}"#,
            "custom_headers:an object is expected, of header names and their values as text",
        ),
        (
            Broadcast,
            r#"{"data":1,"event_type":"t","custom_headers":{"a b":"1"}}"#,
            "custom_headers.a b:not a header name",
        ),
        (
            Broadcast,
            r#"{"data":1,"event_type":"t","custom_headers":{"Host":"1"}}"#,
            "custom_headers.Host:this header is the connection's, and is not yours to set",
        ),
        (
            Broadcast,
            r#"{"data":1,"event_type":"t","custom_headers":{"Webhook-Id":"1"}}"#,
            "custom_headers.Webhook-Id:the gateway sets this header itself",
        ),
        (
            Broadcast,
            r#"{"data":1,"event_type":"t\u0000","idempotency_key":"k"}"#,
            "event_type:one line of text without control characters and marks of direction (character 2 is U+0000)",
        ),
        (
            Broadcast,
            r#"{"data":1,"event_type":"t","custom_headers":{"a":"1\r\nb: 2"}}"#,
            "custom_headers.a:a header's value has visible characters, spaces and tabs only",
        ),
        (
            Broadcast,
            r#"{"data":1,"event_type":"t","idempotency_key":"a\nb"}"#,
            "idempotency_key:visible characters only, because it is sent on as a header",
        ),
    ] {
        assert_eq!(error(kind, body), expect, "{body}");
    }
    for taken in [
        r#"{"data":null,"event_type":"t"}"#,
        // What Convoy's clients and brokers' messages carry along.
        r#"{"data":1,"event_type":"t","project_id":"p","source_id":"s","app_id":"","owner_id":"","acknowledged_at":"","kind":"x"}"#,
    ] {
        assert!(Push::parse(Broadcast, taken.as_bytes()).is_ok(), "{taken}");
    }
}

#[test]
fn a_key_is_the_projects_and_a_message_id_the_sources() {
    let claim = |body: &str, origin: Origin<'_>| {
        let push = Push::parse(Kind::Broadcast, body.as_bytes()).unwrap();
        push.envelope(&project(), origin, "id".into(), 0).unwrap().meta.claim
    };
    let broker = Origin { source_id: "s", identity: Some("m-1"), ..Origin::default() };
    let plain = r#"{"data":1,"event_type":"t"}"#;
    let keyed = r#"{"data":1,"event_type":"t","idempotency_key":"k"}"#;
    assert_eq!(claim(plain, Origin::default()), None);
    let claimed = claim(plain, broker).unwrap();
    assert_eq!((claimed.key.as_str(), claimed.scope), ("broker:m-1", None));
    for origin in [broker, Origin::default()] {
        let claimed = claim(keyed, origin).unwrap();
        assert_eq!((claimed.key.as_str(), claimed.scope), ("k", Some(project().uid)));
    }
}

#[test]
fn an_events_own_headers_win_and_hop_headers_stay_behind() {
    let body = r#"{"data":1,"event_type":"t","custom_headers":{"X-A":"own"}}"#;
    let given = [("x-a", "broker"), ("X-B", "b"), ("Host", "h"), ("x-c", "a\nb")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let origin = Origin { headers: &given, ..Origin::default() };
    let push = Push::parse(Kind::Broadcast, body.as_bytes()).unwrap();
    let headers = push.envelope(&project(), origin, "id".into(), 0).unwrap().meta.headers;
    let expect =
        [("x-a", "own"), ("x-b", "b"), ("x-c", "ab")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(headers, expect);
}

#[test]
fn what_is_too_large_is_refused_before_anything_is_stored() {
    let mut project = project();
    project.config.max_payload_read_size = 5;
    let of = |body: &str| {
        let push = Push::parse(Kind::Broadcast, body.as_bytes()).unwrap();
        push.envelope(&project, Origin::default(), "id".into(), 0).map_err(|error| error.status)
    };
    assert!(of(r#"{"data":12345,"event_type":"t"}"#).is_ok());
    assert_eq!(of(r#"{"data":123456,"event_type":"t"}"#).unwrap_err(), 413);
    let long = "x".repeat(200_000);
    let body = format!(r#"{{"data":1,"event_type":"t","custom_headers":{{"a":"{long}"}}}}"#);
    assert_eq!(of(&body).unwrap_err(), 413);
}

#[test]
fn a_key_stands_once_beside_data_and_as_often_as_it_likes_in_it() {
    let body = |fields: &str| {
        format!(r#"{{"endpoint_id":"e","event_type":"t","data":{{"a":1,"a":2}}{fields}}}"#)
    };
    let kept = Push::parse(Kind::Single, body("").as_bytes()).unwrap();
    assert_eq!(kept.data, br#"{"a":1,"a":2}"#);
    for (more, key) in [
        (r#","event_type":"u""#, "event_type"),
        (r#","data":{}"#, "data"),
        (r#","custom_headers":{"a":"b","a":"c"}"#, "a"),
    ] {
        let message = error(Kind::Single, &body(more));
        assert!(message.contains(&format!("the key \"{key}\" twice")), "{message}");
        let items = Push::parse_batch(format!("[{},{}]", body(more), body("")).as_bytes()).unwrap();
        assert!(items[0].is_err() && items[1].is_ok(), "{items:?}");
    }
}

#[test]
fn a_bad_item_does_not_spoil_a_batch() {
    let body = br#"[{"endpoint_id":"e","event_type":"t","data":1},{"kind":"broadcast","event_type":"t","data":2},
        {"owner_id":"o","event_type":"t","data":2},{"url":"https://a.example","event_type":"t","data":2},
        {"kind":"nobody"},5,{"event_type":"t","data":3},{"owner_id":"o","event_type":"t","data":2,"Idempotency-Key":"k"}]"#;
    let items = Push::parse_batch(body).unwrap();
    let kinds: Vec<_> = items.iter().map(|item| item.as_ref().map(|push| push.kind)).collect();
    let good = [Kind::Single, Kind::Broadcast, Kind::Fanout, Kind::Dynamic];
    assert_eq!(kinds[..4], good.map(Ok));
    assert!(items[4..].iter().all(Result::is_err));
    for (body, status) in [("[]", 400), ("{}", 400), ("[", 400)] {
        assert_eq!(Push::parse_batch(body.as_bytes()).unwrap_err().status, status, "{body}");
    }
    let many = format!("[{}]", vec!["1"; 1_001].join(","));
    assert_eq!(Push::parse_batch(many.as_bytes()).unwrap_err().status, 413);
}

proptest! {
    #[test]
    fn no_payload_makes_a_panic(body: Vec<u8>, text: String) {
        Push::parse(Kind::Dynamic, &body).ok();
        Push::parse_batch(&body).ok();
        let body = serde_json::json!({"data": text, "event_type": text, "custom_headers": {&*text: text}});
        Push::parse(Kind::Broadcast, body.to_string().as_bytes()).ok();
    }
}

#[test]
fn the_answer_to_a_batch_says_of_each_item_what_became_of_it() {
    let ok = || Ok("u".to_owned());
    let no = |status: u16| Err(ApiError::new(status, "no"));
    for (results, status, is_ok, message, after) in [
        (vec![ok(), ok()], 201, true, "2 successful, 0 failed", None),
        (vec![no(400), ok(), no(503)], 207, true, "1 successful, 2 failed", None),
        (vec![no(400), no(503)], 400, false, "0 successful, 2 failed", None),
        (vec![no(503), no(400)], 503, false, "0 successful, 2 failed", Some(10)),
    ] {
        let (answer, retry_after_s) = answer_batch(&results);
        assert_eq!((answer.status, retry_after_s), (status, after), "{results:?}");
        assert_eq!(
            (&answer.body["status"], &answer.body["message"]),
            (&json!(is_ok), &json!(message))
        );
        assert_eq!(answer.body["data"].as_array().unwrap().len(), results.len());
    }
    let (answer, _) = answer_batch(&[ok(), no(400)]);
    let shown =
        json!([{"status": true, "uid": "u"}, {"status": false, "code": 400, "message": "no"}]);
    assert_eq!(answer.body["data"], shown);
}

#[test]
fn what_names_somebody_else_beside_whom_an_event_is_for_is_refused() {
    use Kind::*;
    for (kind, fields, expect) in [
        (Single, r#""endpoint_id":"e","url":"https://x.y/""#, "url:has no effect here"),
        (Single, r#""endpoint_id":"e","secret":"s""#, "secret:has no effect here"),
        (Fanout, r#""owner_id":"o","event_types":["a"]"#, "event_types:has no effect here"),
        (Fanout, r#""endpoint_id":"e","owner_id":"o""#, "endpoint_id:has no effect here"),
        (Broadcast, r#""endpoint_id":"e""#, "endpoint_id:has no effect here"),
        (Broadcast, r#""owner_id":"o""#, "owner_id:has no effect here"),
        (Broadcast, r#""url":"https://x.y/""#, "url:has no effect here"),
        (Dynamic, r#""url":"https://example.com/","owner_id":"o""#, "owner_id:has no effect here"),
    ] {
        let body = format!(r#"{{"event_type":"t","data":1,{fields}}}"#);
        let error = error(kind, &body);
        assert!(error.starts_with(expect), "{error}");
        let message = Push::parse_message(kind, body.as_bytes());
        assert!(message.is_ok(), "a message of a broker is for whom its header says: {body}");
    }
    for (fields, why) in [
        (r#""endpoint_id":"e","url":"","secret":null,"event_types":[]"#, "typed clients write it"),
        (r#""endpoint_id":"e","owner_id":"o""#, "Convoy's own example has both"),
    ] {
        let body = format!(r#"{{"event_type":"t","data":1,{fields}}}"#);
        let push = Push::parse(Single, body.as_bytes()).expect(why);
        assert_eq!(push.to, To::Known(Target::Endpoint("e".into())), "{why}");
    }
    let both = br#"{"event_type":"t","data":1,"endpoint_id":"e","owner_id":"o"}"#;
    let fanout = Push::parse_message(Fanout, both).unwrap();
    assert_eq!(fanout.to, To::Known(Target::Endpoint("e".into())), "as in Convoy");
}

#[test]
fn a_message_is_one_event_and_nothing_behind_it() {
    let event = r#"{"event_type":"t","data":1,"endpoint_id":"e"}"#;
    let read = |body: &str| Push::parse_message(Kind::Single, body.as_bytes()).map(drop);
    read(&format!("{event}\n \n")).unwrap();
    for behind in [format!("\n{event}"), " {\"cut".to_owned(), "x".to_owned()] {
        let error = read(&format!("{event}{behind}")).unwrap_err().message;
        let at = event.len() + behind.len() - behind.trim_start().len() + 1;
        assert_eq!(error, format!("body contains badly-formed JSON (at character {at})"));
    }
}

#[test]
fn a_call_pushes_what_its_body_holds_and_loses_nothing_behind_it() {
    let event = r#"{"event_type":"t","data":1,"endpoint_id":"e"}"#;
    assert!(Push::parse(Kind::Single, format!("{event}}}").as_bytes()).is_ok(), "as in Convoy");
    assert!(Push::parse_batch(format!("[{event}]]\n").as_bytes()).is_ok());
    let expect = "body contains more than one JSON value (at character";
    for behind in [event, "\n{\"cut", ","] {
        let one = Push::parse(Kind::Single, format!("{event}{behind}").as_bytes()).unwrap_err();
        let batch = Push::parse_batch(format!("[{event}] {behind}").as_bytes()).unwrap_err();
        for error in [one, batch] {
            assert!(error.status == 400 && error.message.starts_with(expect), "{error}");
        }
    }
}

#[test]
fn custom_headers_that_would_not_go_out_are_refused() {
    let push = |headers: &str, more: &str| {
        let body = format!(
            r#"{{"event_type":"t","data":1,"endpoint_id":"e","custom_headers":{headers}{more}}}"#
        );
        let push = Push::parse(Kind::Single, body.as_bytes())?;
        push.envelope(&project(), Origin::default(), "id".into(), 7)
    };
    let error = |headers: &str, more: &str| push(headers, more).unwrap_err().message;
    assert_eq!(
        error(r#"{"X-A":"1","x-a":"2"}"#, ""),
        "custom_headers.x-a:is given twice, in different spellings"
    );
    assert_eq!(
        error(r#"{"X-Convoy-Signature":"1"}"#, ""),
        "custom_headers.x-convoy-signature:the gateway sets this header itself"
    );
    let key = r#"{"X-Convoy-Idempotency-Key":"1"}"#;
    assert!(push(key, "").is_ok());
    assert!(
        error(key, r#","idempotency_key":"k""#).ends_with("the gateway sets this header itself")
    );
}

#[test]
fn the_url_of_a_dynamic_event_is_found_in_each_spelling() {
    let spellings = |url: &str| {
        let url = url.to_owned();
        let dynamic = Dynamic { url, secret: None, event_types: vec![] };
        (dynamic.made_url(), dynamic.spellings())
    };
    let (made, all) = spellings(" HTTP://Example.com:80/x/../dy?b ");
    assert_eq!(made, "http://example.com/dy?b");
    assert_eq!(all, ["HTTP://Example.com:80/x/../dy?b", "http://example.com/dy?b"]);
    let (made, all) = spellings("https://EXAMPLE.com");
    assert_eq!(made, "https://example.com/");
    assert_eq!(all, ["https://EXAMPLE.com", "https://example.com/", "https://example.com"]);
    assert_eq!(spellings("no url"), ("no url".into(), vec!["no url".into()]));
}
