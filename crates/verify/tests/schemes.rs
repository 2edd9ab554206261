//! Schemes that operators describe themselves.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

mod support;

use inlet_verify::{
    Encoding, Hash, Integrity, Outcome, Policy, Refused, Request, Scheme, SchemeError, SchemeSpec,
    Secret, UnixTime, Verifier, digest, hmac,
};
use support::{NOW, headers, mac, secret};

fn check(spec: &SchemeSpec, key: &str, lines: &[(&str, &str)], body: &[u8]) -> &'static str {
    check_at(spec, key, lines, "https://example.com/in?a=b&sig=", body, NOW)
}

fn check_at(
    spec: &SchemeSpec,
    key: &str,
    lines: &[(&str, &str)],
    url: &str,
    body: &[u8],
    now: u64,
) -> &'static str {
    let scheme = Scheme::parse(spec).unwrap();
    let verifier = Verifier::Scheme { scheme, secrets: vec![secret(key)] };
    let headers = headers(lines);
    let request = Request { method: "POST", url, headers: &headers, body };
    let verdict = support::decide(&verifier, &request, UnixTime(now), &Policy::default(), None);
    verdict.map_or_else(|refused| refused.label(), |_| "ok")
}

fn spec(signature: &str) -> SchemeSpec {
    SchemeSpec { signature: signature.to_owned(), ..SchemeSpec::default() }
}

#[test]
fn the_default_is_hmac_over_the_body() {
    let spec = spec("header:X-Sig");
    assert_eq!(check(&spec, "k", &[("x-sig", &mac("k", "b"))], b"b"), "ok");
    assert_eq!(check(&spec, "k", &[("x-sig", &mac("x", "b"))], b"b"), "signature");
    assert_eq!(check(&spec, "k", &[], b"b"), "missing");
}

#[test]
fn the_preset_is_timestamped() {
    let spec = SchemeSpec::timestamped("Acme-Signature");
    let right = mac("k", &format!("{NOW}.b"));
    let value = format!("t={NOW},v0=x,v1={},v1={right}", mac("old", "b"));
    let lines = [("acme-signature", value.as_str())];
    assert_eq!(check(&spec, "k", &lines, b"b"), "ok");
    let url = "https://example.com/";
    assert_eq!(check_at(&spec, "k", &lines, url, b"b", NOW + 301), "too_old");
    assert_eq!(check_at(&spec, "k", &lines, url, b"b", NOW - 301), "too_new");
    let value = format!("v1={right}");
    assert_eq!(check(&spec, "k", &[("acme-signature", &value)], b"b"), "missing");
    let value = format!("t={NOW},t={},v1={right}", NOW + 1);
    assert_eq!(check(&spec, "k", &[("acme-signature", &value)], b"b"), "ambiguous");
    for time in ["Infinity", "-1", "1e9", "", "99999999999999999999999"] {
        let value = format!("t={time},v1={right}");
        assert_eq!(check(&spec, "k", &[("acme-signature", &value)], b"b"), "malformed", "{time}");
    }
}

#[test]
fn every_part_of_a_message() {
    let message = concat!(
        "{a}POST https://example.com/in?a=b&sig= /in?a=b&sig= https://example.com/in ",
        "1700000000 h b v {\"k\": \"v\"} "
    );
    let body = br#"{"d": {"k": "v"}}"#;
    let hash = hex::encode(digest(Hash::Sha256, &[body]));
    let text = format!("{message}{hash} {}", String::from_utf8_lossy(body));
    let spec = SchemeSpec {
        prefix: "v9:".to_owned(),
        algorithm: "hmac-sha3-256".to_owned(),
        encoding: "base64url".to_owned(),
        key: "hex".to_owned(),
        template: "{{a}}{method} {url} {url.path} {url.base} {timestamp} {header:X-H} {query:a} \
                   {json:d.k} {raw:d} {body.sha256} {body}"
            .to_owned(),
        timestamp: "header:x-time".to_owned(),
        ..spec("header:x-sig")
    };
    let signature = hmac(Hash::Sha3_256, b"\xab\xcd", &[text.as_bytes()]);
    let signature = format!("v9:{}", Encoding::Base64Url.encode(&signature));
    let lines = [("x-h", "h"), ("x-time", "1700000000"), ("x-sig", &signature)];
    assert_eq!(check(&spec, "abcd", &lines, body), "ok");
    assert_eq!(check(&spec, "abcd", &lines[1..], body), "missing");
    let other = br#"{"d": {"k":  "v"}}"#;
    assert_eq!(check(&spec, "abcd", &lines, other), "signature");
}

