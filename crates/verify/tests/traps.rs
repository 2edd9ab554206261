//! What other implementations got wrong. Each is a test here.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

mod support;

use inlet_verify::{
    Encoding, Hash, Headers, Integrity, Place, Request, Secret, UnixTime, catalogue, digest,
    extract, extract_each, hmac,
};
use support::{NOW, headers, mac, mac64, to, verifier};

#[test]
fn vercel_signs_with_sha1() {
    let right = hex::encode(hmac(Hash::Sha1, b"hush", &[b"{}"]));
    assert_eq!(to("vercel").header("x-vercel-signature", &right).label(), "ok");
    let wrong = mac("hush", "{}");
    assert_eq!(to("vercel").header("x-vercel-signature", &wrong).label(), "malformed");
}

#[test]
fn box_signs_the_body_before_the_time() {
    let time = "2023-11-14T22:13:20Z";
    let sent = |message: &str| {
        to("box")
            .header("box-delivery-timestamp", time)
            .header("box-signature-primary", &mac64(Hash::Sha256, b"hush", message))
            .label()
    };
    assert_eq!(sent(&format!("{{}}{time}")), "ok");
    assert_eq!(sent(&format!("{time}{{}}")), "signature");
}

#[test]
fn sendgrid_is_no_hmac() {
    let sent = to("sendgrid")
        .header("x-twilio-email-event-webhook-timestamp", "1700000000")
        .header("x-twilio-email-event-webhook-signature", &mac64(Hash::Sha256, b"hush", "{}"));
    assert_ne!(sent.label(), "ok");
}

#[test]
fn twilio_signs_url_and_fields() {
    let form = "application/x-www-form-urlencoded";
    let sent = |message: &str| {
        to("twilio")
            .url("https://example.com/it's")
            .header("content-type", form)
            .header("x-twilio-signature", &mac64(Hash::Sha1, b"hush", message))
            .body("b=2&a=1")
            .label()
    };
    assert_eq!(sent("https://example.com/it'sa1b2"), "ok");
    assert_eq!(sent("https://example.com:443/it'sa1b2"), "ok");
    assert_eq!(sent("https://example.com/it%27sa1b2"), "ok");
    assert_eq!(sent("b=2&a=1"), "signature");
}

/// Who holds the signature of a bare URL may not attach a body to it.
#[test]
fn twilio_binds_json_bodies_too() {
    let url = "https://example.com/in";
    let signature = mac64(Hash::Sha1, b"hush", url);
    let sent = to("twilio").url(url).header("x-twilio-signature", &signature);
    let refused = sent.verify().unwrap_err();
    assert_eq!(refused.label(), "missing");
    assert!(refused.to_string().contains("by which the sender signs"), "{refused}");
    let hash = hex::encode(digest(Hash::Sha256, &[b"{}"]));
    let url = format!("https://example.com/in?bodySHA256={hash}");
    let signature = mac64(Hash::Sha1, b"hush", &url);
    let sent =
        |body: &str| to("twilio").url(&url).header("x-twilio-signature", &signature).body(body);
    assert_eq!(sent("{}").label(), "ok");
    assert_eq!(sent("{ }").label(), "claim");
    assert_eq!(sent("").label(), "claim");
    let mandrill = mac64(Hash::Sha1, b"hush", support::URL);
    let sent = to("mandrill").header("x-mandrill-signature", &mandrill).body("{}");
    assert_eq!(sent.label(), "malformed");
}

#[test]
fn stripe_keys_are_whole_and_svix_keys_are_decoded() {
    let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let key = Encoding::Base64.decode(&text.as_bytes()[6..]).unwrap();
    let message = format!("{NOW}.{{}}");
    let stripe = |signature: &str| {
        to("stripe")
            .secret(text)
            .header("stripe-signature", &format!("t={NOW},v1={signature}"))
            .label()
    };
    assert_eq!(stripe(&mac(text, &message)), "ok");
    assert_eq!(stripe(&hex::encode(hmac(Hash::Sha256, &key, &[message.as_bytes()]))), "signature");
    assert_eq!(
        to("stripe").secret(text).header("stripe-signature", &mac(text, "{}")).label(),
        "malformed"
    );
    let svix = |key: &[u8]| {
        to("svix")
            .secret(text)
            .header("svix-id", "m")
            .header("svix-timestamp", &NOW.to_string())
            .header(
                "svix-signature",
                &format!("v1,{}", mac64(Hash::Sha256, key, &format!("m.{NOW}.{{}}"))),
            )
            .label()
    };
    assert_eq!(svix(&key), "ok");
    assert_eq!(svix(text.as_bytes()), "signature");
}

