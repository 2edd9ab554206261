//! Secrets that are the address of a key set.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

mod support;

use inlet_verify::{
    Headers, Policy, Refused, Request, Step, UnixTime, Verified, catalogue, native,
};
use serde_json::Value;
use support::verifier;

/// The vector of `provider`, checked with these secrets; `fetch` has the documents.
fn check(
    provider: &str,
    secrets: &[&str],
    fetch: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Verified, Refused> {
    let vector = vector(provider);
    let headers: Headers = vector["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let request = Request {
        method: "POST",
        url: vector["url"].as_str().unwrap(),
        headers: &headers,
        body: vector["body"].as_str().unwrap().as_bytes(),
    };
    let now = UnixTime(vector["timestamp"].as_u64().unwrap());
    native::run(verifier(provider, secrets).start(&request, now, &Policy::default()), |step| {
        let Step::NeedKey { url, .. } = step else { panic!("{step:?}") };
        fetch(url)
    })
}

fn vector(provider: &str) -> Value {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/rows.json")).unwrap();
    vectors.into_iter().find(|vector| vector["provider"] == provider).unwrap()
}

const ONE: &str = "https://keys.example.com/jwks.json";
const OTHER: &str = "https://keys.example.org/jwks.json";

#[test]
fn keys_are_fetched_from_where_the_operator_says() {
    for provider in ["discord", "fusionauth", "gong", "telnyx", "wix", "zoho_desk"] {
        let key = vector(provider)["secret"].as_str().unwrap().to_owned();
        let row = catalogue::find(provider).unwrap();
        assert_eq!(row.check_secret(&support::secret(ONE)), Ok(()), "{provider}");
        assert!(row.describe().secret.contains("https URL"), "{provider}");
        let of = |secrets: &[&str], at: &str| {
            check(provider, secrets, |url| (url == at).then(|| key.clone().into_bytes()))
        };
        assert_eq!(of(&[ONE], ONE).unwrap().secret_index, Some(0), "{provider}");
        assert_eq!(of(&[ONE, OTHER], OTHER).unwrap().secret_index, Some(1), "{provider}");
        assert_eq!(of(&[ONE, &key], OTHER).unwrap().secret_index, Some(1), "{provider}");
        assert_eq!(of(&[ONE], OTHER), Err(Refused::Unavailable), "{provider}");
        assert_eq!(check(provider, &[ONE], |_| Some(b"<html>".to_vec())), Err(Refused::NoKey));
        let one_of_two = |url: &str| (url == OTHER).then(|| b"<html>".to_vec());
        assert_eq!(check(provider, &[ONE, OTHER], one_of_two), Err(Refused::Unavailable));
    }
}
