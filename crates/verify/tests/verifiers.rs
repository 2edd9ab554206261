//! The verifiers that are configured by hand, and the vectors Convoy is tested with.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

use inlet_verify::{
    Encoding, Handshake, Hash, Headers, Refused, Request, Secret, UnixTime, Verified, Verifier,
    catalogue, handshake, hmac,
};

const PAYLOAD: &[u8] = b"Test Payload Body";
const HEX: &str = "83306382f5361d35351d6de45998f23b52f40bcf96befe4e92f137c0f1bf4a71\
                   19388b238d8f9d502ac77e6f1a8849a4778272667ed88d530cac8050bd1fee2d";
const BASE64: &str =
    "gzBjgvU2HTU1HW3kWZjyO1L0C8+Wvv5OkvE3wPG/SnEZOIsjjY+dUCrHfm8aiEmkd4JyZn7YjVMMrIBQvR/uLQ==";

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes()).unwrap()
}

fn headers(lines: &[(&str, &str)]) -> Headers {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn check(verifier: &Verifier, lines: &[(&str, &str)], body: &[u8]) -> Result<Verified, Refused> {
    let headers = headers(lines);
    let request =
        Request { method: "POST", url: "https://example.com/in", headers: &headers, body };
    verifier.verify(&request, UnixTime(1_700_000_000))
}

fn convoy(encoding: Encoding) -> Verifier {
    Verifier::Hmac {
        header: "X-Convoy-Signature".to_owned(),
        hash: Hash::Sha512,
        encoding,
        secrets: vec![secret("Convoy")],
    }
}

fn provider(name: &str) -> Verifier {
    let provider = catalogue::find(name).unwrap();
    Verifier::Provider { provider, secrets: vec![secret("Convoy")] }
}

fn label(verdict: Result<Verified, Refused>) -> &'static str {
    verdict.map_or_else(|refused| refused.label(), |_| "ok")
}

#[test]
fn convoy_hmac() {
    let name = "x-convoy-signature";
    let (hex, base64) = (convoy(Encoding::Hex), convoy(Encoding::Base64));
    for (verifier, value, want) in [
        (&hex, HEX, "ok"),
        (&hex, &HEX.to_uppercase(), "ok"),
        (&hex, &format!("sha512={HEX}"), "ok"),
        (&hex, &format!("SHA-512={HEX}"), "ok"),
        (&hex, &format!("junksha512={HEX}"), "malformed"),
        (&hex, &hex::encode("Obviously wrong hash"), "malformed"),
        (&hex, &"00".repeat(64), "signature"),
        (&hex, "Hash with characters outside hex", "malformed"),
        (&hex, "", "empty"),
        (&hex, "  ", "empty"),
        (&hex, HEX.get(..126).unwrap_or_default(), "malformed"),
        (&hex, BASE64, "malformed"),
        (&hex, &"ab".repeat(100_000), "malformed"),
        (&base64, BASE64, "ok"),
        (&base64, BASE64.trim_end_matches('='), "ok"),
        (&base64, &BASE64.replace('+', "-").replace('/', "_"), "ok"),
        (&base64, &format!("sha512={BASE64}"), "ok"),
        (&base64, "Hash with characters outside %^&$*#@ base64", "malformed"),
    ] {
        assert_eq!(label(check(verifier, &[(name, value)], PAYLOAD)), want, "{value}");
    }
    assert_eq!(label(check(&hex, &[], PAYLOAD)), "missing");
}

