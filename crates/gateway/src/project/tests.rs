use super::*;
use crate::api::parse;

#[track_caller]
fn create(body: &str) -> Result<Project, String> {
    let input = parse(body.as_bytes()).map_err(|error| error.message)?;
    Project::create(input, 0, 1_700_000_000_000, &mut |b| b.fill(1)).map_err(|error| error.message)
}

#[test]
fn a_project_gets_the_defaults_and_keeps_what_it_sets() {
    let project = create(r#"{"name":"a","type":"incoming"}"#).unwrap();
    assert_eq!(project.config, Config::default());
    let body = r#"{"name":"a","type":"outgoing","config":{"max_payload_read_size":50,
        "strategy":{"type":"linear","duration":3,"retry_count":2},
        "signature":{"header":"X-Acme","versions":[{"hash":"SHA512","encoding":"base64"}]}}}"#;
    let one = r#"{"name":"a","type":"outgoing","config":{"signature":{"header":"X-Co","hash":"SHA512"}}}"#;
    let versions = create(one).unwrap().config.signature.versions;
    let versions: Vec<_> =
        versions.iter().map(|v| (v.hash.as_str(), v.encoding.as_str())).collect();
    assert_eq!(versions, [("SHA512", "hex")], "as Convoy's clients for Go and Python say it");
    let config = create(body).unwrap().config;
    assert_eq!((config.max_payload_read_size, config.strategy.duration), (50, 3));
    assert_eq!((config.signature.header.as_str(), config.signature.versions.len()), ("X-Acme", 1));
}

