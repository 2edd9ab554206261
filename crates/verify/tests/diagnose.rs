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
    BodyForm, Encoding, Finding, Hash, Policy, Request, Secret, SecretForm, UnixTime, Verifier,
    diagnose, hmac,
};
use support::{NOW, headers, mac, mac64, secret, verifier};

struct Case<'a> {
    verifier: Verifier,
    lines: Vec<(&'a str, String)>,
    url: &'a str,
    body: &'a str,
    previous: Vec<Secret>,
}

fn case(verifier: Verifier) -> Case<'static> {
    Case { verifier, lines: Vec::new(), url: support::URL, body: "{}", previous: Vec::new() }
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
        diagnose(&self.verifier, &request, UnixTime(NOW), &Policy::default(), &self.previous)
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
    assert_eq!(sent.findings(), [Finding::Url("http://hooks.example.com/in".to_owned())]);
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
