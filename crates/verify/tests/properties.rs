//! What holds for all requests.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

mod support;

use inlet_verify::{
    Encoding, Handshake, Hash, Headers, Others, Place, Policy, Refused, Request, Scheme,
    SchemeSpec, Secret, UnixTime, Verifier, catalogue, diagnose, extract, handshake, hmac,
};
use proptest::{collection::vec, prelude::*};
use support::{NOW, mac, secret};

fn hashes() -> impl Strategy<Value = Hash> {
    (0..Hash::ALL.len()).prop_map(|at| Hash::ALL[at])
}

fn encodings() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Hex), Just(Encoding::Base64), Just(Encoding::Base64Url)]
}

fn by_hand(hash: Hash, encoding: Encoding, key: &[u8]) -> Option<Verifier> {
    let secrets = vec![Secret::new(key)?];
    Some(Verifier::Hmac { header: "x-sig".to_owned(), hash, encoding, secrets })
}

fn verify(verifier: &Verifier, lines: &[(&str, &str)], body: &[u8]) -> bool {
    let headers = support::headers(lines);
    let request = Request { method: "POST", url: support::URL, headers: &headers, body };
    let policy = Policy::default();
    support::decide(verifier, &request, UnixTime(NOW), &policy, None).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_signed_is_believed_and_nothing_else(
        hash in hashes(),
        encoding in encodings(),
        key in vec(any::<u8>(), 1..200),
        body in vec(any::<u8>(), 0..300),
        flip in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let Some(verifier) = by_hand(hash, encoding, &key) else { return Ok(()) };
        let signature = encoding.encode(&hmac(hash, &key, &[&body]));
        prop_assert!(verify(&verifier, &[("x-sig", &signature)], &body));
        if !body.is_empty() {
            let mut other = body.clone();
            other[flip.index(body.len())] ^= 1 << bit;
            prop_assert!(!verify(&verifier, &[("x-sig", &signature)], &other));
        }
        let mut mac = hmac(hash, &key, &[&body]);
        let at = flip.index(mac.len());
        mac[at] ^= 1 << bit;
        prop_assert!(!verify(&verifier, &[("x-sig", &encoding.encode(&mac))], &body));
    }

    #[test]
    fn strangers_stay_outside(
        hash in hashes(),
        ours in vec(any::<u8>(), 1..80),
        theirs in vec(any::<u8>(), 1..80),
        body in vec(any::<u8>(), 0..100),
    ) {
        // Keys that differ only in zeros at the end are the same key to HMAC.
        let bare = |key: &[u8]| {
            let end = key.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            key[..end].to_vec()
        };
        prop_assume!(bare(&ours) != bare(&theirs));
        let Some(verifier) = by_hand(hash, Encoding::Hex, &ours) else { return Ok(()) };
        let signature = hex::encode(hmac(hash, &theirs, &[&body]));
        prop_assert!(!verify(&verifier, &[("x-sig", &signature)], &body));
    }

    #[test]
    fn nothing_panics(
        row in any::<prop::sample::Index>(),
        method in "[A-Z]{0,7}",
        url in "\\PC{0,60}",
        names in vec("[a-z-]{1,20}", 0..4),
        values in vec("\\PC{0,80}", 4),
        body in vec(any::<u8>(), 0..200),
        key in vec(any::<u8>(), 1..60),
        now in any::<u64>(),
    ) {
        let row = row.get(catalogue::all());
        let mut lines: Vec<_> =
            names.into_iter().zip(values.iter().cloned()).collect();
        // The headers that the row reads, or it would not look further.
        let known = Verifier::Provider { provider: row, secrets: Vec::new() }.credential_headers();
        lines.extend(known.into_iter().take(3).zip(values.iter().cloned()));
        let headers: Headers = lines.into_iter().collect();
        let request = Request { method: &method, url: &url, headers: &headers, body: &body };
        let secrets: Vec<_> = Secret::new(key).into_iter().collect();
        drop(handshake(row, &secrets, &request, UnixTime(now)));
        for place in row.event_id.iter().chain(&row.event_type) {
            drop(extract(place, &request));
        }
        let verifier = Verifier::Provider { provider: row, secrets: secrets.clone() };
        let refused = verifier.verify(&request, UnixTime(now)).err().unwrap_or(Refused::NoSecret);
        let others = Others { previous: &secrets, urls: std::slice::from_ref(&url) };
        drop(diagnose(&verifier, &request, UnixTime(now), &refused, others));
    }

    #[test]
    fn no_json_panics(body in "[\\[\\]{}\",:0-9a-u\\\\ ]{0,80}", path in "[a-c0-2*.]{0,8}") {
        let headers = Headers::default();
        let request = Request { method: "", url: "", headers: &headers, body: body.as_bytes() };
        drop(extract(&Place::Body(&path), &request));
    }

    #[test]
    fn json_agrees_with_another_parser(value in json(), path in "[a-c](\\.[a-c0-2]){0,3}") {
        let text = value.to_string();
        let headers = Headers::default();
        let request = Request { method: "", url: "", headers: &headers, body: text.as_bytes() };
        let pointer = format!("/{}", path.replace('.', "/"));
        let want = match value.pointer(&pointer) {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(other @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
                Some(other.to_string())
            }
            _ => None,
        };
        prop_assert_eq!(extract(&Place::Body(&path), &request), want);
    }

    #[test]
    fn no_scheme_panics(template in "[{}a-z:. ]{0,40}", signature in "[a-z:]{0,12}") {
        let spec = SchemeSpec { template, signature, ..SchemeSpec::default() };
        drop(Scheme::parse(&spec));
    }

    /// A question never makes us sign what would pass as an event.
    #[test]
    fn no_question_forges(challenge in "\\PC{0,60}") {
        let escape = |text: &str| {
            let bytes: Vec<_> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            bytes.concat()
        };
        let url = format!("{}?crc_token={}", support::URL, escape(&challenge));
        let headers = Headers::default();
        let request = Request { method: "GET", url: &url, headers: &headers, body: b"" };
        let x = catalogue::find("x").unwrap();
        let answer = handshake(x, &[secret("k")], &request, UnixTime(0));
        if let Some(Handshake::Reply { body, .. }) = answer {
            let telling = challenge.contains(['{', '[', '"', '<', ':', '&']);
            prop_assert!(!telling, "signed {challenge}: {}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn times_around_now(offset in 0..1000_u64, early in any::<bool>()) {
        let sent = if early { NOW + offset } else { NOW - offset };
        let value = format!("t={sent},v1={}", mac("k", &format!("{sent}.b")));
        let verifier = support::verifier("stripe", &["k"]);
        prop_assert_eq!(verify(&verifier, &[("stripe-signature", &value)], b"b"), offset <= 300);
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,6}".prop_map(serde_json::Value::String),
    ];
    let nested = leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            vec(("[a-c]", inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    });
    vec(("[a-c]", nested), 1..4)
        .prop_map(|members| serde_json::Value::Object(members.into_iter().collect()))
}
