//! What operators are told.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

mod support;

use inlet_verify::{
    BodyForm, Encoding, Finding, Hash, Others, Query, Request, Secret, SecretForm, UnixTime,
    Verifier, diagnose, hmac,
};
use support::{NOW, headers, mac, mac64, secret, verifier};

struct Case<'a> {
    verifier: Verifier,
    lines: Vec<(&'a str, String)>,
    url: &'a str,
    body: &'a str,
    previous: Vec<Secret>,
    urls: Vec<String>,
}

fn case(verifier: Verifier) -> Case<'static> {
    Case {
        verifier,
        lines: Vec::new(),
        url: support::URL,
        body: "{}",
        previous: Vec::new(),
        urls: Vec::new(),
    }
}

impl<'a> Case<'a> {
    fn header(mut self, name: &'a str, value: String) -> Self {
        self.lines.push((name, value));
        self
    }

    fn body(mut self, body: &'a str) -> Self {
        self.body = body;
        self
    }

    fn findings(&self) -> Vec<Finding> {
        let lines: Vec<_> =
            self.lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let headers = headers(&lines);
        let body = self.body.as_bytes();
        let request = Request { method: "POST", url: self.url, headers: &headers, body };
        match self.verifier.verify(&request, UnixTime(NOW)) {
            Ok(_) => Vec::new(),
            Err(refused) => {
                let others = Others { previous: &self.previous, urls: &self.urls };
                diagnose(&self.verifier, &request, UnixTime(NOW), &refused, others)
            }
        }
    }
}

fn github(key: &str, body: &str) -> String {
    format!("sha256={}", mac(key, body))
}

#[test]
fn nothing_to_say_about_the_believed() {
    let sent = case(verifier("github", &["k"])).header("x-hub-signature-256", github("k", "{}"));
    assert_eq!(sent.findings(), []);
}

#[test]
fn late_and_early() {
    let stripe = |time: u64| {
        let signature = mac("k", &format!("{time}.{{}}"));
        case(verifier("stripe", &["k"]))
            .header("stripe-signature", format!("t={time},v1={signature}"))
    };
    let late = stripe(NOW - 412).findings();
    assert_eq!(late, [Finding::Late { age: 412, tolerance: 300 }]);
    assert_eq!(late[0].to_string(), "timestamp 412 s old, 300 s are allowed");
    let early = stripe(NOW + 500).findings();
    assert_eq!(early, [Finding::Early { ahead: 500, tolerance: 300 }]);
}

#[test]
fn previous_secrets() {
    let mut sent =
        case(verifier("github", &["new"])).header("x-hub-signature-256", github("old", "{}"));
    sent.previous = vec![secret("older"), secret("old")];
    assert_eq!(sent.findings(), [Finding::PreviousSecret { index: 1 }]);
}

#[test]
fn headers_in_place_of_others() {
    let sent = case(verifier("github", &["k"])).header("x-hub-signature", "sha1=00".to_owned());
    let said = sent.findings()[0].to_string();
    assert_eq!(said, "header `x-hub-signature-256` is absent, but `x-hub-signature` is present");
}

#[test]
fn secrets_read_in_other_ways() {
    let text = format!("whsec_{}", Encoding::Base64.encode(b"raw"));
    let form = |form| Finding::SecretForm { index: 0, form };
    let by_hand = |key: &str| Verifier::Hmac {
        header: "x-sig".to_owned(),
        hash: Hash::Sha256,
        encoding: Encoding::Hex,
        secrets: vec![secret(key)],
    };
    let sent = case(by_hand(&text)).header("x-sig", mac("raw", "{}"));
    assert_eq!(sent.findings(), [form(SecretForm::Base64)]);
    assert!(sent.findings()[0].to_string().contains("Svix"));
    let sent = case(by_hand("7261 77".replace(' ', "").as_str())).header("x-sig", mac("raw", "{}"));
    assert_eq!(sent.findings(), [form(SecretForm::Hex)]);
    let sent = case(by_hand("raw\n")).header("x-sig", mac("raw", "{}"));
    assert_eq!(sent.findings(), [form(SecretForm::Trimmed)]);
    let signature = mac64(Hash::Sha256, text.as_bytes(), &format!("m.{NOW}.{{}}"));
    let sent = case(verifier("svix", &[&text]))
        .header("svix-id", "m".to_owned())
        .header("svix-timestamp", NOW.to_string())
        .header("svix-signature", format!("v1,{signature}"));
    assert!(sent.findings().contains(&form(SecretForm::Verbatim)), "{:?}", sent.findings());
}

