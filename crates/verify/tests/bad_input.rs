//! Requests that nobody would send in good faith, and those that only clumsy people would.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

mod support;

use inlet_verify::{
    Answer, Encoding, Hash, Headers, Outcome, Policy, Refused, Request, Secret, Step, UnixTime,
    Verifier, catalogue, handshake,
};
use support::{NOW, mac, mac64, secret, to};

#[test]
fn signature_headers() {
    let right = format!("sha256={}", mac("hush", "{}"));
    let sent = |value: &str| to("github").header("x-hub-signature-256", value).label();
    for (value, want) in [
        (right.as_str(), "ok"),
        (&right.to_uppercase(), "ok"),
        (&format!("  {right}\t"), "ok"),
        (&format!("{right},"), "ok"),
        ("", "empty"),
        (" ", "empty"),
        ("sha256", "malformed"),
        ("sha256=", "malformed"),
        ("sha256=zz", "malformed"),
        ("sha1=00", "malformed"),
        (&right[..69], "malformed"),
        (&format!("{right}00"), "malformed"),
        (&format!("sha256={}", "ab".repeat(1_000_000)), "malformed"),
        (&format!("sha256={}", "é".repeat(32)), "malformed"),
        ("s\u{e9}a256=00", "malformed"),
        (&"sha256=,".repeat(10_000), "malformed"),
    ] {
        assert_eq!(sent(value), want, "{}", value.get(..40).unwrap_or(value));
    }
    assert_eq!(to("github").label(), "missing");
}

#[test]
fn lists_of_signatures() {
    let right = mac64(Hash::Sha256, b"hush", &format!("m.{NOW}.{{}}"));
    let secret = format!("whsec_{}", Encoding::Base64.encode(b"hush"));
    let sent = |value: &str| {
        to("svix")
            .secret(&secret)
            .header("svix-id", "m")
            .header("svix-timestamp", &NOW.to_string())
            .header("svix-signature", value)
            .label()
    };
    assert_eq!(sent(&format!("v1,{right}")), "ok");
    assert_eq!(sent(&format!("v9,x v1,! v1,AAAA v1a,AAAA v1,{right}")), "ok");
    assert_eq!(sent(&format!("v1,{right}, v1,AAAA")), "ok");
    assert_eq!(sent(&format!("v2,{right}")), "signature");
    assert_eq!(sent(&right), "malformed");
    assert_eq!(sent("v1,"), "malformed");
    // Whoever sends thousands of guesses has only the first hundred looked at.
    let guesses: Vec<_> = (0..5000).map(|guess| format!("v1,{guess:043}= ")).collect();
    let guesses = guesses.concat();
    assert_eq!(sent(&guesses), "signature");
    assert_eq!(sent(&format!("{guesses}v1,{right}")), "signature");
}

/// A signature only counts under the version it is written with.
#[test]
fn versions_are_not_mixed_up() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/rows.json")).unwrap();
    let vectors = vectors.as_array().unwrap();
    let v1a = vectors.iter().find(|vector| vector["provider"] == "standard_webhooks_v1a").unwrap();
    let signature = v1a["headers"]["webhook-signature"].as_str().unwrap();
    let (body, key) = (v1a["body"].as_str().unwrap(), v1a["secret"].as_str().unwrap());
    let sent = |provider, signature: &str| {
        to(provider)
            .secret(key)
            .body(body)
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", &NOW.to_string())
            .header("webhook-signature", signature)
            .label()
    };
    for provider in ["standard_webhooks", "standard_webhooks_v1a"] {
        assert_eq!(sent(provider, signature), "ok");
        assert_eq!(sent(provider, &format!("v1,AAAA {signature}")), "ok");
        assert_ne!(sent(provider, &signature.replace("v1a,", "v1,")), "ok");
        assert_ne!(sent(provider, &signature.replace("v1a,", "v2,")), "ok");
    }
    // The public key is no HMAC key, under any version.
    let bytes = Encoding::Base64.decode(key.trim_start_matches("whpk_").as_bytes()).unwrap();
    let forged = mac64(Hash::Sha256, &bytes, &format!("msg_1.{NOW}.{body}"));
    for provider in ["standard_webhooks", "standard_webhooks_v1a"] {
        assert_ne!(sent(provider, &format!("v1,{forged}")), "ok");
        assert_ne!(sent(provider, &format!("v1a,{forged}")), "ok");
    }
}