#[test]
fn recharge_and_old_hubspot_hash_without_hmac() {
    let hash = hex::encode(digest(Hash::Sha256, &[b"hush{}"]));
    assert_eq!(to("recharge").header("x-recharge-hmac-sha256", &hash).label(), "ok");
    assert_eq!(
        to("recharge").header("x-recharge-hmac-sha256", &mac("hush", "{}")).label(),
        "signature"
    );
    assert_eq!(to("hubspot_v1").header("x-hubspot-signature", &hash).label(), "ok");
}

#[test]
fn secrets_are_read_as_each_provider_writes_them() {
    let base64 = Encoding::Base64.encode(b"raw key");
    let polar = |key: &[u8]| {
        to("polar")
            .secret(&base64)
            .header("webhook-id", "m")
            .header("webhook-timestamp", &NOW.to_string())
            .header(
                "webhook-signature",
                &format!("v1,{}", mac64(Hash::Sha256, key, &format!("m.{NOW}.{{}}"))),
            )
            .label()
    };
    assert_eq!(polar(base64.as_bytes()), "ok");
    assert_eq!(polar(b"raw key"), "signature");
    let airtable = format!("hmac-sha256={}", hex::encode(hmac(Hash::Sha256, b"raw key", &[b"{}"])));
    assert_eq!(
        to("airtable").secret(&base64).header("x-airtable-content-mac", &airtable).label(),
        "ok"
    );
    let adyen = mac64(Hash::Sha256, b"\xab\xcd", "{}");
    assert_eq!(to("adyen_platform").secret("ABcd").header("hmacsignature", &adyen).label(), "ok");
    assert_eq!(
        to("adyen_platform").secret("not hex").header("hmacsignature", &adyen).label(),
        "bad_secret"
    );
}

#[test]
fn cashfree_has_no_dot() {
    let time = format!("{NOW}000");
    let sent = |message: &str| {
        to("cashfree")
            .header("x-webhook-timestamp", &time)
            .header("x-webhook-signature", &mac64(Hash::Sha256, b"hush", message))
            .label()
    };
    assert_eq!(sent(&format!("{time}{{}}")), "ok");
    assert_eq!(sent(&format!("{time}.{{}}")), "signature");
}

#[test]
fn mollie_repeats_its_header_and_others_may_not() {
    let right = format!("sha256={}", mac("hush", "{}"));
    let other = format!("sha256={}", mac("other", "{}"));
    let mollie =
        to("mollie").header("x-mollie-signature", &other).header("x-mollie-signature", &right);
    assert_eq!(mollie.label(), "ok");
    let joined = to("mollie").header("x-mollie-signature", &format!("{other}, {right}"));
    assert_eq!(joined.label(), "ok");
    for (first, second) in [(&other, &right), (&right, &other)] {
        let github =
            to("github").header("x-hub-signature-256", first).header("x-hub-signature-256", second);
        assert_eq!(github.label(), "ambiguous");
    }
    let github = to("github").header("x-hub-signature-256", &format!("garbage, {right}"));
    assert_eq!(github.label(), "ambiguous");
}

#[test]
fn empty_keys_are_no_keys() {
    assert!(Secret::new(*b"\0\0\0").is_none());
    let signature = mac64(Hash::Sha256, b"", "{}");
    assert_eq!(
        to("adyen_platform").secret("0000").header("hmacsignature", &signature).label(),
        "bad_secret"
    );
    // The identity: a key of low order, with which one signature fits every message.
    let identity = format!("01{}", "00".repeat(31));
    let signature = format!("{identity}{}", "00".repeat(32));
    let discord = to("discord")
        .secret(&identity)
        .header("x-signature-timestamp", &NOW.to_string())
        .header("x-signature-ed25519", &signature);
    assert_eq!(discord.label(), "signature");
}