#[test]
fn bodies_written_again() {
    for (signed, arrived, form) in [
        (r#"{"a":1,"b":[1,2]}"#, "{\n  \"a\": 1,\n  \"b\": [1, 2]\n}", BodyForm::Compact),
        (r#"{"a": 1, "b": [1, 2]}"#, r#"{"a":1,"b":[1,2]}"#, BodyForm::Spaced),
        ("{ }", "{ }\n", BodyForm::WithoutLineEnd),
        ("{ }\r\n", "{ }", BodyForm::WithLineEnd),
    ] {
        let sent = case(verifier("github", &["k"]))
            .header("x-hub-signature-256", github("k", signed))
            .body(arrived);
        assert_eq!(sent.findings(), [Finding::Body(form)], "{arrived}");
    }
}

#[test]
fn other_urls_and_providers_and_encodings() {
    let signature = mac64(Hash::Sha256, b"k", "http://hooks.example.com/in{}");
    let sent = case(verifier("square", &["k"])).header("x-square-hmacsha256-signature", signature);
    let url = |url: &str, query| Finding::Url { url: url.to_owned(), query };
    assert_eq!(sent.findings(), [url("http://hooks.example.com/in", Query::None)]);
    let signature = mac64(Hash::Sha256, b"k", "https://example.org/{}");
    let mut sent =
        case(verifier("square", &["k"])).header("x-square-hmacsha256-signature", signature);
    sent.urls = vec!["https://example.org/".to_owned()];
    assert_eq!(sent.findings(), [url("https://example.org/", Query::None)]);
    let sent = case(verifier("github", &["k"])).header("x-razorpay-signature", mac("k", "{}"));
    assert!(sent.findings().contains(&Finding::OtherProvider("razorpay")));
    let by_hand = Verifier::Hmac {
        header: "x-sig".to_owned(),
        hash: Hash::Sha256,
        encoding: Encoding::Hex,
        secrets: vec![secret("k")],
    };
    let base64 = Encoding::Base64.encode(&hmac(Hash::Sha256, b"k", &[b"{}"]));
    let sent = case(by_hand).header("x-sig", base64);
    assert!(sent.findings().contains(&Finding::OtherEncoding(Encoding::Base64)));
    let sent = case(verifier("nylas", &["k"]))
        .header("x-nylas-signature", mac("k", "x"))
        .header("content-encoding", "gzip".to_owned());
    assert!(sent.findings().contains(&Finding::Compressed("gzip".to_owned())));
}

#[test]
fn where_nothing_is_found_the_row_speaks() {
    let signature = format!("t={NOW},v1={}", mac("other", &format!("{NOW}.{{}}")));
    let stripe = case(verifier("stripe", &["k"])).header("stripe-signature", signature);
    let [Finding::Note(note)] = stripe.findings()[..] else { panic!("{:?}", stripe.findings()) };
    assert!(note.contains("the whole whsec_… string"), "{note}");
    // A row without a note has nothing to add.
    let dwolla =
        case(verifier("dwolla", &["k"])).header("x-request-signature-sha-256", mac("other", "{}"));
    assert_eq!(dwolla.findings(), []);
}

#[test]
fn hex_and_base64_are_told_apart() {
    let said = |provider, header, signature: String| {
        let headers = headers(&[(header, &signature)]);
        let request = Request { method: "POST", url: support::URL, headers: &headers, body: b"{}" };
        verifier(provider, &["k"]).verify(&request, UnixTime(NOW)).unwrap_err().to_string()
    };
    let hex = said("shopify", "x-shopify-hmac-sha256", mac("k", "{}"));
    assert_eq!(hex, "header `x-shopify-hmac-sha256` is hex, and has to be base64");
    let base64 = said("dwolla", "x-request-signature-sha-256", mac64(Hash::Sha256, b"k", "{}"));
    assert_eq!(base64, "header `x-request-signature-sha-256` is base64, and has to be hex");
    let short = said("shopify", "x-shopify-hmac-sha256", "abcd".to_owned());
    assert!(short.ends_with("holds a signature of the wrong length"), "{short}");
}

#[test]
fn no_finding_shows_a_secret_or_a_signature() {
    let key = "a-very-secret-secret";
    let mut sent =
        case(verifier("github", &[key])).header("x-hub-signature-256", github("old", "{}"));
    sent.previous = vec![secret("old")];
    for finding in sent.findings() {
        let said = format!("{finding} {finding:?}");
        assert!(!said.contains(key) && !said.contains(&mac(key, "{}")), "{said}");
    }
}

#[test]
fn no_finding_shows_the_value_of_a_parameter() {
    for (signed, expect) in [
        (
            "https://hooks.example.com/in/?api_key=TOP",
            "https://hooks.example.com/in/, with the query that was sent",
        ),
        (
            "http://hooks.example.com/in?api_key=TOP",
            "http://hooks.example.com/in, with the query that was sent",
        ),
        ("https://hooks.example.com/in", "https://hooks.example.com/in, without a query"),
    ] {
        let signature = mac64(Hash::Sha256, b"k", &format!("{signed}{{}}"));
        let mut sent =
            case(verifier("square", &["k"])).header("x-square-hmacsha256-signature", signature);
        sent.url = "https://hooks.example.com/in?api_key=TOP";
        let said: Vec<_> = sent.findings().iter().map(|finding| format!("{finding}")).collect();
        assert_eq!(said, [format!("the URL matches if it is {expect}")]);
        assert!(!format!("{:?}", sent.findings()).contains("TOP"));
    }
}

/// Who sends is a stranger: a body that is long costs nothing, and a short one only so much.
#[test]
fn the_work_is_bounded() {
    let form = |key: &str, fields: usize| {
        let body: String =
            (0..fields).flat_map(|n| ["a".to_owned(), n.to_string(), "=1&".to_owned()]).collect();
        let keys: Vec<String> = (0..10).map(|n| format!("{key}{n}")).collect();
        (body, keys)
    };
    for (fields, tries_any) in [(700_000, false), (8_000, true)] {
        let (body, keys) = form("k", fields);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut sent = case(verifier("twilio", &keys))
            .header("content-type", "application/x-www-form-urlencoded".to_owned())
            .header("x-twilio-signature", Encoding::Base64.encode(&[0; 20]))
            .body(&body);
        sent.previous = vec![secret("old")];
        let began = std::time::Instant::now();
        let findings = sent.findings();
        // With one rendering of the form for each try it took many times as long.
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
        assert_eq!(findings, [Finding::Ended], "{fields}");
        let signed: String = format!("{}{}", support::URL, sorted(&body));
        sent.lines[1].1 = mac64(Hash::Sha1, b"old", &signed);
        let found = sent.findings().contains(&Finding::PreviousSecret { index: 0 });
        assert_eq!(found, tries_any, "{fields}");
    }
}

fn sorted(form: &str) -> String {
    let mut pairs: Vec<_> = form.split('&').filter_map(|pair| pair.split_once('=')).collect();
    pairs.sort_unstable();
    pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()
}
