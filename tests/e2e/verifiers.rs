//! Is this request genuine? Every verifier with requests that are, and requests that are not.

use inlet_tests::{Project, base64, hmac_sha256};
use serde_json::{Value, json};

use crate::gateway;

const BODY: &[u8] = b"Test Payload Body";
const SECRET: &str = "Convoy";

/// `HMAC(SECRET, BODY)` by every hash that Convoy names, in hex.
const HMACS: [(&str, &str); 12] = [
    ("MD5", "fe6fd670670f907d6e734f0ef1e1eed4"),
    ("SHA1", "a5fbf3dfbd4438aa52cc61166083b6b0174dc1f8"),
    ("SHA224", "36f4935b7dd1d41053f91664e8a30c60edbbfe622e88ed288b374783"),
    ("SHA256", "d7a154547e7c35e31c4c820e20237650939c3d34dae136e30a7757ca61abb4cf"),
    (
        "SHA384",
        "5e863a191faca792be354f9cb85b112940e7a64b4b868e130a3e7c9d9ea1743920e527ac86530cca1336ee5f7bd7523f",
    ),
    (
        "SHA512",
        "83306382f5361d35351d6de45998f23b52f40bcf96befe4e92f137c0f1bf4a7119388b238d8f9d502ac77e6f1a8849a4778272667ed88d530cac8050bd1fee2d",
    ),
    ("SHA3_224", "3d9ad4182337e59f82fafdd52aa99b748b6f83f465c6db4cb966cef0"),
    ("SHA3_256", "320f5109b0337eff709e1feffc28d397383fc46de4e9a12d3009fcd248d39914"),
    (
        "SHA3_384",
        "045ad132183ba12eca91f5b3a6bf61b06abbe976ade43bbc37e897b73b5ab5ea0de6eac068e4a0d02cc14c340f424bf7",
    ),
    (
        "SHA3_512",
        "d2f8d022b6a7fcf413d4fd8493558700ae7bd15c86f38fb1573bb08e338acba293cb976212a3dd76da7743465e106dee106e2c6f42a4022d3031ad91b153ef21",
    ),
    ("SHA512_224", "5571f53905d3424b1a42e106712ef8470db65a49f2f84b2ae5ab0eb5"),
    ("SHA512_256", "76d64377431b528fa45cb089615621015b98d6c78ea448f4fdfdd3cd0f93cc88"),
];

/// Posts `BODY` with these headers; expects to be believed, or to learn only that it was not.
#[track_caller]
fn check(project: &Project<'_>, source: &Value, headers: &[(&str, &str)], believed: bool) {
    let reply = project.ingest_call(source).headers(headers).body(BODY).send();
    if believed {
        reply.expect(200);
    } else {
        let reply = reply.expect(401);
        assert_eq!(
            reply.json(),
            json!({"status": false, "message": "Request verification failed"})
        );
    }
}

fn hmac_source(project: &Project<'_>, hash: &str, encoding: &str) -> Value {
    project.source(json!({"name": "a", "type": "http", "verifier": {"type": "hmac", "hmac": {
        "header": "X-Convoy-Signature", "hash": hash, "encoding": encoding, "secret": SECRET,
    }}}))
}

#[test]
fn every_hash_verifies_in_both_encodings() {
    let project = gateway().project();
    for (hash, expected) in HMACS {
        let bytes = hex::decode(expected).expect("hex");
        for (encoding, signature) in [("hex", expected.to_owned()), ("base64", base64(&bytes))] {
            let source = hmac_source(&project, hash, encoding);
            let name = "X-Convoy-Signature";
            check(&project, &source, &[(name, &signature)], true);
            let mut wrong = bytes.clone();
            wrong[0] ^= 1;
            let wrong = if encoding == "hex" { hex::encode(&wrong) } else { base64(&wrong) };
            check(&project, &source, &[(name, &wrong)], false);
        }
    }
}

