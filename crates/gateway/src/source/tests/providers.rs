//! Sources of the catalogue: what their provider says of the verifier, and what it hands over.

use super::*;
use crate::source::hand_over::SHOWN_MS;

#[test]
fn every_provider_that_signs_makes_a_source_and_hearsay_is_only_observed() {
    let mut taken = 0;
    for row in catalogue::all() {
        // A key that fits every form but a public one and those with a colon.
        let secret = "0123456789abcdef0123456789abcdef";
        let body = format!(
            r#"{{"name":"a","type":"http","provider":"{}","verifier":{{"hmac":{{"secret":"{secret}"}}}}}}"#,
            row.name
        );
        match create(&body) {
            Ok(source) => {
                let observes = source.verifier.trust.mode == Mode::Observe;
                assert_eq!(observes, row.observe(), "{}", row.name);
                taken += 1;
            }
            Err(error) if row.is_unsigned() => {
                let is_of_hmac = error.contains("non zero value required");
                assert!(is_of_hmac, "{}: {error}", row.name);
                let open = format!(
                    r#"{{"name":"a","type":"http","provider":"{}","verifier":{{"type":"noop"}}}}"#,
                    row.name
                );
                assert_eq!(create(&open).unwrap().verifier.trust.mode, Mode::Enforce);
                let bare = format!(r#"{{"name":"a","type":"http","provider":"{}"}}"#, row.name);
                assert!(create(&bare).unwrap_err().contains("signs nothing, so choose"));
            }
            Err(error) => assert!(error.contains("has to be"), "{}: {error}", row.name),
        }
    }
    assert!(240 < taken, "{taken} providers");
    let bare = create(r#"{"name":"a","type":"http","provider":"clio"}"#).unwrap();
    assert_eq!(bare.verifier.trust.mode, Mode::Observe, "also without a verifier");
}

#[test]
fn what_a_providers_scheme_leaves_without_effect_is_refused() {
    let with = |verifier: &str| {
        create(&format!(
            r#"{{"name":"a","type":"http","provider":"github","verifier":{verifier}}}"#
        ))
    };
    for (verifier, field) in [
        (
            r#"{"type":"scheme","scheme":{"signature":"header:x"},"secrets":[{"value":"abc"}]}"#,
            "scheme",
        ),
        (r#"{"scheme":{"signature":"header:x"},"hmac":{"secret":"abc"}}"#, "scheme"),
        (r#"{"basic_auth":{"username":"u","password":"p"},"hmac":{"secret":"abc"}}"#, "basic_auth"),
        (r#"{"type":"api_key","hmac":{"secret":"abc"}}"#, "api_key"),
    ] {
        let error = with(verifier).unwrap_err();
        assert!(
            error.starts_with(&format!("verifier.{field}:has no effect")),
            "{verifier}: {error}"
        );
    }
    let mut source = with(r#"{"hmac":{"secret":"abc"}}"#).unwrap();
    let shown = source.present("").to_string();
    update(&mut source, &shown).unwrap();
    let scheme = r#"{"name":"a","type":"http","verifier":{"scheme":{"signature":"header:x"}}}"#;
    assert!(update(&mut source, scheme).is_err());
}

#[test]
fn a_key_of_the_wrong_form_is_refused_with_the_form_that_is_expected() {
    let why = |provider: &str, secret: &str| {
        create(&format!(
                r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{{"hmac":{{"secret":"{secret}"}}}}}}"#
            ))
            .unwrap_err()
    };
    assert!(why("svix", "not base64!").contains("has to be base64"));
    assert!(why("discord", "abc").contains("has to be a public key"));
    assert!(why("adyen", "xyz").contains("has to be hex"));
}

#[test]
fn what_would_never_fit_is_refused_with_the_form_that_does() {
    let with = |provider: &str, secrets: &[&str]| {
        let secrets: Vec<_> = secrets.iter().map(|value| json!({"value": value})).collect();
        let body = json!({"name": "a", "type": "http", "provider": provider, "verifier": {"secrets": secrets}});
        create(&body.to_string())
    };
    for (provider, secrets, why) in [
        ("braintree", &["private"][..], "has to be written `public:private`"),
        ("braintree", &["public:"], "has to be written `public:private`"),
        ("solidgate", &["private"], "has to be written `public:private`"),
        ("telegram", &["with spaces"], "has to be 1 to 256 letters"),
        ("meta", &["verify_token:ours"], "proves nothing; give the signing secret, too"),
        ("meta", &["secret", "verify_token: "], "holds no token"),
        ("github", &["secret", "verify_token:ours"], "this provider asks for none"),
    ] {
        let error = with(provider, secrets).unwrap_err();
        assert!(error.contains(why), "{provider} {secrets:?}: {error}");
    }
    for (provider, secrets) in [
        ("braintree", &["public:private"][..]),
        ("telegram", &["A-z_09"]),
        ("meta", &["secret", "verify_token:ours"]),
        ("vercel", &["secret", "verify_token:ours"]),
    ] {
        assert!(with(provider, secrets).is_ok(), "{provider}");
    }
}

#[test]
fn a_topic_is_pinned_where_there_are_topics() {
    let with = |provider: &str, topic: &str| {
        create(&format!(
            r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{{"hmac":{{"secret":"abc"}}}},
                    "provider_config":{{"sns":{{"topic_arn":"{topic}"}}}}}}"#
        ))
    };
    let mut source = with("aws_sns", "arn:aws:sns:eu-west-1:123456789012:orders").unwrap();
    let shown = source.present("").to_string();
    update(&mut source, &shown).unwrap();
    assert_eq!(source.topic_arn, "arn:aws:sns:eu-west-1:123456789012:orders");
    update(&mut source, r#"{"name":"a","type":"http","provider_config":{"sns":{"topic_arn":""}}}"#)
        .unwrap();
    assert_eq!(source.topic_arn, "");
    for bad in ["orders", "arn:aws:sqs:eu-west-1:123456789012:orders", "arn:aws:sns:::orders"] {
        assert!(with("aws_sns", bad).unwrap_err().contains("write it as arn:aws:sns"), "{bad}");
    }
    assert!(
        with("github", "arn:aws:sns:a:b:c")
            .unwrap_err()
            .contains("is for sources of the provider aws_sns")
    );
}

#[test]
fn a_handed_over_secret_is_kept_only_while_the_source_is_armed_and_has_none() {
    let secret = Secret::new(*b"handed-over-secret").unwrap();
    let mut source = create(r#"{"name":"a","type":"http","provider":"asana"}"#).unwrap();
    let capture = |source: &mut Source, now| {
        source.capture(&secret, &vault(), now, &mut |b| b.fill(9)).unwrap()
    };
    assert!(!capture(&mut source, 1));
    source.armed_until = Some(10);
    assert!(!capture(&mut source, 10), "the time is over");
    assert!(capture(&mut source, 9));
    source.armed_until = Some(100);
    assert!(!capture(&mut source, 11), "there is one already");
}

#[test]
fn a_handed_over_secret_is_shown_for_an_hour_where_the_provider_wants_to_be_told() {
    for (provider, is_shown) in [("notion", true), ("asana", false)] {
        let body = format!(r#"{{"name":"a","type":"http","provider":"{provider}"}}"#);
        let mut source = create(&body).unwrap();
        assert_eq!(source.handed_over(&vault(), 0).unwrap_err().status, 404);
        source.armed_until = Some(10);
        let secret = Secret::new(*b"secret_handed_over").unwrap();
        assert!(source.capture(&secret, &vault(), 5, &mut |b| b.fill(9)).unwrap());
        let until = 5 + SHOWN_MS;
        let shown = source.handed_over(&vault(), until - 1);
        assert_eq!(shown.is_ok(), is_shown, "{provider}");
        if let Ok(shown) = shown {
            assert_eq!(shown["secret"], "secret_handed_over");
        }
        assert_eq!(source.handed_over(&vault(), until).unwrap_err().status, 404);
        assert!(!source.present("").to_string().contains("secret_handed_over"));
    }
}

#[test]
fn the_address_of_a_key_set_is_a_key() {
    let with = |provider: &str, url: &str| {
        create(&format!(
            r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{{"hmac":{{"secret":"{url}"}}}}}}"#
        ))
    };
    for provider in ["gong", "wix", "fusionauth", "zoho_desk", "discord"] {
        assert!(with(provider, "https://keys.example.com/jwks.json").is_ok(), "{provider}");
        let why = with(provider, "https://127.0.0.1/jwks.json").unwrap_err();
        assert!(why.contains("names a URL from which no key is fetched"), "{provider}: {why}");
        for bad in ["http://keys.example.com/jwks.json", "https://u:p@keys.example.com/"] {
            assert!(with(provider, bad).unwrap_err().contains("has to be a public key"), "{bad}");
        }
    }
    assert!(with("github", "https://127.0.0.1/").is_ok(), "this is an HMAC key");
}

#[test]
fn a_provider_source_needs_only_a_secret_and_keeps_it() {
    let body = r#"{"name":"a","type":"http","provider":"github","verifier":{"type":"hmac","hmac":{"secret":"abcdefghijkl"}}}"#;
    let mut source = create(body).unwrap();
    assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Provider { .. })));
    update(&mut source, r#"{"name":"b","type":"http","verifier":{"type":"hmac"}}"#).unwrap();
    let Verifier::Provider { secrets, .. } = source.open_verifier(&vault()).unwrap() else {
        panic!()
    };
    assert_eq!(secrets[0].expose(), b"abcdefghijkl");
    assert!(update(&mut source, r#"{"name":"b","type":"http","provider":"shopify"}"#).is_err());
}

#[test]
fn a_verifier_beside_a_provider_is_as_the_provider_signs() {
    let of = |provider: &str, verifier: &str| {
        create(&format!(
            r#"{{"name":"a","type":"http","provider":"{provider}","verifier":{verifier}}}"#
        ))
    };
    let hmac = |header: &str, hash: &str, encoding: &str| {
        format!(
            r#"{{"type":"hmac","hmac":{{"header":"{header}","hash":"{hash}","encoding":"{encoding}","secret":"convoy-secret"}}}}"#
        )
    };
    for (provider, header, encoding) in [
        ("github", "X-Hub-Signature-256", "hex"),
        ("shopify", "X-Shopify-Hmac-SHA256", "base64"),
        ("twitter", "X-Twitter-Webhooks-Signature", "base64"),
    ] {
        of(provider, &hmac(header, "SHA256", encoding)).unwrap();
    }
    for (given, field) in [
        (hmac("X-Mine", "SHA256", "hex"), "header"),
        (hmac("X-Hub-Signature-256", "SHA512", "hex"), "hash"),
        (hmac("X-Hub-Signature-256", "SHA256", "base64"), "encoding"),
    ] {
        let error = of("github", &given).unwrap_err();
        assert!(error.starts_with(&format!("verifier.hmac.{field}:")), "{error}");
        assert!(error.contains("has no effect, because the provider github"), "{error}");
    }
    let mut source = of("github", r#"{"hmac":{"secret":"convoy-secret"}}"#).unwrap();
    let noop = r#"{"name":"a","type":"http","verifier":{"type":"noop"}}"#;
    let error = update(&mut source, noop).unwrap_err();
    assert!(error.starts_with("verifier.type:has no effect"), "{error}");
    // What was stored before this was asked comes back as it is shown.
    source.verifier.hmac.as_mut().unwrap().hash = "MD5".into();
    let same = r#"{"name":"a","type":"http","verifier":{"hmac":{"hash":"MD5"}}}"#;
    update(&mut source, same).unwrap();
}