#[test]
fn convoy_ingest_end_to_end() {
    let signature = "4471d491560781f633f3e53fb68574084adf5b803de16e12c88d49e74e13bcaf\
                     a5ddad1247dffa71479ebd7a800c8af16f6f90a1be5a946140308bac4bd60260";
    let lines = [("X-Convoy-Signature", signature)];
    let verdict = check(&convoy(Encoding::Hex), &lines, br#"{ "name": "convoy" }"#);
    assert_eq!(verdict.unwrap().secret_index, Some(0));
    let verdict = check(&convoy(Encoding::Hex), &lines, br#"{"name":"convoy"}"#);
    assert_eq!(label(verdict), "signature");
}

#[test]
fn a_repeated_header_must_say_the_same() {
    let (name, other) = ("x-convoy-signature", "00".repeat(64));
    let check = |lines: &[(&str, &str)]| label(check(&convoy(Encoding::Hex), lines, PAYLOAD));
    assert_eq!(check(&[(name, HEX), (name, HEX)]), "ok");
    assert_eq!(check(&[(name, &format!("{HEX}, {HEX}"))]), "ok");
    assert_eq!(check(&[(name, HEX), (name, &other)]), "ambiguous");
    assert_eq!(check(&[(name, &other), (name, HEX)]), "ambiguous");
    assert_eq!(check(&[(name, &format!("{other}, {HEX}"))]), "ambiguous");
}

#[test]
fn any_of_several_secrets_will_do() {
    let verifier = Verifier::Hmac {
        header: "x-convoy-signature".to_owned(),
        hash: Hash::Sha512,
        encoding: Encoding::Hex,
        secrets: vec![secret("new"), secret("Convoy"), secret("Convoy")],
    };
    let verdict = check(&verifier, &[("x-convoy-signature", HEX)], PAYLOAD);
    assert_eq!(verdict.unwrap().secret_index, Some(1));
}

#[test]
fn no_secret_believes_nobody() {
    let verifier = Verifier::Hmac {
        header: "x".to_owned(),
        hash: Hash::Sha256,
        encoding: Encoding::Hex,
        secrets: Vec::new(),
    };
    let signature = hex::encode(hmac(Hash::Sha256, b"", &[PAYLOAD]));
    assert_eq!(label(check(&verifier, &[("x", &signature)], PAYLOAD)), "no_secret");
}

#[test]
fn every_hash_and_any_bytes() {
    let large = vec![0; 100_000];
    let bodies: [&[u8]; 4] = [b"", b"\xff\xfe\x00", "é".as_bytes(), &large];
    for hash in Hash::ALL {
        for encoding in [Encoding::Hex, Encoding::Base64] {
            let verifier = Verifier::Hmac {
                header: "Sig".to_owned(),
                hash,
                encoding,
                secrets: vec![secret("k")],
            };
            for body in bodies {
                let signature = encoding.encode(&hmac(hash, b"k", &[body]));
                assert_eq!(label(check(&verifier, &[("sig", &signature)], body)), "ok");
                assert_eq!(label(check(&verifier, &[("sig", &signature)], b"x")), "signature");
            }
        }
    }
}

#[test]
fn convoy_providers() {
    let hex = "sha256=d7a154547e7c35e31c4c820e20237650939c3d34dae136e30a7757ca61abb4cf";
    let base64 = "16FUVH58NeMcTIIOICN2UJOcPTTa4TbjCndXymGrtM8=";
    let labelled = format!("sha256={base64}");
    let junk = format!("junk{hex}");
    for (name, header, value, want) in [
        ("github", "X-Hub-Signature-256", hex, "ok"),
        ("github", "X-Hub-Signature-256", &junk, "malformed"),
        ("github", "X-Hub-Signature-256", hex.get(7..).unwrap_or_default(), "malformed"),
        ("github", "X-Hub-Signature-256", "sha256=", "malformed"),
        ("shopify", "X-Shopify-Hmac-SHA256", base64, "ok"),
        ("twitter", "X-Twitter-Webhooks-Signature", &labelled, "ok"),
        ("twitter", "X-Twitter-Webhooks-Signature", base64, "malformed"),
        ("twitter", "X-Other", base64, "missing"),
    ] {
        let verdict = check(&provider(name), &[(header, value)], PAYLOAD);
        assert_eq!(label(verdict), want, "{name} {value}");
    }
}

#[test]
fn convoy_crc() {
    let headers = Headers::default();
    let request = Request {
        method: "GET",
        url: "https://example.com/in?crc_token=uzwcfYtzr9",
        headers: &headers,
        body: b"",
    };
    let twitter = catalogue::find("twitter").unwrap();
    let answer = handshake(twitter, &[secret("Convoy")], &request, UnixTime(0));
    let Some(Handshake::Reply { status: 200, body, .. }) = answer else { panic!("{answer:?}") };
    let want = r#"{"response_token":"sha256=HXvxTdsfShG6k2zC9NVANwFquJBdOugRYHax2vNiiOo="}"#;
    assert_eq!(String::from_utf8(body).unwrap(), want);
}

#[test]
fn basic_auth() {
    let user = secret("convoy-ingester");
    let verifier = Verifier::BasicAuth { username: user.clone(), password: user };
    let right = Encoding::Base64.encode(b"convoy-ingester:convoy-ingester");
    for (value, want) in [
        (format!("Basic {right}"), "ok"),
        (format!("bASIC  {right}"), "ok"),
        (format!("Basic {right}, Basic {right}"), "ok"),
        (format!("Bearer {right}"), "malformed"),
        (right, "malformed"),
        (format!("Basic {}", Encoding::Base64.encode(b"convoy-ingester:wrong")), "credential"),
        (format!("Basic {}", Encoding::Base64.encode(b"wrong:convoy-ingester")), "credential"),
        (format!("Basic {}", Encoding::Base64.encode(b"no colon")), "malformed"),
        ("Basic wrongbase64str".to_owned(), "malformed"),
        ("Basic %%%".to_owned(), "malformed"),
        ("Basic".to_owned(), "malformed"),
        (String::new(), "empty"),
    ] {
        assert_eq!(label(check(&verifier, &[("Authorization", &value)], b"")), want, "{value}");
    }
    assert_eq!(label(check(&verifier, &[], b"")), "missing");
}

#[test]
fn passwords_may_hold_colons() {
    let verifier = Verifier::BasicAuth { username: secret("u"), password: secret("p:q:") };
    let value = format!("Basic {}", Encoding::Base64.encode(b"u:p:q:"));
    assert_eq!(label(check(&verifier, &[("authorization", &value)], b"")), "ok");
}

#[test]
fn api_key() {
    let verifier =
        |header: &str, value| Verifier::ApiKey { header: header.to_owned(), value: secret(value) };
    let plain = verifier("webhook-key", "sec_apikeysecret");
    assert_eq!(label(check(&plain, &[("Webhook-Key", "sec_apikeysecret")], b"")), "ok");
    assert_eq!(label(check(&plain, &[("webhook-key", "sec_apikeysecreT")], b"")), "credential");
    assert_eq!(label(check(&plain, &[("webhook-key", "a,b")], b"")), "credential");
    assert_eq!(label(check(&plain, &[("webhook-key", "")], b"")), "empty");
    assert_eq!(label(check(&plain, &[], b"")), "missing");
    let twice = [("webhook-key", "sec_apikeysecret"), ("webhook-key", "other")];
    assert_eq!(label(check(&plain, &twice, b"")), "ambiguous");
    let joined = [("webhook-key", "sec_apikeysecret, sec_apikeysecret")];
    assert_eq!(label(check(&plain, &joined, b"")), "ok");
    let authorization = verifier("Authorization", "Bearer sec_apikeysecret");
    let wrong = [("authorization", "Bearer sec_invalidkey")];
    assert_eq!(label(check(&authorization, &wrong, b"")), "credential");
    let right = [("authorization", "Bearer sec_apikeysecret")];
    assert_eq!(label(check(&authorization, &right, b"")), "ok");
    let commas = verifier("k", "a, b,c");
    assert_eq!(label(check(&commas, &[("k", "a, b,c")], b"")), "ok");
}

#[test]
fn what_is_logged_shows_no_secret() {
    for (verifier, lines) in [
        (convoy(Encoding::Hex), [("x-convoy-signature", "00")]),
        (provider("github"), [("x-hub-signature-256", "sha256=00")]),
    ] {
        let refused = check(&verifier, &lines, PAYLOAD).unwrap_err();
        for text in [refused.to_string(), format!("{refused:?}"), format!("{verifier:?}")] {
            assert!(!text.contains("Convoy\"") && !text.contains(HEX), "{text}");
        }
    }
}