#[test]
fn several_secrets() {
    let signed = format!("sha256={}", mac("third", "{}"));
    let sent =
        to("github").secrets(&["first", "second", "third"]).header("x-hub-signature-256", &signed);
    assert_eq!(sent.verify().unwrap().secret_index, Some(2));
    assert_eq!(
        to("github").secrets(&[]).header("x-hub-signature-256", &signed).label(),
        "no_secret"
    );
    // One secret that cannot be read does not spoil the others.
    let signed = mac64(Hash::Sha256, b"\x01", "{}");
    let sent = to("adyen_platform").secrets(&["not hex", "01"]).header("hmacsignature", &signed);
    assert_eq!(sent.verify().unwrap().secret_index, Some(1));
}

#[test]
fn any_bytes_are_a_body() {
    let large = vec![0; 70_000];
    for body in [&b""[..], b"\xff\xfe\x00", b"\xed\xa0\x80", &large] {
        let signed = hex::encode(inlet_verify::hmac(Hash::Sha256, b"hush", &[body]));
        let sent = to("razorpay").header("x-razorpay-signature", &signed).body(body);
        assert_eq!(sent.label(), "ok");
    }
}

#[test]
fn repeated_keys_in_signed_json() {
    let raw = r#"{"a":1}"#;
    let signed = mac("hush", raw);
    let sent = |body: &str| to("korapay").header("x-korapay-signature", &signed).body(body).label();
    assert_eq!(sent(r#"{"data":{"a":1}}"#), "ok");
    assert_eq!(sent(r#"{"data":{"a":1},"data":{"a":2}}"#), "ambiguous");
    assert_eq!(sent(r#"{"data":{"a":2},"d\u0061ta":{"a":1}}"#), "ambiguous");
    assert_eq!(sent(r#"{"data":{"a":1.0}}"#), "signature");
    assert_eq!(sent(r#"{"data": {"a":1}  , "x":["data"]}"#), "ok");
    assert_eq!(sent(r#"["data"]"#), "missing");
    assert_eq!(sent("{\"data\":"), "missing");
    assert_eq!(sent(&"[".repeat(200_000)), "missing");
}

#[test]
fn numbers_keep_their_digits() {
    let amount = "90071992547409931234567890.10";
    let message = format!("o{amount}200hush");
    let signed =
        hex::encode(inlet_verify::digest(Hash::Sha512, &[b"o200", amount.as_bytes(), b"hush"]));
    let body = format!(
        r#"{{"order_id":"o","status_code":200,"gross_amount":{amount},"signature_key":"{signed}"}}"#
    );
    assert_eq!(to("midtrans").body(body).label(), "ok", "{message}");
}

/// The audience says for whom a token is, the email who asked for it.
#[test]
fn a_google_token_names_its_sender() {
    let claims = format!(
        r#"{{"iss":"https://accounts.google.com","aud":"us","email":"a@b.c","email_verified":true,"exp":{}}}"#,
        NOW + 9
    );
    let token = |claims: &str| {
        let encode = |text: &str| Encoding::Base64Url.encode(text.as_bytes());
        format!("Bearer {}.{}.AAAA", encode(r#"{"alg":"RS256"}"#), encode(claims))
    };
    let sent = |secret: &str, claims: &str| {
        to("google_pubsub").secret(secret).header("authorization", &token(claims)).label()
    };
    // As far as the key, which is only on the network.
    assert_eq!(sent("us a@b.c", &claims), "unavailable");
    assert_eq!(sent("us", &claims), "unavailable");
    assert_eq!(sent("us x@b.c", &claims), "claim");
    assert_eq!(sent("them a@b.c", &claims), "claim");
    assert_eq!(sent("us", &claims.replace("true", "false")), "claim");
    assert_eq!(sent("us", &claims.replace("accounts.google.com", "evil.com")), "claim");
    assert_eq!(sent("us", &claims.replace("\"aud\"", "\"aud\":\"them\",\"aud\"")), "claim");
    assert_eq!(
        to("google_pubsub")
            .secret("us")
            .now(NOW + 99)
            .header("authorization", &token(&claims))
            .label(),
        "too_old"
    );
}

#[test]
fn repeated_fields_are_refused() {
    let sent = |url: &str| to("mailchimp").url(url).label();
    assert_eq!(sent("https://e.com/?secret=hush"), "ok");
    assert_eq!(sent("https://e.com/?secret=hush&secret=hush"), "ok");
    assert_eq!(sent("https://e.com/?secret=hush&secret=x"), "ambiguous");
    assert_eq!(sent("https://e.com/?secret="), "empty");
    assert_eq!(to("figma").body(r#"{"passcode":"hush","passcode":"hush"}"#).label(), "ambiguous");
    let signed = mac("hush", "{}");
    let url = |more: &str| format!("https://e.com/?signature={signed}{more}");
    assert_eq!(to("pandadoc").url(&url("")).label(), "ok");
    assert_eq!(to("pandadoc").url(&url("&signature=00")).label(), "ambiguous");
}

#[test]
fn every_item_of_a_batch_counts() {
    let graph = |body: &str| to("ms_graph").body(body).label();
    assert_eq!(graph(r#"{"value":[{"clientState":"hush"},{"clientState":"hush"}]}"#), "ok");
    assert_eq!(graph(r#"{"value":[{"clientState":"hush"},{"clientState":"x"}]}"#), "credential");
    assert_eq!(graph(r#"{"value":[{"clientState":"hush"},{}]}"#), "missing");
    assert_eq!(graph(r#"{"value":[]}"#), "credential");
    assert_eq!(graph(r#"{"value":{}}"#), "missing");
    let adyen = |items: &str| {
        to("adyen").secret("00ff").body(format!(r#"{{"notificationItems":{items}}}"#)).label()
    };
    assert_eq!(adyen("[]"), "missing");
    assert_eq!(adyen("[{}]"), "missing");
    let signed = inlet_verify::hmac(Hash::Sha256, b"\0\xff", &[b":::::::"]);
    let signed = Encoding::Base64.encode(&signed);
    let item = format!(
        r#"{{"NotificationRequestItem":{{"additionalData":{{"hmacSignature":"{signed}"}}}}}}"#
    );
    assert_eq!(adyen(&format!("[{item}]")), "ok");
    let other = item.replace("additionalData", r#"success":"true","additionalData"#);
    assert_eq!(adyen(&format!("[{item},{other}]")), "signature");
    assert_eq!(adyen(&format!("[{other},{item}]")), "signature");
}

#[test]
fn clocks_may_be_apart_both_ways() {
    let slack = |sent: u64, now: u64| {
        let signature = format!("v0={}", mac("hush", &format!("v0:{sent}:{{}}")));
        to("slack")
            .now(now)
            .header("x-slack-request-timestamp", &sent.to_string())
            .header("x-slack-signature", &signature)
            .verify()
    };
    assert!(slack(NOW, NOW + 300).is_ok());
    assert!(slack(NOW + 300, NOW).is_ok());
    assert_eq!(slack(NOW, NOW + 301).unwrap_err(), Refused::TooOld { age: 301, tolerance: 300 });
    assert_eq!(slack(NOW + 301, NOW).unwrap_err(), Refused::TooNew { ahead: 301, tolerance: 300 });
    assert!(matches!(slack(0, u64::MAX), Err(Refused::TooOld { .. })));
    assert!(matches!(slack(u64::MAX / 1000, 0), Err(Refused::TooNew { .. })));
}

/// Contentful lets the request say which headers are signed; the time has to be one of them.
#[test]
fn a_time_beside_the_signed_headers_is_refused() {
    let sent = |names: &str, lines: &str| {
        to("contentful")
            .header("x-contentful-timestamp", &format!("{NOW}000"))
            .header("x-contentful-topic", "a")
            .header("x-contentful-signed-headers", names)
            .header("x-contentful-signature", &mac("hush", &format!("POST\n/in\n{lines}\n{{}}")))
            .label()
    };
    let time = format!("x-contentful-timestamp:{NOW}000");
    let both = format!("x-contentful-topic:a;{time}");
    assert_eq!(sent("x-contentful-topic,x-contentful-timestamp", &both), "ok");
    assert_eq!(sent("x-contentful-timestamp", &time), "ok");
    assert_eq!(sent("x-contentful-topic", "x-contentful-topic:a"), "missing");
    assert_eq!(sent("x-contentful-topic,x-other", "x-contentful-topic:a"), "missing");
}

/// A wrong signature says nothing about our clock.
#[test]
fn strangers_do_not_learn_the_time() {
    let sent = to("slack")
        .header("x-slack-request-timestamp", "1")
        .header("x-slack-signature", &format!("v0={}", mac("other", "x")));
    assert_eq!(sent.label(), "signature");
}

#[test]
fn timestamps_that_are_none() {
    for time in ["", "soon", "-1", "1.7e9", "0x10", "1700000000 ", "٣"] {
        let signature = format!("v0={}", mac("hush", &format!("v0:{time}:{{}}")));
        let sent = to("slack")
            .header("x-slack-request-timestamp", time)
            .header("x-slack-signature", &signature);
        assert_ne!(sent.label(), "ok", "{time}");
    }
    let two = to("slack")
        .header("x-slack-request-timestamp", "1700000000")
        .header("x-slack-request-timestamp", "1700000001")
        .header("x-slack-signature", &format!("v0={}", mac("hush", "x")));
    assert_eq!(two.label(), "ambiguous");
}

fn start(provider: &str, lines: &[(&str, &str)], body: &str) -> Outcome {
    let provider = catalogue::find(provider).unwrap();
    let verifier = Verifier::Provider { provider, secrets: vec![secret("WH")] };
    let headers = support::headers(lines);
    let body = body.as_bytes();
    let request = Request { method: "POST", url: support::URL, headers: &headers, body };
    verifier.start(&request, UnixTime(NOW), &Policy::default())
}

fn paypal(url: &str) -> Outcome {
    let lines = [
        ("paypal-transmission-id", "t"),
        ("paypal-transmission-time", "x"),
        ("paypal-transmission-sig", "AAAA"),
        ("paypal-cert-url", url),
    ];
    start("paypal", &lines, "{}")
}

#[test]
fn keys_are_fetched_from_known_hosts_only() {
    for wrong in [
        "https://evil.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.com/v1/notifications/certs/CERT-1",
        "https://evilpaypal.com/v1/notifications/certs/CERT-1",
        "https://.paypal.com/",
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/",
        "https://api.paypal.com/cert",
        "https://api.paypal.com/v1/notifications/certs/",
        "https://api.paypal.com/v1/notifications/certs/../x",
        "https://api.paypal.com/v1/notifications/certs/a?b",
        "https://api.paypal.com@evil.com/",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://api.paypal.com\\@evil.com/",
        "file:///etc/passwd",
        "",
    ] {
        assert!(matches!(paypal(wrong), Outcome::Done(Err(_))), "{wrong}");
    }
    let Outcome::Need(pending) = paypal("https://api.paypal.com/v1/notifications/certs/CERT-1")
    else {
        panic!()
    };
    let url = "https://api.paypal.com/v1/notifications/certs/CERT-1".to_owned();
    assert_eq!(*pending.step(), Step::NeedKey { url, body: None });
}

#[test]
fn answers_of_the_shell() {
    let pending = || {
        let Outcome::Need(pending) = paypal("https://api.paypal.com/v1/notifications/certs/CERT-1")
        else {
            panic!()
        };
        pending
    };
    let refused = |answer| match pending().resume(answer) {
        Outcome::Done(Err(refused)) => refused,
        outcome => panic!("{outcome:?}"),
    };
    assert!(refused(Answer::Unavailable).is_temporary());
    // A key, but nobody's certificate; and a certificate of somebody else.
    let pem = include_str!("../vectors/certificate.pem");
    assert_eq!(refused(Answer::Key(pem.into())), Refused::NoKey);
    assert_eq!(refused(Answer::Key(b"<html>".to_vec())), Refused::NoKey);
    assert_eq!(refused(Answer::Key(Vec::new())), Refused::NoKey);
    assert_eq!(refused(Answer::Checked(true)), Refused::NeedsShell);
}

#[test]
fn signatures_that_do_not_match_are_tried_to_the_last() {
    let key = |text: &str| Secret::new(text.as_bytes()).unwrap();
    let pem = include_str!("../vectors/published.json");
    let pem: serde_json::Value = serde_json::from_str(pem).unwrap();
    let wise = pem.as_array().unwrap().iter().find(|vector| vector["provider"] == "wise").unwrap();
    let pem = wise["secret"].as_str().unwrap();
    let verifier = Verifier::Provider {
        provider: catalogue::find("wise").unwrap(),
        secrets: vec![key(pem), key(pem)],
    };
    let headers = support::headers(&[("x-signature-sha256", "AAAA")]);
    let request = Request { method: "POST", url: "https://e.com/", headers: &headers, body: b"" };
    let mut outcome = verifier.start(&request, UnixTime(NOW), &Policy::default());
    let mut checks = 0;
    let refused = loop {
        match outcome {
            Outcome::Done(verdict) => break verdict.unwrap_err(),
            Outcome::Need(pending) => {
                checks += 1;
                outcome = pending.resume(Answer::Checked(false));
            }
        }
    };
    assert_eq!((checks, refused.label()), (2, "signature"));
}

#[test]
fn key_ids_stay_out_of_urls() {
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6Ii4uLy4uL3gifQ.e30.AAAA";
    let outcome = start("google_pubsub", &[("authorization", &format!("Bearer {token}"))], "{}");
    assert!(matches!(outcome, Outcome::Done(Err(_))), "{outcome:?}");
}

#[test]
fn no_row_panics_on_nothing() {
    let headers = Headers::default();
    for row in catalogue::all() {
        for (method, url, body) in [
            ("", "", &b""[..]),
            ("GET", "?", b"{"),
            ("POST", "https://", b"\xff"),
            ("HEAD", "::", b"[]"),
        ] {
            let request = Request { method, url, headers: &headers, body };
            let secrets = vec![secret("x")];
            drop(handshake(row, &secrets, &request, UnixTime(0)));
            let verifier = Verifier::Provider { provider: row, secrets };
            drop(verifier.verify(&request, UnixTime(u64::MAX)));
        }
    }
}
