use super::*;
use crate::api::parse;

fn vault() -> Vault {
    Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
}

fn create(body: &str) -> Result<(Endpoint, String), String> {
    let input = parse(body.as_bytes()).map_err(|error| error.message)?;
    Endpoint::create(input, "p", false, &vault(), 0, &mut |b| b.fill(5))
        .map_err(|error| error.message)
}

#[test]
fn an_endpoint_that_is_created_disabled_begins_paused() {
    let status = |flag: &str| {
        let body = format!(r#"{{"name":"a","url":"https://example.com/","is_disabled":{flag}}}"#);
        create(&body).unwrap().0.status
    };
    assert_eq!((status("true"), status("false")), (Status::Paused, Status::Active));
    let (mut active, _) = create(r#"{"name":"a","url":"https://example.com/"}"#).unwrap();
    let input = parse(br#"{"is_disabled":true}"#).unwrap();
    let error = active.update(input, false, &vault(), 0, &mut |b| b.fill(5)).unwrap_err().message;
    assert!(error.starts_with("is_disabled: an endpoint is taken out of use by PUT"), "{error}");
}

#[test]
fn the_secret_is_shown_once_and_masked_after() {
    let (endpoint, secret) = create(r#"{"name":"a","url":"https://example.com/"}"#).unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(endpoint.present_created(&secret)["secrets"][0]["value"], secret);
    assert!(!endpoint.present().to_string().contains(&secret));
    assert_eq!(endpoint.open_secrets(&vault(), 0).unwrap()[0].expose(), secret.as_bytes());
}

#[test]
fn an_exchanged_secret_goes_on_signing_until_its_end() {
    let (mut endpoint, first) = create(r#"{"name":"a","url":"https://example.com/"}"#).unwrap();
    let input = parse(br#"{"expiration":1}"#).unwrap();
    let second = endpoint.expire_secret(input, &vault(), 10, &mut |b| b.fill(6)).unwrap();
    let signing = |endpoint: &Endpoint, now| -> Vec<Vec<u8>> {
        let secrets = endpoint.open_secrets(&vault(), now).unwrap();
        secrets.iter().map(|secret| secret.expose().to_vec()).collect()
    };
    assert_eq!(signing(&endpoint, 3_600_009), [first.as_bytes(), second.as_bytes()]);
    assert_eq!(signing(&endpoint, 3_600_010), [second.as_bytes()]);
    let shown = endpoint.present_exchanged(&second);
    assert_eq!(shown["secrets"][1]["value"], second);
    assert!(!shown.to_string().contains(&first));
    let input = parse(br#"{"expiration":9999999}"#).unwrap();
    assert!(endpoint.expire_secret(input, &vault(), 20, &mut |b| b.fill(7)).is_err());
}

#[test]
fn no_secret_ends_before_its_time_unless_somebody_says_so() {
    const DAY: u64 = 24 * 3_600_000;
    let (mut endpoint, _) = create(r#"{"name":"a","url":"https://example.com/"}"#).unwrap();
    let exchange = |endpoint: &mut Endpoint, now: u64, hours: u64| {
        let input = parse(format!(r#"{{"expiration":{hours}}}"#).as_bytes()).unwrap();
        endpoint.expire_secret(input, &vault(), now, &mut |b| b.fill(7)).map_err(|e| e.message)
    };
    let signing = |endpoint: &Endpoint, now| endpoint.open_secrets(&vault(), now).unwrap().len();
    for now in 1..5 {
        exchange(&mut endpoint, now, 24).unwrap();
    }
    let before = endpoint.present();
    for hours in [24, 1] {
        let error = exchange(&mut endpoint, 5, hours).unwrap_err();
        assert!(error.contains("the first of them ends at 1970-01-02T00:00:00.001Z"), "{error}");
        assert!(error.contains(r#""expiration": 0"#), "{error}");
    }
    assert_eq!(endpoint.present(), before);
    assert_eq!((signing(&endpoint, DAY), signing(&endpoint, DAY + 1)), (5, 4));

    let mut later = endpoint.clone();
    exchange(&mut later, DAY + 1, 24).unwrap();
    assert_eq!(signing(&later, DAY + 1), 5);

    // Who says nothing ends the newest, which had been granted no time yet.
    let mut silent = endpoint.clone();
    let ends = |endpoint: &Endpoint| endpoint.secrets.iter().map(|one| one.expires_at).collect();
    let granted: Vec<_> = ends(&endpoint);
    let input = parse(b"{}").unwrap();
    silent.expire_secret(input, &vault(), 6, &mut |b| b.fill(8)).unwrap();
    let left: Vec<_> = ends(&silent);
    assert_eq!((&left[..4], left[4]), (&granted[..4], None));

    let mut shorter = endpoint.clone();
    exchange(&mut shorter, DAY + 1, 1).unwrap();
    assert_eq!((signing(&shorter, DAY + 3), signing(&shorter, DAY + 1 + 3_600_000)), (3, 1));

    exchange(&mut endpoint, 6, 0).unwrap();
    assert_eq!((endpoint.secrets.len(), signing(&endpoint, 6)), (5, 1));
}

#[test]
fn a_secret_keeps_the_time_that_it_was_granted() {
    const HOUR: u64 = 3_600_000;
    for (body, first_ends, second_ends) in [
        ("{}", 24 * HOUR, 1),
        (r#"{"expiration":1}"#, 24 * HOUR, HOUR + 1),
        (r#"{"expiration":48}"#, 24 * HOUR, 48 * HOUR + 1),
        (r#"{"expiration":0}"#, 1, 1),
    ] {
        let (mut endpoint, _) = create(r#"{"name":"a","url":"https://example.com/"}"#).unwrap();
        for (body, now) in [(r#"{"expiration":24}"#, 0), (body, 1)] {
            let input = parse(body.as_bytes()).unwrap();
            endpoint.expire_secret(input, &vault(), now, &mut |b| b.fill(6)).unwrap();
        }
        let ends: Vec<_> = endpoint.secrets.iter().map(|secret| secret.expires_at).collect();
        assert_eq!(ends, [Some(first_ends), Some(second_ends), None], "{body}");
    }
}

#[test]
fn an_endpoint_is_paused_activated_and_updated_in_convoys_words() {
    let (mut endpoint, secret) = create(r#"{"name":"a","url":"https://example.com/"}"#).unwrap();
    assert!(endpoint.activate(1).unwrap_err().message.contains("does not support activation"));
    endpoint.toggle_pause(1).unwrap();
    assert_eq!(endpoint.status, Status::Paused);
    endpoint.activate(1).unwrap();
    endpoint.status = Status::Inactive;
    assert!(endpoint.toggle_pause(1).unwrap_err().message.contains("does not support pausing"));
    let mut update = |body: &str| {
        let input = parse(body.as_bytes()).map_err(|error: ApiError| error)?;
        endpoint.update(input, false, &vault(), 2, &mut |b| b.fill(8))
    };
    update(r#"{"name":"b","http_timeout":7}"#).unwrap();
    // As clients that write the whole object do.
    update(&json!({"secret": secret}).to_string()).unwrap();
    for (body, expect) in [
        (r#"{"name":" "}"#, "name:please provide"),
        (r#"{"url":"http://127.0.0.1/"}"#, "loopback"),
        (r#"{"http_timeout":61}"#, "at most 60"),
        (r#"{"secret":"another-secret"}"#, "expire_secret"),
        (r#"{"rate_limit":5}"#, "rate_limit_duration:from 1 to"),
        (r#"{"rate_limit":5000000,"rate_limit_duration":1}"#, "rate_limit:at most"),
        (r#"{"content_type":"text/xml"}"#, "content_type:either"),
        (
            r#"{"mtls_client_cert":{"client_cert":"x"}}"#,
            "mtls_client_cert is not supported: a Worker",
        ),
        (r#"{"slack_webhook_url":"https://x"}"#, "slack_webhook_url is not supported yet"),
    ] {
        let error = update(body).unwrap_err().message;
        assert!(error.contains(expect), "{body}: {error}");
    }
    assert_eq!((endpoint.name.as_str(), endpoint.http_timeout), ("b", 7));
    assert_eq!(endpoint.url, "https://example.com/", "what is not given stays");
    let mut update = |body: &str| {
        let input = parse(body.as_bytes()).unwrap();
        endpoint.update(input, false, &vault(), 3, &mut |b| b.fill(8)).unwrap();
        endpoint.present()
    };
    let shown = update(r#"{"rate_limit":5,"rate_limit_duration":2,"slack_webhook_url":""}"#);
    assert_eq!((&shown["rate_limit"], &shown["rate_limit_duration"]), (&json!(5), &json!(2)));
    assert_eq!(update(r#"{"rate_limit":7}"#)["rate_limit_duration"], 2);
    assert_eq!(update(r#"{"rate_limit":0}"#)["rate_limit_duration"], 0);
    let form = r#"{"content_type":"application/x-www-form-urlencoded"}"#;
    assert_eq!(update(form)["content_type"], "application/x-www-form-urlencoded");
}

#[test]
fn both_spellings_of_name_and_url_are_read() {
    let (endpoint, _) = create(r#"{"title":"a","target_url":"https://example.com/x"}"#).unwrap();
    assert_eq!((endpoint.name.as_str(), endpoint.url.as_str()), ("a", "https://example.com/x"));
}

#[test]
fn an_endpoint_that_cannot_work_is_refused() {
    let check = |body: &str, expect: &str| {
        let error = create(body).unwrap_err();
        assert!(error.contains(expect), "{body}: {error}");
    };
    check("{}", "name:please provide");
    check(r#"{"name":"a","url":"https://example.com","secret":"whsec_"}"#, "at least 16 bytes");
    check(
        &format!(r#"{{"name":"{}","url":"https://example.com"}}"#, "x".repeat(300)),
        "name:at most 256",
    );
    check(r#"{"name":"a"}"#, "please provide the endpoint url");
    check(r#"{"name":"a","url":"http://127.0.0.1/"}"#, "is a loopback address");
    check(r#"{"name":"a","url":"http://8.8.8.8:80/"}"#, "calls no bare IP address");
    check(r#"{"name":"a","url":"gopher://example.com"}"#, "invalid endpoint scheme");
    check(r#"{"name":"a","url":"https://example.com","secret":"0000"}"#, "all zeros");
    check(r#"{"name":"a","url":"https://example.com","http_timeout":900}"#, "at most 60 seconds");
    check(r#"{"name":5}"#, "incorrect JSON type");
}

#[test]
fn a_secret_that_is_kept_goes_to_no_other_server() {
    let (endpoint, _) = create(
        r#"{"name":"e","url":"https://a.example.com/x","authentication":{"type":"api_key","api_key":{"header_name":"X-Key","header_value":"a-long-enough-key"}}}"#,
    )
    .unwrap();
    let update = |body: &str| {
        let mut endpoint = endpoint.clone();
        let input = parse(body.as_bytes()).unwrap();
        endpoint
            .update(input, false, &vault(), 9, &mut |b| b.fill(4))
            .map_err(|error| error.message)
    };
    let with = |url: &str, value: &str| {
        format!(
            r#"{{"url":"{url}","authentication":{{"type":"api_key","api_key":{{"header_name":"X-Key","header_value":"{value}"}}}}}}"#
        )
    };
    for body in [
        r#"{"url":"https://b.example.com/x"}"#.to_owned(),
        with("https://b.example.com/x", "********-key"),
        with("http://a.example.com/x", "********-key"),
    ] {
        let error = update(&body).unwrap_err();
        assert!(error.contains("url:is on another server"), "{body}: {error}");
    }
    for body in [
        with("https://b.example.com/x", "another-long-key"),
        with("https://a.example.com/y", "********-key"),
        r#"{"url":"https://a.example.com/y"}"#.to_owned(),
        r#"{"url":"https://b.example.com/x","authentication":{"type":""}}"#.to_owned(),
    ] {
        update(&body).unwrap();
    }
}

#[test]
fn a_bare_address_that_is_stored_is_in_nobodys_way() {
    let (mut endpoint, _) = create(r#"{"name":"e","url":"https://a.example.com"}"#).unwrap();
    endpoint.url = "http://8.8.8.8/x".into();
    let mut put = |body: &str| {
        let input = parse(body.as_bytes()).unwrap();
        endpoint.update(input, false, &vault(), 9, &mut |b| b.fill(4)).map_err(|e| e.message)
    };
    put(r#"{"name":"f","url":" http://8.8.8.8/x"}"#).unwrap();
    assert!(put(r#"{"url":"http://8.8.8.8/y"}"#).unwrap_err().contains("bare IP address"));
}

#[test]
fn the_name_of_an_owner_has_no_space_around_it() {
    let (mut endpoint, _) =
        create(r#"{"name":"e","url":"https://a.example.com","owner_id":" ann "}"#).unwrap();
    assert_eq!(endpoint.owner_id, "ann");
    let input = parse(br#"{"owner_id":"  bob "}"#).unwrap();
    endpoint.update(input, false, &vault(), 9, &mut |b| b.fill(4)).unwrap();
    assert_eq!(endpoint.owner_id, "bob");
}

#[test]
fn a_status_is_not_changed_by_an_update() {
    let (mut endpoint, _) = create(r#"{"name":"a","url":"https://example.com/"}"#).unwrap();
    let mut put = |body: &str| {
        let input = parse(body.as_bytes()).unwrap();
        endpoint.update(input, false, &vault(), 0, &mut |b| b.fill(5)).map_err(|e| e.message)
    };
    let error = put(r#"{"status":"paused"}"#).unwrap_err();
    assert!(error.starts_with("status:is not changed to \"paused\" by this call"), "{error}");
    for same in [r#"{"status":"active"}"#, r#"{"status":""}"#, r#"{"status":null}"#] {
        put(same).unwrap();
    }
}