#[test]
fn a_project_that_cannot_be_is_refused_with_all_its_faults() {
    let check = |body: &str, expect: &str| assert_eq!(create(body).unwrap_err(), expect, "{body}");
    check(
        "{}",
        "name:please provide a valid name, type:please provide a valid type: incoming or outgoing",
    );
    let with = |config: &str| format!(r#"{{"name":"a","type":"incoming","config":{config}}}"#);
    check(
        &with(r#"{"max_payload_read_size":99999999999}"#),
        "config.max_payload_read_size:the largest limit is 26214400 bytes",
    );
    let version = r#"{"hash":"SHA256","encoding":"hex"}"#;
    let versions = [version; 11].join(",");
    check(
        &with(&format!(r#"{{"signature":{{"versions":[{versions}]}}}}"#)),
        "config.signature.versions:at most 10 versions",
    );
    check(
        &with(r#"{"strategy":{"type":"random"}}"#),
        "config.strategy.type:please provide a valid strategy type: linear or exponential",
    );
    check(
        &with(r#"{"signature":{"header":"a b"}}"#),
        "config.signature.header:not a valid header name",
    );
    assert!(
        create(&with(r#"{"search_policy":"720h"}"#))
            .unwrap_err()
            .starts_with("config.search_policy is not supported yet")
    );
}

#[test]
fn a_zero_is_what_it_says_or_is_refused() {
    let mut project = create(
        r#"{"name":"a","type":"incoming","config":{"max_payload_read_size":50,
            "strategy":{"type":"linear","duration":3,"retry_count":0}}}"#,
    )
    .unwrap();
    let strategy = &project.config.strategy;
    assert_eq!(strategy.retry_count, 0);
    assert_eq!(strategy.next_pause_ms(1, None, 0), None, "the first attempt is the only one");
    let mut update = |config: &str| {
        let body = format!(r#"{{"config":{config}}}"#);
        let input = parse(body.as_bytes()).unwrap();
        project
            .update(input, 1, &mut |b| b.fill(1))
            .map(|()| project.config.clone())
            .map_err(|error| error.message)
    };
    for duration in ["0", "86401"] {
        assert_eq!(
            update(&format!(r#"{{"strategy":{{"duration":{duration}}}}}"#)).unwrap_err(),
            "config.strategy.duration:from 1 to 86400 seconds"
        );
    }
    let changed = update(r#"{"max_payload_read_size":0,"strategy":{"retry_count":4}}"#).unwrap();
    assert_eq!(changed.max_payload_read_size, DEFAULT_BODY_MAX_BYTES, "0 is the default");
    assert_eq!(changed.strategy.retry_count, 4);
    assert_eq!(update(r#"{"strategy":{"retry_count":0}}"#).unwrap().strategy.retry_count, 0);
    assert_eq!(update("{}").unwrap().strategy.retry_count, 0, "what is left out stays");
}

#[test]
fn retention_is_days_or_convoys_hours() {
    let days = |policy: &str| {
        let body =
            format!(r#"{{"name":"a","type":"incoming","config":{{"retention_policy":{policy}}}}}"#);
        create(&body).map(|project| project.config.retention_policy)
    };
    for (policy, expect) in [
        (r#"{"days":30}"#, 30),
        (r#"{"policy":"72h"}"#, 3),
        (r#"{"policy":"25h"}"#, 2),
        (r#"{"policy":"168h0m0s"}"#, 7),
        (r#"{"policy":"1440m"}"#, 1),
        (r#"{"policy":"24h0m1s"}"#, 2),
        (r#"{"policy":"0h"}"#, 0),
        (r#"{"policy":"0s"}"#, 0),
        (r#"{"policy":""}"#, 0),
        ("{}", 0),
    ] {
        assert_eq!(days(policy).unwrap().days, expect, "{policy}");
    }
    for policy in [
        r#"{"policy":"soon"}"#,
        r#"{"policy":"7d"}"#,
        r#"{"policy":"h"}"#,
        r#"{"policy":"1m1h"}"#,
        r#"{"policy":"-24h"}"#,
        r#"{"policy":"1.5h"}"#,
        r#"{"policy":"99999999999999999999h"}"#,
        r#"{"policy":"18446744073709551615h"}"#,
        r#"{"days":9999}"#,
        r#"{"days":-1}"#,
    ] {
        assert!(days(policy).is_err(), "{policy}");
    }
    for short in ["1h", "23h59m59s", "1s"] {
        let error = days(&format!(r#"{{"policy":"{short}"}}"#)).unwrap_err();
        assert!(error.contains("events are kept for days"), "{error}");
    }
    assert_eq!(days("{}").unwrap().cutoff(u64::MAX), None);
    let day = 86_400_000;
    assert_eq!(days(r#"{"days":2}"#).unwrap().cutoff(3 * day), Some(ids::lowest(day)));
    assert_eq!(days(r#"{"days":2}"#).unwrap().cutoff(day), None);
}

#[test]
fn no_header_of_a_project_is_one_by_which_endpoints_are_told_who_calls() {
    for name in ["Authorization", "proxy-authorization", "Cookie"] {
        for (field, config) in [
            ("signature.header", format!(r#"{{"signature":{{"header":"{name}"}}}}"#)),
            ("request_id_header", format!(r#"{{"request_id_header":"{name}"}}"#)),
        ] {
            let body = format!(r#"{{"name":"a","type":"outgoing","config":{config}}}"#);
            let expect =
                format!("config.{field}:this name has another meaning; choose one of your own");
            assert_eq!(create(&body).unwrap_err(), expect);
        }
    }
}

#[test]
fn an_endpoints_own_header_is_none_that_the_project_sets() {
    let body = r#"{"name":"a","type":"outgoing","config":{"signature":{"header":"X-Own"},"request_id_header":"X-Id"}}"#;
    let project = create(body).unwrap();
    let vault = crate::vault::Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    for (name, fits) in [("x-own", false), ("x-ID", false), ("X-Other", true)] {
        let body = json!({"name": "e", "url": "https://example.com/", "authentication": {"type": "api_key",
            "api_key": {"header_name": name, "header_value": "v"}}});
        let input = parse(body.to_string().as_bytes()).unwrap();
        let made = Endpoint::create(input, "p", false, &vault, 0, &mut |b| b.fill(1)).unwrap().0;
        assert_eq!(project.check_endpoint_header(&made).is_ok(), fits, "{name}");
    }
}

#[test]
fn a_retention_policy_is_one_that_is_enabled() {
    let days = |config: &str| {
        let body = format!(r#"{{"name":"a","type":"incoming","config":{config}}}"#);
        create(&body).map(|project| project.config.retention_policy.days)
    };
    for (config, expect) in [
        (r#"{"retention_policy":{"policy":"720h"},"is_retention_policy_enabled":true}"#, Ok(30)),
        (r#"{"retention_policy":null,"is_retention_policy_enabled":false}"#, Ok(0)),
        (r#"{"retention_policy":{"policy":""},"is_retention_policy_enabled":false}"#, Ok(0)),
        (
            r#"{"retention_policy":{"policy":"720h"},"is_retention_policy_enabled":false}"#,
            Err(NOT_ENABLED),
        ),
        (r#"{"is_retention_policy_enabled":true}"#, Err("there is no retention_policy")),
    ] {
        let expect = expect.map_err(|why| format!("config.is_retention_policy_enabled:{why}"));
        assert_eq!(days(config), expect, "{config}");
    }
}

#[test]
fn retention_is_shown_in_both_ways_and_what_was_changed_decides() {
    let mut project = create(r#"{"name":"a","type":"outgoing"}"#).unwrap();
    let mut put = |policy: &str| {
        let body = format!(r#"{{"config":{{"retention_policy":{policy}}}}}"#);
        let input = parse(body.as_bytes()).unwrap();
        let done = project.update(input, 1, &mut |b| b.fill(1));
        done.map_err(|error| error.message)
            .map(|()| project.present()["config"]["retention_policy"].clone())
    };
    let shown = |days: u64| Ok(json!({"days": days, "policy": format!("{}h", days * 24)}));
    let error = put(r#"{"policy":"720h","days":1}"#).unwrap_err();
    assert_eq!(
        error,
        "config.retention_policy:days say 1 and policy says 30 days; give one of them"
    );
    assert_eq!(put(r#"{"policy":"720h"}"#), shown(30));
    assert_eq!(put(r#"{"policy":"720h","days":30}"#), shown(30));
    assert_eq!(put(r#"{"policy":"48h","days":30}"#), shown(2));
    assert_eq!(put(r#"{"policy":"48h","days":7}"#), shown(7));
    assert_eq!(put(r#"{"policy":"","days":0}"#), Ok(json!({"days": 0, "policy": ""})));
}
