//! JSON Web Tokens: what they have to say, and for how long.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

mod support;

use inlet_verify::{Encoding, Hash, Headers, Request, catalogue, digest, extract, hmac};
use support::{NOW, URL, mac, to};

fn token(claims: &str) -> String {
    token_with(r#"{"alg":"HS256"}"#, claims)
}

fn token_with(header: &str, claims: &str) -> String {
    let encode = |bytes: &[u8]| Encoding::Base64Url.encode(bytes);
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = encode(&hmac(Hash::Sha256, b"hush", &[signed.as_bytes()]));
    format!("{signed}.{signature}")
}

fn sha(text: &str) -> String {
    hex::encode(digest(Hash::Sha256, &[text.as_bytes()]))
}

#[test]
fn tokens_grow_old() {
    let vonage = |claims: &str| {
        to("vonage").header("authorization", &format!("Bearer {}", token(claims))).label()
    };
    assert_eq!(vonage(&format!(r#"{{"iat":{NOW}}}"#)), "ok");
    assert_eq!(vonage(&format!(r#"{{"iat":{NOW}.75}}"#)), "ok");
    assert_eq!(vonage(&format!(r#"{{"iat":{}}}"#, NOW - 301)), "too_old");
    assert_eq!(vonage(&format!(r#"{{"iat":{}}}"#, NOW + 302)), "too_new");
    assert_eq!(vonage("{}"), "missing");
    assert_eq!(vonage(r#"{"iat":"soon"}"#), "malformed");
    assert_eq!(vonage(&format!(r#"{{"iat":{NOW},"exp":{}}}"#, NOW - 61)), "too_old");
    assert_eq!(vonage(&format!(r#"{{"iat":{NOW},"nbf":{}}}"#, NOW + 61)), "too_new");
    assert_eq!(vonage(&format!(r#"{{"iat":{NOW},"exp":{},"nbf":{}}}"#, NOW - 9, NOW + 9)), "ok");
    assert_eq!(vonage(&format!(r#"{{"iat":{NOW},"payload_hash":"{}"}}"#, sha("{}"))), "ok");
    assert_eq!(vonage(&format!(r#"{{"iat":{NOW},"payload_hash":"{}"}}"#, sha("x"))), "claim");
}

#[test]
fn a_hash_is_there_exactly_when_a_body_is() {
    let messagebird = |claims: &str, body: &str| {
        let url = sha(URL);
        let claims = format!(r#"{{"iss":"MessageBird","url_hash":"{url}"{claims}}}"#);
        to("messagebird").header("messagebird-signature-jwt", &token(&claims)).body(body).label()
    };
    let of = |text: &str| format!(r#","payload_hash":"{}""#, sha(text));
    assert_eq!(messagebird("", ""), "ok");
    assert_eq!(messagebird("", "x"), "claim");
    assert_eq!(messagebird(&of("x"), "x"), "ok");
    assert_eq!(messagebird(&of("x"), "y"), "claim");
    assert_eq!(messagebird(&of(""), ""), "claim");
    assert_eq!(messagebird(&format!("{},\"payload_hash\":\"\"", of("x")), "x"), "claim");
}

#[test]
fn issuers_and_urls_are_checked() {
    let netlify =
        |claims: &str| to("netlify").header("x-webhook-signature", &token(claims)).label();
    let hash = sha("{}");
    assert_eq!(netlify(&format!(r#"{{"iss":"netlify","sha256":"{hash}"}}"#)), "ok");
    assert_eq!(netlify(&format!(r#"{{"iss":"evil","sha256":"{hash}"}}"#)), "claim");
    assert_eq!(netlify(&format!(r#"{{"sha256":"{hash}"}}"#)), "claim");
    assert_eq!(netlify(r#"{"iss":"netlify"}"#), "missing");
    assert_eq!(netlify("not json"), "claim");
}

#[test]
fn texts_that_are_no_token() {
    let sent = |text: &str| to("netlify").header("x-webhook-signature", text).label();
    let whole = token(r#"{"iss":"netlify"}"#);
    for text in ["a", "a.b", "a.b.c.d", "..", "!.!.!", &format!("{whole}.x"), "e30.e30.e30"] {
        assert_eq!(sent(text), "malformed", "{text}");
    }
    assert_eq!(sent(""), "empty");
    let (signed, _) = whole.rsplit_once('.').unwrap();
    assert_eq!(sent(&format!("{signed}.")), "signature");
    assert_eq!(sent(&format!("{signed}.{}", &mac("hush", signed)[..8])), "signature");
}

/// RFC 7515, section 4.1.11: whoever does not understand what `crit` lists has to refuse the token.
#[test]
fn a_token_that_needs_an_extension_is_refused() {
    let vonage = |header: &str| {
        let token = token_with(header, &format!(r#"{{"iat":{NOW}}}"#));
        to("vonage").header("authorization", &format!("Bearer {token}")).label()
    };
    assert_eq!(vonage(r#"{"alg":"HS256","exp":1}"#), "ok", "what is not in `crit` is ignored");
    for header in [
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"crit":["urn:example:made-up"],"urn:example:made-up":1,"alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0063rit":["made-up"],"made-up":1}"#,
        // An empty list, no list, and two of them are no valid headers.
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":["made-up"],"crit":null}"#,
    ] {
        assert_eq!(vonage(header), "malformed", "{header}");
    }
    // Before a key is fetched, too.
    let plaid = Encoding::Base64Url.encode(br#"{"alg":"ES256","kid":"k","crit":["made-up"]}"#);
    let sent =
        to("plaid").secret("id:secret").header("plaid-verification", &format!("{plaid}.e30.AA"));
    assert_eq!(sent.label(), "malformed");
}

#[test]
fn the_id_of_a_token_is_the_id_of_the_event() {
    let id = |row: &str, header: &str, value: &str| {
        let headers: Headers = [(header.to_owned(), value.to_owned())].into_iter().collect();
        let request = Request { method: "GET", url: URL, headers: &headers, body: b"" };
        extract(catalogue::find(row).unwrap().event_id.as_ref().unwrap(), &request)
    };
    let named = token(r#"{"jti":"id-1"}"#);
    assert_eq!(id("messagebird", "messagebird-signature-jwt", &named).as_deref(), Some("id-1"));
    assert_eq!(id("vonage", "authorization", &format!("Bearer {named}")).as_deref(), Some("id-1"));
    for none in
        [token("{}"), token(r#"{"jti":1,"jti":2}"#), "a.b.c".into(), "a".into(), String::new()]
    {
        assert_eq!(id("vonage", "authorization", &none), None, "{none}");
    }
}
