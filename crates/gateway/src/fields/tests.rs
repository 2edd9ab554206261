use serde_json::json;

use super::*;

#[test]
fn a_name_is_one_line_that_reads_as_it_is_written() {
    for good in ["", "invoice.paid", "Zoë's شركة 公司 👩‍👩‍👧", "a b", "می‌خواهم"]
    {
        assert_eq!(line_fault(good), None, "{good:?}");
    }
    for (bad, expect) in [
        ("a\0b", "2 is U+0000"),
        ("a\n", "2 is U+000A"),
        ("\ta", "1 is U+0009"),
        ("\u{7f}", "1 is U+007F"),
        ("\u{85}", "1 is U+0085"),
        ("üa\u{202e}b", "3 is U+202E"),
        ("\u{2066}a", "1 is U+2066"),
        ("a\u{2028}", "2 is U+2028"),
        ("\u{200f}", "1 is U+200F"),
    ] {
        assert!(line_fault(bad).is_some_and(|fault| fault.contains(expect)), "{bad:?}");
    }
}

#[test]
fn names_are_checked_wherever_they_stand_and_other_texts_are_not() {
    let fields = || {
        let body = json!({"name": "a\n", "description": "a\n", "event_types": ["a", "b\0"], "owner_id": "o"});
        Fields::of("[3]".into(), body).unwrap()
    };
    let message = fields().text("name").unwrap_err().message;
    assert!(message.starts_with("[3].name:one line of text"), "{message}");
    let message = fields().texts("event_types").unwrap_err().message;
    assert!(message.starts_with("[3].event_types:one line of text"), "{message}");
    assert_eq!(fields().text("description").unwrap().as_deref(), Some("a\n"));
    assert_eq!(fields().text("owner_id").unwrap().as_deref(), Some("o"));
}

