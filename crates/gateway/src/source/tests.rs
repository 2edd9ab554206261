use super::*;
use crate::api::parse;

mod providers;

fn vault() -> Vault {
    Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
}

fn create(body: &str) -> Result<Source, String> {
    let input = parse(body.as_bytes()).map_err(|error| error.message)?;
    Source::create(input, "p", &vault(), 0, &mut |b| b.fill(5)).map_err(|error| error.message)
}

fn update(source: &mut Source, body: &str) -> Result<(), String> {
    let input = parse(body.as_bytes()).map_err(|error| error.message)?;
    source.update(input, &vault(), 1, &mut |b| b.fill(6)).map_err(|error| error.message)
}

fn hmac(hash: &str, encoding: &str) -> String {
    format!(
        r#"{{"name":"a","type":"http","verifier":{{"type":"hmac","hmac":
                {{"header":"X-Sig","hash":"{hash}","encoding":"{encoding}","secret":"convoy-secret"}}}}}}"#
    )
}

#[test]
fn a_source_that_cannot_be_is_refused_in_convoys_words() {
    for (body, expect) in [
        ("{}", "name:please provide a source name, type:please provide a type"),
        (r#"{"type":"http"}"#, "name:please provide a source name"),
        (r#"{"name":"a","type":"some-random-source-type"}"#, "type:unsupported source type"),
        (
            r#"{"name":"a","type":"http","verifier":{"type":"magic"}}"#,
            "type:please provide a valid verifier type",
        ),
        (
            r#"{"name":"a","type":"http","verifier":{"type":"hmac","hmac":{}}}"#,
            "encoding:non zero value required, hash:non zero value required, header:non zero value required, secret:non zero value required",
        ),
        (
            r#"{"name":"a","type":"http","verifier":{"type":"basic_auth","basic_auth":{}}}"#,
            "password:non zero value required, username:non zero value required",
        ),
        (
            r#"{"name":"a","type":"http","verifier":{"type":"api_key","api_key":{}}}"#,
            "header_name:non zero value required, header_value:non zero value required",
        ),
        (
            r#"{"name":"a","type":"http","verifier":{"type":"hmac"}}"#,
            "invalid verifier config for hmac",
        ),
        (
            r#"{"name":"a","type":"http","verifier":{"type":"basic_auth"}}"#,
            "invalid verifier config for basic auth",
        ),
        (
            r#"{"name":"a","type":"http","verifier":{"type":"api_key"}}"#,
            "invalid verifier config for api key",
        ),
        (r#"{"provider":"github"}"#, "please provide a source name"),
        (r#"{"provider":"github","name":"a","type":"abc"}"#, "please provide a valid source type"),
        (
            r#"{"provider":"github","name":"a","type":"http"}"#,
            "hmac secret is required for github source",
        ),
        (
            r#"{"provider":"no-such","name":"a","type":"http"}"#,
            "provider:no-such is not in the catalogue of providers",
        ),
        (
            r#"{"name":"a","type":"http","idempotency_keys":["id"]}"#,
            "not enough parts set for idempotency key location with value: id",
        ),
        (
            r#"{"name":"a","type":"http","event_type_location":"request.cookie.x"}"#,
            "unsupported input format for event type location with value: request.cookie.x",
        ),
    ] {
        assert_eq!(create(body).unwrap_err(), expect, "{body}");
    }
    assert_eq!(
        create(&hmac("sha256", "hex")).unwrap_err(),
        "hash:sha256 does not validate as supported_hash"
    );
    for encoding in ["hex", "base64", "base64url", "base64hex"] {
        assert!(create(&hmac("SHA256", encoding)).is_ok(), "{encoding}");
    }
    assert_eq!(
        create(&hmac("SHA256", "utf8")).unwrap_err(),
        "encoding:please provide a valid encoding type"
    );
    let large = format!(
        r#"{{"name":"a","type":"http","custom_response":{{"body":"{}"}}}}"#,
        "x".repeat(51_201)
    );
    assert_eq!(create(&large).unwrap_err(), "source custom response too large");
}

#[test]
fn fields_without_an_effect_are_refused() {
    for field in ["body_function", "header_function"] {
        let body = format!(
            r#"{{"name":"a","type":"rest_api","{field}":"function transform(x) {{ return x }}"}}"#
        );
        let error = create(&body).unwrap_err();
        assert!(error.starts_with(&format!("{field}:has no effect on a source")), "{error}");
        assert!(create(&body.replace("rest_api", "http")).is_ok());
    }
    let body = r#"{"name":"a","type":"http","pub_sub":{"type":"kafka","workers":1}}"#;
    assert!(create(body).unwrap_err().starts_with("pub_sub:is for sources of the type"));
    let body = r#"{"name":"a","type":"pub_sub","idempotency_keys":["request.header.a"]}"#;
    assert!(create(body).unwrap_err().starts_with("idempotency_keys has no effect"));
    for (field, name, most) in [
        ("forward_headers", "x-a", 100),
        ("forward_query", "a", 100),
        ("idempotency_keys", "request.header.a", 50),
    ] {
        let with = |count: usize| {
            create(&json!({"name": "a", "type": "http", field: vec![name; count]}).to_string())
        };
        assert!(with(most).is_ok());
        assert_eq!(with(most + 1).unwrap_err(), format!("{field}:at most {most} names"));
    }
    let broker = r#""type":"pub_sub","pub_sub":{"type":"sqs","workers":1,"sqs":{"access_key_id":"a","secret_key":"s","default_region":"eu-west-1","queue_name":"q"}}"#;
    for (field, value) in [
        ("ip_allowlist", r#"["10.0.0.0/8"]"#),
        ("ip_denylist", r#"["10.0.0.0/8"]"#),
        ("rate_limit", r#"{"count":1,"duration":1}"#),
        ("expires_at", r#""2030-01-31T00:00:00Z""#),
        ("max_requests", "5"),
        ("is_dedup_disabled", "true"),
        ("json_schema", r#"{"type":"object"}"#),
    ] {
        let error = create(&format!(r#"{{"name":"a",{broker},"{field}":{value}}}"#)).unwrap_err();
        let expect = format!("{field} has no effect on a pub_sub source");
        assert!(error.starts_with(&expect), "{error}");
    }
    let none = r#""ip_allowlist":[],"rate_limit":{"count":0,"duration":0},"expires_at":"","max_requests":0,"json_schema":{},"json_schema_action":"reject""#;
    create(&format!(r#"{{"name":"a",{broker},{none}}}"#)).unwrap();
    let response =
        |fields: &str| format!(r#"{{"name":"a","type":"http","custom_response":{{{fields}}}}}"#);
    for (fields, expect) in [
        (r#""headers":{"Set-Cookie":"b"}"#, "custom_response.headers.Set-Cookie:belongs"),
        (r#""header":{"X-A":"b"}"#, "custom_response.header:unknown field: did you mean headers?"),
        (r#""trailer":{"X-A":"b"}"#, "custom_response.trailer is not supported yet"),
        (r#""status":500"#, "custom_response.status:from 200"),
        (r#""status":205"#, "custom_response.status:from 200"),
    ] {
        assert!(create(&response(fields)).unwrap_err().starts_with(expect), "{fields}");
    }
    assert!(create(&response(r#""headers":{},"status":0"#)).is_ok());
    let body = r#"{"name":"a","type":"db_change_stream"}"#;
    assert!(create(body).unwrap_err().starts_with("type:db_change_stream is not supported; use"));
}

#[test]
fn of_several_verifiers_the_type_says_which_is_meant() {
    let all = |kind: &str| {
        let body = format!(
            r#"{{"name":"a","type":"http","verifier":{{"type":"{kind}",
            "hmac":{{"header":"X-Sig","hash":"SHA256","encoding":"hex","secret":"a-secret"}},
            "basic_auth":{{"username":"u","password":"a-password"}},
            "api_key":{{"header_name":"X-Key","header_value":"a-value"}}}}}}"#
        );
        create(&body).map(|source| {
            let verifier = source.verifier;
            (verifier.hmac.is_some(), verifier.basic_auth.is_some(), verifier.api_key.is_some())
        })
    };
    assert_eq!(all("hmac"), Ok((true, false, false)));
    assert_eq!(all("basic_auth"), Ok((false, true, false)));
    assert_eq!(all("api_key"), Ok((false, false, true)));
    assert!(all("").unwrap_err().starts_with("verifier:give one of"));
    assert!(all("noop").unwrap_err().starts_with("verifier:give one of"));
}

#[test]
fn only_the_signed_body_may_name_the_event_type_of_a_signed_source() {
    let with = |location: &str| {
        hmac("SHA256", "hex").replacen('{', &format!(r#"{{"event_type_location":"{location}","#), 1)
    };
    assert!(create(&with("request.body.type")).is_ok());
    assert_eq!(create(&with("request.header.X-Type")).unwrap_err(), METADATA_LOCATION);
    let provider = r#"{"name":"a","type":"http","provider":"github","verifier":{"hmac":{"secret":"abc"}},
            "event_type_location":"request.query.type"}"#;
    assert_eq!(create(provider).unwrap_err(), METADATA_LOCATION);
    let noop = r#"{"name":"a","type":"http","event_type_location":"request.header.X-Type"}"#;
    assert!(create(noop).is_ok());
}

#[test]
fn all_twelve_hashes_in_both_encodings_make_a_verifier() {
    for hash in [
        "MD5",
        "SHA1",
        "SHA224",
        "SHA256",
        "SHA384",
        "SHA512",
        "SHA3_224",
        "SHA3_256",
        "SHA3_384",
        "SHA3_512",
        "SHA512_224",
        "SHA512_256",
    ] {
        for encoding in ["hex", "base64"] {
            let source = create(&hmac(hash, encoding)).unwrap();
            assert!(
                matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })),
                "{hash} {encoding}"
            );
        }
    }
}

#[test]
fn secrets_are_masked_and_a_mask_sent_back_leaves_them_alone() {
    let mut source = create(&hmac("SHA256", "hex")).unwrap();
    let shown = source.present("http://x");
    assert_eq!(shown["verifier"]["hmac"]["secret"], "********cret");
    assert!(!serde_json::to_string(&source).unwrap().contains("convoy-secret"));
    let mut body = shown.clone();
    body["name"] = "renamed".into();
    update(&mut source, &body.to_string()).unwrap();
    let Verifier::Hmac { secrets, .. } = source.open_verifier(&vault()).unwrap() else { panic!() };
    assert_eq!(secrets[0].expose(), b"convoy-secret");
    assert_eq!(source.name, "renamed");
}

#[test]
fn a_secret_without_a_type_is_never_a_source_without_a_check() {
    let untyped = hmac("SHA256", "hex").replace(r#""type":"hmac","hmac""#, r#""hmac""#);
    let mut source = create(&untyped).unwrap();
    assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })));
    assert_eq!(source.present("")["verifier"]["type"], "hmac");
    for verifier in ["{}", r#"{"type":""}"#] {
        update(&mut source, &format!(r#"{{"name":"a","type":"http","verifier":{verifier}}}"#))
            .unwrap();
        assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })), "{verifier}");
    }
    for kind in ["noop", "api_key"] {
        let mixed =
            hmac("SHA256", "hex").replace(r#""type":"hmac""#, &format!(r#""type":"{kind}""#));
        assert!(create(&mixed).is_err(), "{kind}");
    }
}

#[test]
fn a_text_that_only_looks_like_the_mask_is_refused() {
    let mut source = create(&hmac("SHA256", "hex")).unwrap();
    let other = hmac("SHA256", "hex").replace("convoy-secret", "********else");
    assert!(
        update(&mut source, &other).unwrap_err().starts_with("secret:this is the mask of a secret")
    );
}

#[test]
fn what_a_read_shows_can_be_sent_back() {
    let mut source = create(&hmac("SHA256", "hex")).unwrap();
    let shown = source.present("http://x").to_string();
    update(&mut source, &shown).unwrap();
    assert_eq!(source.forward_headers, None);
    assert_eq!(source.dedup_window_seconds, DEDUP_WINDOW_DEFAULT_S);
}

#[test]
fn a_mask_where_no_secret_is_stored_is_refused() {
    let body = hmac("SHA256", "hex").replace("convoy-secret", "********cret");
    assert_eq!(
        create(&body).unwrap_err(),
        "secret:this is the mask of a secret; send the secret itself"
    );
    for secret in ["0000", "   "] {
        let body = hmac("SHA256", "hex").replace("convoy-secret", secret);
        assert_eq!(create(&body).unwrap_err(), "secret:must not be blank or all zeros");
    }
}

#[test]
fn verifiers_can_be_exchanged_both_ways() {
    let mut source = create(&hmac("SHA256", "hex")).unwrap();
    update(&mut source, r#"{"name":"a","type":"http"}"#).unwrap();
    assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })));
    update(&mut source, r#"{"name":"a","type":"http","verifier":{"type":"noop"}}"#).unwrap();
    assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Noop)));
    update(&mut source, &hmac("SHA512", "base64")).unwrap();
    assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Hmac { .. })));
    assert_eq!(
        update(&mut source, "{}").unwrap_err(),
        "name:please provide a source name, type:please provide a type"
    );
}

#[test]
fn an_empty_response_is_told_from_none() {
    let of = |response: &str| {
        create(&format!(r#"{{"name":"a","type":"http","custom_response":{response}}}"#)).unwrap()
    };
    for (response, given) in [
        (r#"{"body":""}"#, true),
        (r#"{"body":"","content_type":"text/xml"}"#, true),
        (r#"{"body":"","content_type":""}"#, false),
        (r#"{"content_type":"text/xml"}"#, false),
        (r#"{"status":202}"#, false),
        ("{}", false),
    ] {
        let mut source = of(response);
        assert_eq!(source.custom_response.given().is_some(), given, "{response}");
        let stored = serde_json::to_string(&source).unwrap();
        let read: Source = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.custom_response, source.custom_response, "{response}");
        let (before, shown) = (source.custom_response.clone(), source.present("").to_string());
        update(&mut source, &shown).unwrap();
        assert_eq!(source.custom_response, before, "what {response} shows can be sent back");
    }
    let mut source = of(r#"{"body":""}"#);
    update(
        &mut source,
        r#"{"name":"a","type":"http","custom_response":{"body":"","content_type":""}}"#,
    )
    .unwrap();
    assert_eq!(source.custom_response.given(), None);
}

#[test]
fn secrets_overlap_are_masked_and_are_kept_by_uid_or_mask() {
    let with = |secrets: &str| {
        format!(
            r#"{{"name":"a","type":"http","provider":"github","verifier":{{"secrets":{secrets}}}}}"#
        )
    };
    let mut source = create(&with(
            r#"[{"value":"first-secret-1","label":"old","expires_at":"2026-12-01T00:00:00Z"},{"value":"second-secret"}]"#,
        ))
        .unwrap();
    let names = |source: &Source| -> Vec<String> {
        source.open_secrets(&vault()).unwrap().into_iter().map(|(_, name, _)| name).collect()
    };
    assert_eq!(names(&source)[1], "old", "those that last come first");
    let shown = source.present("");
    assert_eq!(shown["verifier"]["secrets"][0]["value"], "********et-1");
    update(&mut source, &shown.to_string()).unwrap();
    assert_eq!(source.open_secrets(&vault()).unwrap()[1].0.expose(), b"first-secret-1");
    assert!(update(&mut source, &with(r#"[{"value":"********nono"}]"#)).is_err());
    assert!(update(&mut source, &with(r#"[{"value":"x","expires_at":"soon"}]"#)).is_err());
    let many = [r#"{"value":"abc"}"#; 11].join(",");
    assert!(update(&mut source, &with(&format!("[{many}]"))).is_err());
}

/// A source with these secrets, each with a uid of its own.
fn with_secrets(values: &[&str]) -> Source {
    let secrets: Vec<Value> =
        values.iter().map(|value| json!({"value": value, "label": value})).collect();
    let body = json!({"name": "a", "type": "http", "provider": "github", "verifier": {"secrets": secrets}});
    let input = parse(body.to_string().as_bytes()).unwrap();
    let mut next = 0;
    let mut fill = |bytes: &mut [u8]| {
        next += 1;
        bytes.fill(next);
    };
    Source::create(input, "p", &vault(), 0, &mut fill).unwrap()
}

#[test]
fn a_mask_stands_for_one_secret() {
    // The first three have the same mask.
    let values = ["one", "two", "three", "a-secret-of-sixteen"];
    let source = with_secrets(&values);
    let shown = source.present("")["verifier"]["secrets"].clone();
    let entry = |at: usize, by_uid: bool| {
        let mut entry = shown[at].clone();
        if !by_uid {
            entry.as_object_mut().unwrap().remove("uid");
        }
        entry
    };
    let put = |secrets: Vec<Value>| {
        let mut again = source.clone();
        let body = json!({"name": "a", "type": "http", "verifier": {"secrets": secrets}});
        update(&mut again, &body.to_string())?;
        let uid = |secret: &StoredSecret| (secret.uid.clone(), secret.label.clone());
        Ok::<Vec<_>, String>(again.verifier.trust.secrets.iter().map(uid).collect())
    };
    let uids = |of: &[usize]| -> Vec<(String, String)> {
        let text = |at: usize, name: &str| shown[at][name].as_str().unwrap().to_owned();
        of.iter().map(|at| (text(*at, "uid"), text(*at, "label"))).collect()
    };
    let all = [0, 1, 2, 3];
    assert_eq!(put(all.map(|at| entry(at, false)).to_vec()).unwrap(), uids(&all));
    assert_eq!(put(vec![entry(3, false)]).unwrap(), uids(&[3]));
    // Those with a uid have theirs, wherever they stand.
    let mixed = vec![entry(1, false), entry(2, false), entry(0, true)];
    assert_eq!(put(mixed).unwrap(), uids(&[1, 2, 0]));
    let exchanged =
        vec![entry(0, false), entry(1, false), entry(2, false), json!({"value": "new", "uid": ""})];
    assert_eq!(put(exchanged).unwrap()[..3], uids(&[0, 1, 2]));
    for (secrets, expect) in [
        (vec![entry(1, false)], "several secrets have the mask ********;"),
        (vec![entry(0, false), entry(1, false)], "several secrets have the mask"),
        (vec![entry(2, false), entry(1, false), entry(0, false)], "several secrets have the mask"),
        (
            vec![entry(0, false), entry(1, false), entry(2, false), entry(2, false)],
            "send the secret itself",
        ),
        (vec![entry(3, true), entry(3, true)], "send the secret itself"),
        (vec![entry(3, true), entry(3, false)], "send the secret itself"),
    ] {
        let error = put(secrets.clone()).expect_err(&json!(secrets).to_string());
        assert!(error.contains(expect), "{secrets:?}: {error}");
    }
    let mut ending = source.clone();
    ending.verifier.trust.secrets.truncate(2);
    ending.verifier.trust.secrets.iter_mut().for_each(|secret| secret.label.clear());
    ending.verifier.trust.secrets[0].expires_at = Some(1_000);
    let (first, last) = (
        json!({"value": "********", "expires_at": "1970-01-01T00:00:01Z"}),
        json!({"value": "********"}),
    );
    for (secrets, fits) in [([&first, &last], true), ([&last, &first], false)] {
        let body = json!({"name": "a", "type": "http", "verifier": {"secrets": secrets}});
        assert_eq!(update(&mut ending.clone(), &body.to_string()).is_ok(), fits, "{body}");
    }
}

#[test]
fn a_scheme_of_ones_own_is_checked_when_it_is_saved() {
    let with = |scheme: &str| {
        format!(
            r#"{{"name":"a","type":"http","verifier":{{"type":"scheme","scheme":{scheme},"secrets":[{{"value":"abc"}}]}}}}"#
        )
    };
    let source = create(&with(r#"{"preset":"timestamped","header":"X-Sig"}"#)).unwrap();
    assert!(matches!(source.open_verifier(&vault()), Ok(Verifier::Scheme { .. })));
    for (scheme, expect) in [
        (r#"{"signature":"header:x","template":"{header:x-ts}"}"#, "does not hold all of the body"),
        (r#"{"signature":"header:x","timestamp":"header:x-ts"}"#, "checked but not signed"),
        (r#"{"signature":"nowhere"}"#, "names no place"),
        (r#"{"signature":"header:x","algorithm":"rot13"}"#, "is not one of"),
        (r#"{"signature":"header:x","colour":"red"}"#, "scheme.colour:is not a field"),
        (r#"{"preset":"other"}"#, "is not one of timestamped, convoy"),
    ] {
        let error = create(&with(scheme)).unwrap_err();
        assert!(error.contains(expect), "{scheme}: {error}");
    }
}

#[test]
fn only_what_may_be_a_mask_is_looked_up() {
    let source = create(r#"{"name":"a","type":"http"}"#).unwrap();
    for (text, expect) in [
        (source.mask_id.as_str(), true),
        ("0123456789abcDEF", true),
        // Those of Hookstream's dialect.
        (source.uid.as_str(), true),
        ("", false),
        ("0123456789abcDE", false),
        ("0123456789abcDEFG", false),
        ("0123456789abcD-F", false),
        ("0123456789abcDé", false),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", true),
        ("01ARZ3NDEKTSV4RRFFQ69G5FA!", false),
        ("zzzzzzzzzzzzzzzzzzzzzzzzzz", false),
    ] {
        assert_eq!(is_mask(text), expect, "{text:?}");
    }
}