#[test]
fn bytes_stay_as_they_arrived() {
    let easypost = format!("hmac-sha256-hex={}", mac("se\u{301}cret", "{}"));
    assert_eq!(
        to("easypost").secret("s\u{e9}cret").header("x-hmac-signature", &easypost).label(),
        "ok"
    );
    let body = r#"{"a":"\u001B[0m\u2665"}"#;
    let signed = format!("sha256={}", mac("hush", body));
    assert_eq!(to("github").header("x-hub-signature-256", &signed).body(body).label(), "ok");
    let lower = body.replace("1B", "1b");
    assert_eq!(
        to("github").header("x-hub-signature-256", &signed).body(lower).label(),
        "signature"
    );
    // Compressed bytes are signed as they are, and are no text.
    let zipped = b"\x1f\x8b\x08\x00\xff";
    let signed = hex::encode(hmac(Hash::Sha256, b"hush", &[zipped]));
    assert_eq!(to("nylas").header("x-nylas-signature", &signed).body(zipped).label(), "ok");
}

#[test]
fn a_segment_batch_is_refused() {
    let first = r#"{"messageId":"1"}"#;
    let batch = format!("[{first},{{}}]");
    let signed = hex::encode(hmac(Hash::Sha1, b"hush", &[first.as_bytes()]));
    assert_eq!(to("segment").header("x-signature", &signed).body(first).label(), "ok");
    assert_eq!(to("segment").header("x-signature", &signed).body(batch).label(), "signature");
}

#[test]
fn what_does_not_sign_its_body_says_so() {
    for name in ["mailgun", "dropbox_sign", "mercado_pago", "midtrans", "lever", "google_pubsub"] {
        assert_eq!(catalogue::find(name).unwrap().integrity, Integrity::Partial, "{name}");
    }
}

#[test]
fn dropbox_sign_sends_a_form_of_parts() {
    let hash = mac("hush", "1348177752signature_request_sent");
    let json = format!(
        r#"{{"event":{{"event_time":"1348177752","event_type":"signature_request_sent","event_hash":"{hash}"}}}}"#
    );
    let body = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--xyz--\r\n"
    );
    let kind = "multipart/form-data; boundary=xyz";
    let sent = || to("dropbox_sign").header("content-type", kind);
    assert_eq!(sent().body(&body).label(), "ok");
    assert_ne!(sent().body(body.replace("_sent", "_read")).label(), "ok");
}

#[test]
fn batches_can_be_taken_apart() {
    let headers = Headers::default();
    let body =
        br#"[{"eventId":1,"subscriptionId":9,"occurredAt":5},{"eventId":9007199254740993,"subscriptionId":9,"occurredAt":6}]"#;
    let request = Request { method: "POST", url: "https://example.com/", headers: &headers, body };
    assert_eq!(extract_each(&Place::Body("*.eventId"), &request), ["1", "9007199254740993"]);
    let hubspot = catalogue::find("hubspot_v3").unwrap();
    let parts = hubspot.event_parts(&request).unwrap();
    assert_eq!(parts, ["2", "1", "9007199254740993", "2", "9", "9", "2", "5", "6"]);
}