#[test]
fn slips_are_told_from_other_fields() {
    for (given, meant) in [
        ("verifer", "verifier"),
        ("Verifier", "verifier"),
        ("ip_alowlist", "ip_allowlist"),
        ("isDisabled", "is_disabled"),
        ("is-disabled", "is_disabled"),
        ("is_disbaled", "is_disabled"),
        ("custom_reponses", "custom_response"),
        ("secert", "secret"),
        ("hAsh", "hash"),
        ("mod", "mode"),
        ("tyep", "type"),
    ] {
        assert!(is_slip(given, meant), "{given}");
    }
    for (given, meant) in [
        ("uid", "url"),
        ("mask_id", "name"),
        ("secrets", "secret"),
        ("created_at", "expires_at"),
        ("events", "event_type"),
        ("header_name", "header_value"),
        ("", "name"),
    ] {
        assert!(!is_slip(given, meant), "{given}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_misspelt_field_is_refused_wherever_it_stands() {
    use crate::alert::AlertInput;
    use crate::api::parse;
    use crate::api_key::{KeyInput, RegenerateInput};
    use crate::conditions::TestFilter;
    use crate::endpoint::{EndpointInput, ExpireInput};
    use crate::event_type::EventTypeInput;
    use crate::onboard::OnboardInput;
    use crate::portal::PortalLinkInput;
    use crate::project::ProjectInput;
    use crate::source::{ArmInput, SourceInput};
    use crate::subscription::SubscriptionInput;
    use crate::type_filter::FilterInput;

    fn of<T: FromFields>(body: &[u8]) -> Result<(), ApiError> {
        parse::<T>(body).map(drop)
    }
    type Read = fn(&[u8]) -> Result<(), ApiError>;
    let cases: [(Read, &str, &str); 26] = [
        (
            of::<ExpireInput>,
            r#"{"expirations": 5}"#,
            "expirations:unknown field: did you mean expiration?",
        ),
        (
            of::<ExpireInput>,
            r#"{"hours": 5}"#,
            "hours:unknown field: what is read here is expiration, secret",
        ),
        (
            of::<RegenerateInput>,
            r#"{"expire": 5}"#,
            "expire:unknown field: what is read here is expiration",
        ),
        (
            of::<KeyInput>,
            r#"{"name": "a", "expires_att": "x"}"#,
            "expires_att:unknown field: did you mean expires_at?",
        ),
        (
            of::<EventTypeInput>,
            r#"{"name": "a", "json_shema": {}}"#,
            "json_shema:unknown field: did you mean json_schema?",
        ),
        (
            of::<PortalLinkInput>,
            r#"{"can_manage_endpoints": true}"#,
            "can_manage_endpoints:unknown field: did you mean can_manage_endpoint?",
        ),
        (
            of::<SourceInput>,
            r#"{"verifier": {"mod": "observe"}}"#,
            "verifier.mod:unknown field: did you mean mode?",
        ),
        (
            of::<SourceInput>,
            r#"{"verifier": {"hmac": {"secert": "a"}}}"#,
            "verifier.hmac.secert:unknown field: did you mean secret?",
        ),
        (
            of::<SourceInput>,
            r#"{"verifier": {"secrets": [{"value": "a", "expire_at": ""}]}}"#,
            "verifier.secrets[0].expire_at:unknown field: did you mean expires_at?",
        ),
        (
            of::<SourceInput>,
            r#"{"verifier": {"failure_response": {"statuss": 400}}}"#,
            "verifier.failure_response.statuss:unknown field: did you mean status?",
        ),
        (
            of::<SourceInput>,
            r#"{"custom_response": {"contentType": "a"}}"#,
            "custom_response.contentType:unknown field: did you mean content_type?",
        ),
        (
            of::<SourceInput>,
            r#"{"rate_limit": {"count": 5, "seconds": 5}}"#,
            "rate_limit.seconds:unknown field: what is read here is count, duration",
        ),
        (
            of::<SourceInput>,
            r#"{"provider_config": {"sns": {"topic_arm": "a"}}}"#,
            "provider_config.sns.topic_arm:unknown field: did you mean topic_arn?",
        ),
        (
            of::<SubscriptionInput>,
            r#"{"retry_config": {"retries": 5}}"#,
            "retry_config.retries:unknown field: what is read here is duration, interval_seconds, retry_count, type",
        ),
        (
            of::<SubscriptionInput>,
            r#"{"filter_config": {"event_typs": []}}"#,
            "filter_config.event_typs:unknown field: did you mean event_types?",
        ),
        (
            of::<AlertInput>,
            r#"{"count": 5, "treshold": "5s"}"#,
            "treshold:unknown field: did you mean threshold?",
        ),
        (
            of::<ProjectInput>,
            r#"{"name": "a", "confg": {}}"#,
            "confg:unknown field: did you mean config?",
        ),
        (
            of::<ProjectInput>,
            r#"{"config": {"disable_endpont": true}}"#,
            "config.disable_endpont:unknown field: did you mean disable_endpoint?",
        ),
        (
            of::<ProjectInput>,
            r#"{"config": {"circuit_breaker": {"samplerates": 5}}}"#,
            "config.circuit_breaker.samplerates:unknown field: did you mean sample_rate?",
        ),
        (
            of::<ProjectInput>,
            r#"{"config": {"signature": {"versions": [{"encodng": "hex"}]}}}"#,
            "config.signature.versions[0].encodng:unknown field: did you mean encoding?",
        ),
        (
            of::<ProjectInput>,
            r#"{"config": {"meta_event": {"enabled": true}}}"#,
            "config.meta_event.enabled:unknown field: did you mean is_enabled?",
        ),
        (
            of::<OnboardInput>,
            r#"{"items": [{"name": "a", "event_typ": "a"}]}"#,
            "items[0].event_typ:unknown field: did you mean event_type?",
        ),
        (
            of::<FilterInput>,
            r#"{"event_type": "a", "enabled": false}"#,
            "enabled:unknown field: did you mean enabled_at?",
        ),
        (of::<TestFilter>, r#"{"reqest": {}}"#, "reqest:unknown field: did you mean request?"),
        (
            of::<EndpointInput>,
            r#"{"authentication": {"type": "basic_auth", "basic_auth": {"user_name": "a", "pasword": "b"}}}"#,
            "authentication.basic_auth.pasword:unknown field: did you mean password?",
        ),
        (of::<ArmInput>, r#"{"second": 5}"#, "second:unknown field: did you mean seconds?"),
    ];
    for (read, body, expect) in cases {
        assert_eq!(read(body.as_bytes()).unwrap_err().message, expect, "{body}");
    }
}

#[test]
fn what_convoys_clients_send_and_what_answers_show_is_taken() {
    use crate::api::parse;
    use crate::api_key::KeyInput;
    use crate::endpoint::ExpireInput;
    use crate::subscription::SubscriptionInput;

    // Empty fields of a closed object ask for nothing.
    assert!(
        parse::<ExpireInput>(br#"{"expiration": 5, "secret": "", "grace": null, "other": 0}"#)
            .is_ok()
    );
    let key = br#"{"name": "ci", "role": {"type": "admin", "project": "p"}, "key_type": "api_key", "uid": "u"}"#;
    assert!(parse::<KeyInput>(key).is_ok());
    let retry = br#"{"name": "a", "retry_config": {"type": "linear", "duration": 5, "interval_seconds": 5, "retry_count": 3}}"#;
    assert!(parse::<SubscriptionInput>(retry).is_ok());
}