#[test]
fn a_signature_that_is_none_is_refused() {
    let project = gateway().project();
    let (hex, base64) =
        (hmac_source(&project, "SHA512", "hex"), hmac_source(&project, "SHA512", "base64"));
    let name = "X-Convoy-Signature";
    for source in [&hex, &base64] {
        check(&project, source, &[], false);
        check(&project, source, &[(name, "")], false);
        check(&project, source, &[(name, "Hash with characters outside hex")], false);
        check(&project, source, &[(name, "Hash with characters outside %^&$*#@ base64")], false);
        check(&project, source, &[("X-Other-Signature", HMACS[5].1)], false);
        // Only the beginning of the right one, and the right one of another hash.
        check(&project, source, &[(name, &HMACS[5].1[..64])], false);
        check(&project, source, &[(name, HMACS[3].1)], false);
    }
}

#[test]
fn convoys_own_example_verifies() {
    let project = gateway().project();
    let source = hmac_source(&project, "SHA512", "hex");
    let signature = "4471d491560781f633f3e53fb68574084adf5b803de16e12c88d49e74e13bcaf\
        a5ddad1247dffa71479ebd7a800c8af16f6f90a1be5a946140308bac4bd60260";
    let call = project.ingest_call(&source).header("X-Convoy-Signature", signature);
    call.body(r#"{ "name": "convoy" }"#).send().expect(200);
}

#[test]
fn basic_auth_checks_user_and_password() {
    let project = gateway().project();
    let with = |username: &str, password: &str| {
        project.source(json!({"name": "a", "type": "http", "verifier": {"type": "basic_auth",
            "basic_auth": {"username": username, "password": password}}}))
    };
    let source = with("convoy-ingester", "convoy-ingester");
    let header = |user: &str, password: &str| {
        format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
    };
    let check = |source: &Value, value: &str, believed: bool| {
        check(&project, source, &[("Authorization", value)], believed);
    };
    check(&source, &header("convoy-ingester", "convoy-ingester"), true);
    check(&source, &header("wrong-username", "wrong-password"), false);
    check(&source, &header("convoy-ingester", "wrong-password"), false);
    check(&source, &header("wrong-username", "convoy-ingester"), false);
    check(&source, &header("convoy-ingester", ""), false);
    check(&source, &header("", ""), false);
    check(&source, "Basic wrongbase64str", false);
    check(&source, "Basic", false);
    check(&source, "", false);
    // Another scheme is not basic auth, even over the right user and password.
    let bearer = header("convoy-ingester", "convoy-ingester").replace("Basic", "Bearer");
    check(&source, &bearer, false);
    // A colon belongs to the password.
    let source = with("user", "pass:word:1");
    check(&source, &header("user", "pass:word:1"), true);
    check(&source, &header("user", "pass"), false);
}

#[test]
fn an_api_key_must_be_there_in_full() {
    let project = gateway().project();
    let with = |name: &str, value: &str| {
        project.source(json!({"name": "a", "type": "http", "verifier": {"type": "api_key",
            "api_key": {"header_name": name, "header_value": value}}}))
    };
    let source = with("webhook-key", "sec_apikeysecret");
    check(&project, &source, &[("webhook-key", "sec_apikeysecret")], true);
    check(&project, &source, &[("Webhook-Key", "sec_apikeysecret")], true);
    check(&project, &source, &[("webhook-key", "sec_apikeysecre")], false);
    check(&project, &source, &[("webhook-key", "sec_apikeysecrets")], false);
    check(&project, &source, &[("webhook-key", "")], false);
    check(&project, &source, &[("other-key", "sec_apikeysecret")], false);
    check(&project, &source, &[], false);
    let source = with("Authorization", "Bearer sec_apikeysecret");
    check(&project, &source, &[("Authorization", "Bearer sec_apikeysecret")], true);
    check(&project, &source, &[("Authorization", "Bearer sec_invalidkey")], false);
    check(&project, &source, &[("Authorization", "sec_apikeysecret")], false);
}

#[test]
fn a_source_without_a_verifier_believes_everybody() {
    let project = gateway().project();
    let source = project.source(json!({"name": "a", "type": "http"}));
    check(&project, &source, &[], true);
    let read = project.get(&format!("/sources/{}", source["uid"].as_str().expect("a uid"))).data();
    assert_eq!(read["verifier"]["type"], "noop");
}

/// A source of a provider with nothing but a secret.
fn provider_source(project: &Project<'_>, provider: &str) -> Value {
    project.source(json!({"name": provider, "type": "http", "provider": provider,
        "verifier": {"type": "hmac", "hmac": {"secret": SECRET}}}))
}

#[test]
fn github_shopify_and_twitter_verify_their_own_signatures() {
    let project = gateway().project();
    for (provider, header, right, wrong) in [
        (
            "github",
            "X-Hub-Signature-256",
            "sha256=d7a154547e7c35e31c4c820e20237650939c3d34dae136e30a7757ca61abb4cf",
            "sha256=d7a154547e7c35e31c4c820e20237650939c3d34dae136e30a7757ca61abb4ce",
        ),
        (
            "shopify",
            "X-Shopify-Hmac-SHA256",
            "16FUVH58NeMcTIIOICN2UJOcPTTa4TbjCndXymGrtM8=",
            "26FUVH58NeMcTIIOICN2UJOcPTTa4TbjCndXymGrtM8=",
        ),
        (
            "twitter",
            "X-Twitter-Webhooks-Signature",
            "sha256=16FUVH58NeMcTIIOICN2UJOcPTTa4TbjCndXymGrtM8=",
            "sha256=26FUVH58NeMcTIIOICN2UJOcPTTa4TbjCndXymGrtM8=",
        ),
    ] {
        let source = provider_source(&project, provider);
        check(&project, &source, &[(header, right)], true);
        check(&project, &source, &[(header, wrong)], false);
        check(&project, &source, &[(header, "")], false);
        check(&project, &source, &[], false);
        check(&project, &source, &[("X-Convoy-Signature", right)], false);
    }
}

#[test]
fn github_signatures_start_with_their_algorithm() {
    let project = gateway().project();
    let source = provider_source(&project, "github");
    let header = "X-Hub-Signature-256";
    let bare = HMACS[3].1;
    check(&project, &source, &[(header, bare)], false);
    check(&project, &source, &[(header, &format!("junksha256={bare}"))], false);
    check(&project, &source, &[("X-Hub-Signature", &format!("sha1={}", HMACS[1].1))], false);
}

#[test]
fn convoys_full_hmac_object_is_accepted_for_a_provider() {
    let project = gateway().project();
    let source = project.github_source(SECRET);
    assert_eq!(source["provider"], "github");
    let signature = inlet_tests::github_signature(SECRET, BODY);
    check(&project, &source, &[("X-Hub-Signature-256", &signature)], true);
}

#[test]
fn twitter_gets_its_challenge_answered() {
    let project = gateway().project();
    let source = provider_source(&project, "twitter");
    let path = inlet_tests::source_path(&source);
    let reply = gateway().get(&format!("{path}?crc_token=uzwcfYtzr9")).expect(200);
    assert_eq!(
        reply.header("content-type").map(|text| text.starts_with("application/json")),
        Some(true)
    );
    assert_eq!(
        reply.json(),
        json!({"response_token": "sha256=HXvxTdsfShG6k2zC9NVANwFquJBdOugRYHax2vNiiOo="})
    );
    let token = "bmFtZT1+/w==";
    let expected = format!("sha256={}", base64(&hmac_sha256(SECRET.as_bytes(), token.as_bytes())));
    let reply = gateway().get(&format!("{path}?crc_token=bmFtZT1%2B%2Fw%3D%3D")).expect(200);
    assert_eq!(reply.json()["response_token"], expected);
    let status = gateway().get(&path).status;
    assert!((400..500).contains(&status), "a GET without a token: {status}");
    project.expect_no_events();
}

#[test]
fn the_bytes_that_were_signed_are_those_that_are_verified() {
    let project = gateway().project();
    let source = project.github_source(SECRET);
    for body in
        [&b"{ \"a\" :  1e2,\r\n \"b\":\"\\u00e9\" }"[..], b"\x00\xff\xfe not text", b"", b"a=1&b=2"]
    {
        let signature = inlet_tests::github_signature(SECRET, body);
        let call = project.ingest_call(&source).header("X-Hub-Signature-256", signature);
        call.body(body).send().expect(200);
    }
}