#[test]
fn signatures_in_other_places() {
    let url = format!("https://example.com/?sig={}", mac("k", "b"));
    assert_eq!(check_at(&spec("query:sig"), "k", &[], &url, b"b", NOW), "ok");
    let partial = SchemeSpec {
        template: "{form:id}".to_owned(),
        integrity: "partial".to_owned(),
        ..spec("form:sig")
    };
    let body = format!("id=7&sig={}", mac("k", "7"));
    assert_eq!(check(&partial, "k", &[], body.as_bytes()), "ok");
    assert_eq!(Scheme::parse(&partial).unwrap().integrity(), Integrity::Partial);
}

#[test]
fn plain_digests_and_several_signatures() {
    let spec = SchemeSpec {
        algorithm: "sha512".to_owned(),
        template: "{secret}|{body}".to_owned(),
        separators: ";".to_owned(),
        ..spec("header:x-sig")
    };
    let right = hex::encode(digest(Hash::Sha512, &[b"k|b"]));
    let lines = [("x-sig", format!("{};{right}", "0".repeat(128)))];
    assert_eq!(check(&spec, "k", &[(lines[0].0, &lines[0].1)], b"b"), "ok");
}

#[test]
fn public_keys() {
    let key = "cd92d5c447c6ae1bfe280f01612670306150136297d5cde3010f53a7eac57937";
    let spec = SchemeSpec {
        algorithm: "ed25519".to_owned(),
        template: "{timestamp}{body}".to_owned(),
        timestamp: "header:x-signature-timestamp".to_owned(),
        ..spec("header:x-signature-ed25519")
    };
    let signature = "0910976e0ff8c484caf0f29de80af50fb43bf74515e883f02cb1089edf83f88954e45765e2d32\
                     bfcb9c260a3ad63fa46a1226c5fe87fb753230036a53f2c3a06";
    let lines = [("x-signature-ed25519", signature), ("x-signature-timestamp", "1700000000")];
    assert_eq!(check(&spec, key, &lines, br#"{"type":1}"#), "ok");
    assert_eq!(check(&spec, key, &lines, br#"{"type":2}"#), "signature");
    assert_eq!(check(&spec, "no key", &lines, br#"{"type":1}"#), "bad_secret");
    let rsa = SchemeSpec { algorithm: "rsa-sha256".to_owned(), ..spec.clone() };
    let scheme = Scheme::parse(&rsa).unwrap();
    let url = Secret::new(*b"https://keys.example.com/jwks.json").unwrap();
    let verifier = Verifier::Scheme { scheme, secrets: vec![url] };
    let headers = headers(&lines);
    let request = Request { method: "POST", url: "https://e.com/", headers: &headers, body: b"" };
    let outcome = verifier.start(&request, UnixTime(NOW), &Policy::default());
    assert!(matches!(outcome, Outcome::Need(_)), "{outcome:?}");
    assert_eq!(verifier.verify(&request, UnixTime(NOW)), Err(Refused::NeedsShell));
}

#[test]
fn impossible_schemes_are_explained() {
    let wrong = |change: fn(&mut SchemeSpec)| {
        let mut spec = spec("header:x-sig");
        change(&mut spec);
        Scheme::parse(&spec).unwrap_err()
    };
    let text = str::to_owned;
    assert_eq!(wrong(|spec| spec.template = "{url}".to_owned()), SchemeError::BodyNotSigned);
    assert_eq!(wrong(|spec| spec.template = "{body}.".repeat(4)), SchemeError::BodyTooOften);
    assert_eq!(wrong(|spec| spec.template = "{raw:data}".to_owned()), SchemeError::BodyNotSigned);
    assert_eq!(wrong(|spec| spec.integrity = "partial".to_owned()), SchemeError::BodySigned);
    let constant = |spec: &mut SchemeSpec| {
        (spec.template, spec.integrity) = ("hello".to_owned(), "partial".to_owned());
    };
    assert_eq!(wrong(constant), SchemeError::NothingSigned);
    let own = wrong(|spec| spec.template = "{header:x-sig}{body}".to_owned());
    assert_eq!(own, SchemeError::SignatureSigned);
    let inside = wrong(|spec| spec.signature = "body:sig".to_owned());
    assert_eq!(inside, SchemeError::SignatureSigned);
    let named = wrong(|spec| spec.signature = "header:x sig".to_owned());
    assert!(matches!(named, SchemeError::Place { .. }), "{named}");
    let unsigned = |spec: &mut SchemeSpec| spec.timestamp = "header:x-time".to_owned();
    assert_eq!(wrong(unsigned), SchemeError::TimestampNotSigned);
    let mut fine = spec("header:x-sig");
    unsigned(&mut fine);
    fine.tolerance_seconds = 0;
    assert!(Scheme::parse(&fine).is_ok());
    fine.tolerance_seconds = 300;
    fine.template = "{header:x-time}.{body}".to_owned();
    assert!(Scheme::parse(&fine).is_ok());
    fine.template = "{body}".to_owned();
    fine.timestamp = "body:sent".to_owned();
    assert!(Scheme::parse(&fine).is_ok());
    assert_eq!(
        wrong(|spec| spec.template = "{timestamp}{body}".to_owned()),
        SchemeError::NoTimestamp
    );
    assert_eq!(
        wrong(|spec| spec.algorithm = "sha256".to_owned()),
        SchemeError::DigestWithoutSecret
    );
    assert_eq!(
        wrong(|spec| spec.template = "{secret}{body}".to_owned()),
        SchemeError::SecretSigned
    );
    let what = text("pair:t");
    assert_eq!(
        wrong(|spec| spec.template = "{pair:t}{body}".to_owned()),
        SchemeError::NoPairs { what }
    );
    for template in ["{body", "body}", "{body}{", "}{"] {
        let spec = SchemeSpec { template: text(template), ..spec("header:x-sig") };
        assert_eq!(Scheme::parse(&spec), Err(SchemeError::Braces), "{template}");
    }
    for template in ["{nothing}", "{header:}", "{header}", "{}"] {
        let spec = SchemeSpec { template: text(template), ..spec("header:x-sig") };
        assert!(matches!(Scheme::parse(&spec), Err(SchemeError::Part { .. })), "{template}");
    }
    for signature in ["", "x-sig", "header:", "cookie:a"] {
        assert!(matches!(Scheme::parse(&spec(signature)), Err(SchemeError::Place { .. })));
    }
    for change in [
        |spec: &mut SchemeSpec| spec.algorithm = "hmac-sha9".to_owned(),
        |spec: &mut SchemeSpec| spec.algorithm = "rsa-md5".to_owned(),
        |spec: &mut SchemeSpec| spec.encoding = "base32".to_owned(),
        |spec: &mut SchemeSpec| spec.key = "jwk".to_owned(),
        |spec: &mut SchemeSpec| spec.integrity = "some".to_owned(),
    ] {
        assert!(matches!(wrong(change), SchemeError::Word { .. }));
    }
    assert!(wrong(unsigned).to_string().contains("renew an old request"));
}

#[test]
fn a_token_is_compared_as_it_stands() {
    let spec = SchemeSpec { algorithm: "token".into(), ..spec("query:sig") };
    let at = |sig: &str| {
        check_at(&spec, "s3cret", &[], &format!("https://example.com/?sig={sig}"), b"any", NOW)
    };
    assert_eq!((at("s3cret"), at("s3cre"), at("")), ("ok", "credential", "empty"));
    let scheme = Scheme::parse(&spec).unwrap();
    assert_eq!(scheme.integrity(), Integrity::None);
    let bearer = SchemeSpec {
        algorithm: "token".into(),
        prefix: "Bearer ".into(),
        ..self::spec("header:authorization")
    };
    assert_eq!(check(&bearer, "s3cret", &[("authorization", "Bearer s3cret")], b""), "ok");
    for (field, vain) in [
        ("template", SchemeSpec { template: "{url}".into(), ..spec.clone() }),
        ("timestamp", SchemeSpec { timestamp: "header:x".into(), ..spec.clone() }),
        ("pairs", SchemeSpec { pairs: vec!["v1".into()], ..spec.clone() }),
        ("integrity", SchemeSpec { integrity: "partial".into(), ..spec.clone() }),
    ] {
        let error = Scheme::parse(&vain).unwrap_err();
        assert!(error.to_string().contains(&format!("`{field}` would have no effect")), "{error}");
    }
}

#[test]
fn a_prefix_may_hold_a_comma() {
    let spec = SchemeSpec { prefix: "v1,".to_owned(), ..spec("header:x-sig") };
    let right = format!("v1,{}", mac("k", "b"));
    let wrong = format!("v1,{}", mac("other", "b"));
    assert_eq!(check(&spec, "k", &[("x-sig", &right)], b"b"), "ok");
    assert_eq!(check(&spec, "k", &[("x-sig", &wrong)], b"b"), "signature");
    // As a runtime joins two lines, and as they are.
    let both = |second: &str| format!("{right}, {second}");
    assert_eq!(check(&spec, "k", &[("x-sig", &both(&right))], b"b"), "ok");
    assert_eq!(check(&spec, "k", &[("x-sig", &both(&wrong))], b"b"), "ambiguous");
    assert_eq!(check(&spec, "k", &[("x-sig", &right), ("x-sig", &right)], b"b"), "ok");
    assert_eq!(check(&spec, "k", &[("x-sig", &right), ("x-sig", &wrong)], b"b"), "ambiguous");
}