#[test]
fn a_forwarded_copy_comes_too_late() {
    let body = format!(r#"{{"webhookTimestamp":{NOW}000}}"#);
    let signed = mac("hush", &body);
    let linear =
        |now| to("linear").header("linear-signature", &signed).body(&body).now(now).label();
    assert_eq!(linear(NOW + 60), "ok");
    assert_eq!(linear(NOW + 61), "too_old");
    let signed = format!("ts={NOW};h1={}", mac("hush", &format!("{NOW}:{{}}")));
    let paddle = |now| to("paddle").header("paddle-signature", &signed).now(now).label();
    assert_eq!(paddle(NOW + 5), "ok");
    assert_eq!(paddle(NOW + 6), "too_old");
}

#[test]
fn no_transport_header_names_an_event() {
    fn names(place: &Place<'_>, found: &mut Vec<String>) {
        match place {
            Place::Header(name) => found.push((*name).to_owned()),
            Place::All(places) | Place::First(places) => {
                places.iter().for_each(|place| names(place, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for row in catalogue::all() {
        row.event_id.iter().for_each(|place| names(place, &mut found));
    }
    for poison in ["x-request-id", "x-amzn-trace-id", "traceparent", "cf-ray", "x-correlation-id"] {
        assert!(!found.iter().any(|name| name == poison), "{poison}");
    }
}

#[test]
fn shopify_sends_one_event_under_several_topics_and_of_several_objects() {
    let shopify = catalogue::find("shopify").unwrap();
    let parts = |topic, delivery, body: &str| {
        let headers = support::headers(&[
            ("X-Shopify-Topic", topic),
            ("x-shopify-webhook-id", delivery),
            ("X-Shopify-Event-Id", "e"),
        ]);
        let (url, body) = ("https://example.com/", body.as_bytes());
        shopify.event_parts(&Request { method: "POST", url, headers: &headers, body }).unwrap()
    };
    let first = parts("products/update", "w1", r#"{"id":1}"#);
    assert_ne!(first, parts("products/create", "w1", r#"{"id":1}"#));
    assert_ne!(first, parts("products/update", "w1", r#"{"id":2}"#), "one action, two products");
    assert_eq!(first, parts("products/update", "w2", r#"{"id":1}"#), "two subscriptions");
}

/// <https://shopify.dev/docs/apps/build/events/verify-deliveries>
#[test]
fn shopify_signs_events_in_a_header_without_x() {
    let sent = to("shopify").header("shopify-hmac-sha256", &mac64(Hash::Sha256, b"hush", "{}"));
    assert_eq!(sent.label(), "ok");
}

#[test]
fn klarna_signs_in_hex_or_base64() {
    let sent = |signature: &str| to("klarna").header("klarna-signature", signature).label();
    assert_eq!(sent(&mac("hush", "{}")), "ok");
    assert_eq!(sent(&mac64(Hash::Sha256, b"hush", "{}")), "ok");
    assert_eq!(sent(&mac("other", "{}")), "signature");
    assert_eq!(sent(&mac64(Hash::Sha256, b"other", "{}")), "signature");
}

/// Okta lets the operator name the header: <https://help.okta.com/en-us/Content/Topics/automation-hooks/add-event-hooks.htm>.
#[test]
fn okta_sends_its_secret_in_any_header() {
    let sent = |secret: &str, name: &str, value: &str| {
        to("okta").secret(secret).header(name, value).label()
    };
    assert_eq!(sent("hush", "authorization", "hush"), "ok");
    assert_eq!(sent("Basic dTpw", "authorization", "Basic dTpw"), "ok");
    assert_eq!(sent("x-auth: hush", "x-auth", "hush"), "ok");
    assert_eq!(sent("x-auth: hush", "x-auth", "other"), "credential");
    assert_eq!(sent("hush", "x-auth", "hush"), "missing");
    assert_eq!(catalogue::find("okta").unwrap().integrity, Integrity::None);
}

/// The host is that of the URL that Keygen was given, which a proxy may change on the way.
#[test]
fn keygen_signs_target_host_time_and_body() {
    let key = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
    let zeros = format!("signature=\"{}\"", Encoding::Base64.encode(&[0; 64]));
    let sent = |date: &str| {
        to("keygen").secret(key).header("keygen-signature", &zeros).header("date", date).label()
    };
    assert_eq!(sent("Tue, 14 Nov 2023 22:13:20 GMT"), "signature");
    assert_eq!(sent("yesterday"), "malformed");
    assert_eq!(to("keygen").secret(key).header("keygen-signature", &zeros).label(), "missing");
}

#[test]
fn gitlab_names_and_signs_events() {
    let headers = support::headers(&[("idempotency-key", "i"), ("x-gitlab-event-uuid", "u")]);
    let request =
        Request { method: "POST", url: "https://example.com/", headers: &headers, body: b"" };
    let gitlab = catalogue::find("gitlab").unwrap();
    assert_eq!(extract(&gitlab.event_id.unwrap(), &request).as_deref(), Some("i"));
    let signing = catalogue::find("gitlab_signing_token").unwrap();
    assert!(format!("{:?}", signing.event_id).contains("webhook-id"));
}

#[test]
fn braintree_signs_with_or_without_a_line_break_and_only_our_pair_counts() {
    let payload = "cGF5bG9hZA==";
    let key = digest(Hash::Sha1, &[b"private"]);
    let sign = |text: &str| hex::encode(hmac(Hash::Sha1, &key, &[text.as_bytes()]));
    let sent = |pairs: &str| {
        let body = format!(
            "bt_signature={}&bt_payload=cGF5bG9hZA%3D%3D",
            pairs.replace('&', "%26").replace('|', "%7C")
        );
        to("braintree").secret("ours:private").body(body).label()
    };
    let zeros = "0".repeat(40);
    assert_eq!(sent(&format!("theirs|{zeros}&ours|{}", sign(payload))), "ok");
    assert_eq!(sent(&format!("ours|{}", sign(&format!("{payload}\n")))), "ok");
    assert_eq!(sent(&format!("theirs|{}", sign(payload))), "signature");
    assert_eq!(sent(&format!("ours|{zeros}")), "signature");
}

#[test]
fn tokens_do_not_choose_their_algorithm() {
    let url_hash = hex::encode(digest(Hash::Sha256, &[support::URL.as_bytes()]));
    let body_hash = hex::encode(digest(Hash::Sha256, &[b"{}"]));
    let claims = format!(
        r#"{{"iss":"MessageBird","url_hash":"{url_hash}","payload_hash":"{body_hash}","exp":{}}}"#,
        NOW + 9
    );
    let token = |alg: &str, signature: Option<Hash>| {
        let encode = |bytes: &[u8]| Encoding::Base64Url.encode(bytes);
        let head = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
        let signed = format!("{}.{}", encode(head.as_bytes()), encode(claims.as_bytes()));
        let signature = signature.map(|hash| encode(&hmac(hash, b"hush", &[signed.as_bytes()])));
        format!("{signed}.{}", signature.unwrap_or_default())
    };
    let sent = |token: &str| to("messagebird").header("messagebird-signature-jwt", token).label();
    assert_eq!(sent(&token("HS256", Some(Hash::Sha256))), "ok");
    assert_eq!(sent(&token("HS512", Some(Hash::Sha512))), "ok");
    for alg in ["none", "None", "", "RS256", "HS1"] {
        assert_eq!(sent(&token(alg, None)), "malformed", "{alg}");
    }
    assert_eq!(sent(&token("HS256", None)), "signature");
    // A secret that is no MAC key of this row stays none.
    let gong = to("gong")
        .secret(support_pem())
        .header("authorization", &token("HS256", Some(Hash::Sha256)));
    assert_eq!(gong.label(), "malformed");
}

const fn support_pem() -> &'static str {
    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
}

/// Where a time may be left out, an old request could be sent with its time as a part of the body.
#[test]
fn a_time_cannot_be_moved_into_the_body() {
    let old = "1500000000";
    for (provider, header, moved) in [
        ("hookstream_forwarded", "x-hookstream-signature", format!("{old}.{{}}")),
        ("grafana", "x-grafana-alerting-signature", format!("{old}:{{}}")),
        ("oura", "x-oura-signature", format!("{old}{{}}")),
        ("ghost", "x-ghost-signature", format!("{{}}{old}")),
    ] {
        let sent = |body: &str| {
            let signature = match provider {
                "hookstream_forwarded" => format!("sha256={}", mac("hush", body)),
                "ghost" => format!("sha256={}, t={NOW}000", mac("hush", body)),
                _ => mac("hush", body),
            };
            let headers = headers(&[(header, &signature)]);
            let url = "https://example.com/";
            let request = Request { method: "POST", url, headers: &headers, body: body.as_bytes() };
            verifier(provider, &["hush"]).verify(&request, UnixTime(NOW))
        };
        assert!(sent("{}").is_ok(), "{provider}");
        assert!(sent(&moved).is_err(), "{provider}");
    }
}

/// Only a time and a token are signed, so whoever saw one request could send in its name for ever.
#[test]
fn mailgun_forgets_a_token_after_a_day() {
    let sent = |age: u64| {
        let time = NOW - age;
        let body = format!(
            r#"{{"signature":{{"timestamp":"{time}","token":"t","signature":"{}"}}}}"#,
            mac("hush", &format!("{time}t"))
        );
        let headers = headers(&[]);
        let url = "https://example.com/";
        let request = Request { method: "POST", url, headers: &headers, body: body.as_bytes() };
        verifier("mailgun", &["hush"]).verify(&request, UnixTime(NOW)).map(|_| ())
    };
    assert_eq!(sent(86_400), Ok(()));
    assert_eq!(sent(86_401).unwrap_err().label(), "too_old");
}

#[test]
fn a_header_that_is_missing_has_all_of_its_names() {
    let headers = headers(&[]);
    let request = Request { method: "POST", url: "https://e.com/", headers: &headers, body: b"{}" };
    let refused =
        verifier("svix", &["whsec_aHVzaA=="]).verify(&request, UnixTime(NOW)).unwrap_err();
    let expect = "header `webhook-signature` or header `svix-signature` is missing";
    assert_eq!(refused.to_string(), expect);
}
