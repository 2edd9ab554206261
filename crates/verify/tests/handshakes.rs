//! Questions about the endpoint.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

mod support;

use inlet_verify::{Handshake, Headers, Question, Request, acknowledge, catalogue, confirmation};
use support::{NOW, mac, to};

#[expect(clippy::unnecessary_wraps, reason = "compares with what answers or does not")]
fn text(status: u16, body: &str) -> Option<(u16, String)> {
    Some((status, body.to_owned()))
}

#[test]
fn hub_challenges() {
    let ask = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=open%20sesame";
    for name in ["meta", "whatsapp", "instagram"] {
        let meta = to(name).secrets(&["app secret", "verify_token:open sesame"]).get(ask);
        assert_eq!(meta.answer(), text(200, "1158201444"));
        let wrong = to(name).secrets(&["app secret", "verify_token:other"]).get(ask);
        assert_eq!(wrong.answer(), text(403, "refused"));
    }
    let strava = to("strava").secret("open sesame").get(ask);
    assert_eq!(strava.answer(), text(200, r#"{"hub.challenge":"1158201444"}"#));
    let open = "hub.mode=unsubscribe&hub.topic=https%3A%2F%2Fexample.com%2Ffeed&hub.challenge=c";
    for name in ["websub", "youtube"] {
        assert_eq!(to(name).get(open).answer(), text(200, "c"));
        assert_eq!(to(name).get("hub.mode=denied&hub.topic=x&hub.challenge=c").answer(), None);
    }
}

/// The token of a question travels in URLs, so it may not become a key.
#[test]
fn a_verify_token_signs_nothing() {
    let forged = format!("sha256={}", mac("verify_token:open sesame", "{}"));
    let sent = to("meta").secrets(&["app secret", "verify_token:open sesame"]);
    assert_eq!(sent.header("x-hub-signature-256", &forged).label(), "signature");
}

#[test]
fn hmac_challenges() {
    let x = to("x").get("crc_token=foo&nonce=bar").answer().unwrap();
    assert!(x.1.starts_with(r#"{"response_token":"sha256="#), "{x:?}");
    let linkedin = to("linkedin").get("challengeCode=890e4665-4dfe").answer();
    let response = mac("hush", "890e4665-4dfe");
    let want = format!(r#"{{"challengeCode":"890e4665-4dfe","challengeResponse":"{response}"}}"#);
    assert_eq!(linkedin, text(200, &want));
    let body = r#"{"eventName":"verify","payload":{"challenge":"abc"}}"#;
    let want = format!(r#"{{"challenge":"{}"}}"#, mac("hush", "abc"));
    assert_eq!(to("smartcar").body(body).answer(), text(200, &want));
    let body = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}"#;
    let want = format!(r#"{{"plainToken":"abc","encryptedToken":"{}"}}"#, mac("hush", "abc"));
    assert_eq!(to("zoom").body(body).answer(), text(200, &want));
}

/// Whoever may choose what we sign would choose an event.
#[test]
fn no_challenge_is_a_forgery() {
    let event = r#"{"for_user_id":"1"}"#;
    let encoded = "%7B%22for_user_id%22%3A%221%22%7D";
    assert_eq!(to("x").get(&format!("crc_token={encoded}")).answer(), text(403, "refused"));
    let asked = format!("challengeCode=hmacsha256%3D{encoded}");
    assert_eq!(to("linkedin").get(&asked).answer(), text(403, "refused"));
    let stolen = format!("v0:{NOW}:{event}").replace('"', "\\\"");
    let body =
        format!(r#"{{"event":"endpoint.url_validation","payload":{{"plainToken":"{stolen}"}}}}"#);
    assert_eq!(to("zoom").body(body).answer(), text(403, "refused"));
    let body = r#"{"eventName":"verify","payload":{"challenge":"{\"a\":1}"}}"#;
    assert_eq!(to("smartcar").body(body).answer(), text(403, "refused"));
    let braintree = to("braintree").secret("public:private").get("bt_challenge=cGF5bG9hZA");
    assert_eq!(braintree.answer(), text(403, "refused"));
}

/// Nor an event that is a challenge: what we answer is a signature of it.
#[test]
fn no_answer_is_a_signature_of_an_event() {
    for challenge in ["12345", "true", "1e5", "abc", "a.b/c+d=="] {
        let mac = mac("hush", challenge);
        let refused = text(403, "refused");
        let base64 = inlet_verify::Encoding::Base64.encode(&hex::decode(&mac).unwrap());
        let x = to("x").header("x-twitter-webhooks-signature", &format!("sha256={base64}"));
        assert_eq!(x.body(challenge).answer(), refused, "{challenge}");
        let linkedin = to("linkedin").header("x-li-signature", &mac).body(challenge);
        assert_eq!(linkedin.answer(), refused, "{challenge}");
        let smartcar = to("smartcar").header("sc-signature", &mac).body(challenge);
        assert_eq!(smartcar.answer(), refused, "{challenge}");
    }
    let code = "20f9f8ed05f77439fe955c977e4c8a53";
    let asked = to("braintree").secret("public:private").get(&format!("bt_challenge={code}"));
    let (_, answer) = asked.answer().unwrap();
    let body = format!("bt_signature={answer}&bt_payload={code}").replace('|', "%7C");
    let form = "application/x-www-form-urlencoded";
    let sent = to("braintree").secret("public:private").header("content-type", form).body(body);
    assert_eq!(sent.answer(), text(403, "refused"));
}

#[test]
fn xero_asks_whether_the_secret_is_right() {
    let body = r#"{"events": [ ],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0m3r4Nd0mt3xt"}"#;
    let sign = |key: &str| {
        let mac = hex::decode(mac(key, body)).unwrap();
        inlet_verify::Encoding::Base64.encode(&mac)
    };
    let right = to("xero").body(body).header("x-xero-signature", &sign("hush"));
    assert_eq!(right.answer(), text(200, ""));
    let wrong = to("xero").body(body).header("x-xero-signature", &sign("other"));
    assert!(wrong.ask().is_none() && wrong.verify().is_err());
}

/// LINE's button and Asana's heartbeat: <https://developers.line.biz/ja/docs/messaging-api/verify-webhook-url/>,
/// <https://developers.asana.com/docs/webhook-heartbeat-events>.
#[test]
fn what_brings_no_events_is_no_event() {
    let body = r#"{"destination":"d","events":[]}"#;
    let line = |body: &str, key: &str| {
        let mac = hex::decode(mac(key, body)).unwrap();
        let signature = inlet_verify::Encoding::Base64.encode(&mac);
        to("line").body(body).header("x-line-signature", &signature)
    };
    assert_eq!(line(body, "hush").answer(), text(200, ""));
    assert!(line(body, "other").ask().is_none());
    assert!(line(r#"{"events":[{"type":"message"}]}"#, "hush").ask().is_none());
    let asana = |key: &str| {
        to("asana")
            .body(r#"{"events":[]}"#)
            .header("x-hook-signature", &mac(key, r#"{"events":[]}"#))
    };
    assert_eq!(asana("hush").answer(), text(200, ""));
    assert!(asana("other").ask().is_none());
}

#[test]
fn digest_challenges() {
    let ebay = to("ebay").secret("verify_token:token").get("challenge_code=code").answer().unwrap();
    let want = hex::encode(inlet_verify::digest(
        inlet_verify::Hash::Sha256,
        &[b"code", b"token", support::URL.as_bytes()],
    ));
    assert_eq!(ebay.1, format!(r#"{{"challengeResponse":"{want}"}}"#));
}

#[test]
fn echoes() {
    for (name, query, want) in [
        ("dropbox", "challenge=a%2Bb", "a+b"),
        ("nylas", "challenge=abc", "abc"),
        ("onfleet", "check=abc", "abc"),
    ] {
        let sent = to(name).get(query);
        assert_eq!(sent.answer(), text(200, want), "{name}");
        assert_eq!(sent.answer_header("x-content-type-options").as_deref(), Some("nosniff"));
    }
    let graph = to("ms_graph").query("validationToken=Validation%3A+a%26b");
    assert_eq!(graph.answer(), text(200, "Validation: a&b"));
    assert_eq!(
        to("dropbox").get(&format!("challenge={}", "a".repeat(9999))).answer(),
        text(403, "refused")
    );
}

#[test]
fn tokens_in_questions() {
    let fitbit = |query: &str| to("fitbit").secrets(&["key", "verify_token:t"]).get(query).answer();
    assert_eq!(fitbit("verify=t"), text(204, ""));
    assert_eq!(fitbit("verify=key"), text(404, ""));
    let oura = to("oura").secret("t").get("verification_token=t&challenge=c").answer();
    assert_eq!(oura, text(200, r#"{"challenge":"c"}"#));
    let oura = to("oura").secret("t").get("verification_token=x&challenge=c").answer();
    assert_eq!(oura, text(403, "refused"));
    let okta = to("okta").get("").header("X-Okta-Verification-Challenge", "a\"b").answer();
    assert_eq!(okta, text(200, r#"{"verification":"a\"b"}"#));
}

#[test]
fn slack_is_answered_only_when_it_signs() {
    let body = r#"{"type":"url_verification","challenge":"c"}"#;
    let signature = format!("v0={}", mac("hush", &format!("v0:{NOW}:{body}")));
    let signed = to("slack")
        .body(body)
        .header("x-slack-request-timestamp", &NOW.to_string())
        .header("x-slack-signature", &signature);
    assert_eq!(signed.answer(), text(200, "c"));
    assert_eq!(to("slack").body(body).answer(), None);
}

#[test]
fn zoom_is_not_answered_when_it_signs_wrongly() {
    let body = r#"{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}"#;
    let sent = |key: &str| {
        let signature = format!("v0={}", mac(key, &format!("v0:{NOW}:{body}")));
        to("zoom")
            .body(body)
            .header("x-zm-request-timestamp", &NOW.to_string())
            .header("x-zm-signature", &signature)
            .answer()
    };
    assert_eq!(sent("hush").unwrap().0, 200);
    assert_eq!(sent("other"), None);
}

#[test]
fn json_challenges() {
    assert_eq!(
        to("monday").body(r#"{"challenge":"c"}"#).answer(),
        text(200, r#"{"challenge":"c"}"#)
    );
    assert_eq!(to("monday").body(r#"{"challenge":"c","type":"x"}"#).answer(), None);
    let body = r#"[{"data":{"validationCode":"512d"}}]"#;
    let grid = to("azure_event_grid").header("aeg-event-type", "SubscriptionValidation").body(body);
    assert_eq!(grid.answer(), text(200, r#"{"validationResponse":"512d"}"#));
}

#[test]
fn twitch_callback() {
    let (time, body) = ("2023-11-14T22:13:20Z", r#"{"challenge":"pogchamp"}"#);
    let sent = |key: &str| {
        to("twitch")
            .body(body)
            .header("twitch-eventsub-message-id", "m")
            .header("twitch-eventsub-message-timestamp", time)
            .header("twitch-eventsub-message-type", "webhook_callback_verification")
            .header(
                "twitch-eventsub-message-signature",
                &format!("sha256={}", mac(key, &format!("m{time}{body}"))),
            )
            .answer()
    };
    assert_eq!(sent("hush"), text(200, "pogchamp"));
    assert_eq!(sent("other"), None);
}

#[test]
fn cloud_events_ask_for_permission() {
    for name in ["cloudevents_http", "azure_event_grid"] {
        let sent =
            to(name).method("OPTIONS").header("WebHook-Request-Origin", "eventemitter.example.com");
        assert_eq!(
            sent.answer_header("webhook-allowed-origin").as_deref(),
            Some("eventemitter.example.com")
        );
        assert_eq!(sent.answer_header("webhook-allowed-rate").as_deref(), Some("*"));
    }
    let injected =
        to("cloudevents_http").method("OPTIONS").header("webhook-request-origin", "a\r\nb: c");
    assert!(injected.ask().is_none());
}

/// Nothing proves who sends a secret to come, so it never replaces one.
#[test]
fn secrets_to_come() {
    for name in ["asana", "clio", "zoho_mail"] {
        let first = to(name).secrets(&[]).header("X-Hook-Secret", "s3cret");
        let Some(Handshake::Capture { secret, status: 200, .. }) = first.ask() else {
            panic!("{name}")
        };
        assert_eq!(secret.expose(), b"s3cret");
        assert_eq!(first.answer_header("x-hook-secret").as_deref(), Some("s3cret"));
        let hijack = to(name).header("X-Hook-Secret", "s3cret");
        assert_eq!(hijack.answer(), text(403, "refused"));
        let again = to(name).secret("s3cret").header("X-Hook-Secret", "s3cret");
        assert_eq!(again.answer(), text(200, ""));
    }
    let body = r#"{"verification_token":"secret_x"}"#;
    assert_eq!(to("notion").secrets(&[]).body(body).answer(), text(200, "captured"));
    assert_eq!(to("notion").body(body).answer(), text(403, "refused"));
}

#[test]
fn header_echoes() {
    let sent = to("ringcentral").header("Validation-Token", "v");
    assert_eq!(sent.answer_header("validation-token").as_deref(), Some("v"));
    let sent = to("smartsheet").header("Smartsheet-Hook-Challenge", "v");
    assert_eq!(sent.answer(), text(200, r#"{"smartsheetHookResponse":"v"}"#));
    assert_eq!(to("front").header("X-Front-Challenge", "v").answer(), text(200, "v"));
    let sent = to("adobe_sign").secret("client").get("").header("X-AdobeSign-ClientId", "client");
    assert_eq!(sent.answer_header("x-adobesign-clientid").as_deref(), Some("client"));
    let sent = to("adobe_sign").get("").header("X-AdobeSign-ClientId", "client");
    assert_eq!(sent.answer(), text(403, "refused"));
}

#[test]
fn discord_pings_are_answered_only_when_signed() {
    let bad = to("discord")
        .secret("cd92d5c447c6ae1bfe280f01612670306150136297d5cde3010f53a7eac57937")
        .body(r#"{"type":1}"#)
        .header("x-signature-timestamp", &NOW.to_string())
        .header("x-signature-ed25519", &"00".repeat(64));
    assert!(bad.ask().is_none());
    assert_eq!(bad.label(), "signature");
    assert_eq!(catalogue::find("discord").unwrap().failure_status, 401);
}

#[test]
fn an_event_of_discord_is_no_ping() {
    // Made with `vectors/make.py`'s key, `ED_KEY`.
    let ask = |body: &str, signature: &str| {
        to("discord")
            .secret("119c4d9c5e5d3ae173bfab934a058068abfc3d23a5bee3aaef705f1c0ac00f8d")
            .body(body)
            .header("x-signature-timestamp", &NOW.to_string())
            .header("x-signature-ed25519", signature)
    };
    for (body, signature, want) in [
        (
            r#"{"type":1}"#,
            "3a9d40eedb058bb475d1bbff6ed05559f6c9d6b37360c624dede4c66507df65944e0d66dcb6fed528c6759761f20e301dc46576d7d745e007ae2426ec1c22c08",
            text(200, r#"{"type":1}"#),
        ),
        (
            r#"{"type":0}"#,
            "6a3d161e232417f88279b69cf8d47da2969a0d905a1e5cd67cfc77380d69ec2f7d1640356895f183a20d6ed8ade48bb27bf7fab809a5c41cded93bf964c29300",
            text(204, ""),
        ),
        (
            r#"{"type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}"#,
            "f46b48284d7b4f5de863b25aa522e8b4c4fd9593327e101ff09c90bc42bd517f136beac64c2c6f3c66c453091c488540b4a5917fe2632c54cf2e572957a3f504",
            None,
        ),
    ] {
        assert_eq!(ask(body, signature).answer(), want, "{body}");
        assert_eq!(ask(body, signature).label(), "ok", "{body}");
    }
}

#[test]
fn vercels_header_is_answered_with_the_token() {
    let vercel = || to("vercel").secrets(&["hush", "verify_token:theirs"]);
    assert_eq!(vercel().get("").answer_header("x-vercel-verify").as_deref(), Some("theirs"));
    assert_eq!(to("vercel").get("").answer(), None);
    for nothing in ["", "[]", "{}\n"] {
        let sent = vercel().body(nothing);
        assert_eq!(sent.answer_header("x-vercel-verify").as_deref(), Some("theirs"), "{nothing}");
    }
    assert_eq!(vercel().body(r#"[{"id":"1"}]"#).answer(), None, "an event has to be signed");
    let secrets = [support::secret("hush"), support::secret("verify_token:theirs")];
    let headers = Headers::default();
    let request = Request { method: "POST", url: "https://x/", headers: &headers, body: b"{}" };
    let reply = acknowledge(catalogue::find("vercel").unwrap(), &secrets, &request).unwrap();
    assert_eq!(reply.headers, [("x-vercel-verify", "theirs".to_owned())]);
}

#[test]
fn is_anybody_there() {
    for name in ["trello", "mailchimp", "mandrill", "intercom", "zoho_desk"] {
        assert_eq!(to(name).get("").answer(), text(200, ""), "{name}");
        assert_eq!(to(name).method("HEAD").body("").answer(), text(200, ""), "{name}");
        assert_eq!(to(name).body("{}").answer(), None, "{name}");
    }
}

#[test]
fn bandwidth_asks_first() {
    let sent = to("bandwidth");
    assert_eq!(sent.answer(), text(401, ""));
    assert!(sent.answer_header("www-authenticate").unwrap().starts_with("Basic"));
    assert!(to("bandwidth").header("authorization", "Basic x").ask().is_none());
}

#[test]
fn tests_and_notices() {
    assert_eq!(to("daily").body(r#"{"test":"test"}"#).answer(), text(200, ""));
    assert_eq!(to("woocommerce").body("webhook_id=7").answer(), text(200, ""));
    assert_eq!(to("woocommerce").body("webhook_id=7&a=b").answer(), None);
    let sync = |token: &str| {
        to("google_channel")
            .header("x-goog-resource-state", "sync")
            .header("x-goog-channel-token", token)
    };
    assert_eq!(sync("hush").answer(), text(200, ""));
    assert_eq!(sync("other").answer(), None);
    let body = r#"{"id":"1","type":"validation.webhook"}"#;
    let hash = hex::encode(inlet_verify::digest(inlet_verify::Hash::Sha256, &[body.as_bytes()]));
    let tebex = to("tebex").body(body).header("x-signature", &mac("hush", &hash));
    assert_eq!(tebex.answer(), text(200, r#"{"id":"1"}"#));
}

#[test]
fn xero_and_ebay_name_their_failure() {
    for (name, status) in [("xero", 401), ("ebay", 412), ("gocardless", 498), ("github", 401)] {
        assert_eq!(catalogue::find(name).unwrap().failure_status, status, "{name}");
    }
}

#[test]
fn deliveries_are_no_questions() {
    for row in catalogue::all() {
        let body = r#"{"id":"1","type":"order.created","event":"order.created"}"#;
        let sent = to(row.name).header("authorization", "Basic x").body(body);
        assert!(sent.ask().is_none(), "{}", row.name);
    }
}

#[test]
fn every_question_is_asked_by_somebody() {
    let asked: Vec<Question> =
        catalogue::all().iter().flat_map(|row| row.questions.iter().copied()).collect();
    assert!(
        28 <= {
            let mut kinds: Vec<_> = asked.iter().map(|question| format!("{question:?}")).collect();
            kinds.sort();
            kinds.dedup();
            kinds.len()
        }
    );
}

fn request<'a>(headers: &'a Headers, body: &'a [u8]) -> Request<'a> {
    Request { method: "POST", url: "https://example.com/", headers, body }
}

/// What the provider wants to read: row, body of the event, status, content type, body. Everybody else takes any 2xx.
#[test]
fn acknowledgements() {
    let table = [
        ("adyen", "{}", 200, "text/plain", "[accepted]"),
        ("alipay", "", 200, "text/plain", "success"),
        ("bandwidth", r#"{"eventType":"answer"}"#, 200, "text/xml", "<Response/>"),
        ("discord", r#"{"type":2}"#, 200, "application/json", r#"{"type":5}"#),
        ("discord", r#"{"type":1,"event":{"type":"X"}}"#, 204, "text/plain", ""),
        ("dropbox_sign", "", 200, "text/plain", "Hello API Event Received"),
        (
            "ms_teams_outgoing",
            "{}",
            200,
            "application/json",
            r#"{"type":"message","text":"Received"}"#,
        ),
        ("plivo_v2", "", 200, "text/xml", "<Response/>"),
        ("plivo_v3", "", 200, "text/xml", "<Response/>"),
        ("signalwire", "", 200, "text/xml", "<Response/>"),
        ("twilio", "", 200, "text/xml", "<Response/>"),
        ("vonage", r#"{"status":"ringing"}"#, 200, "application/json", "[]"),
    ];
    let headers = support::headers(&[("x-adobesign-clientid", "client")]);
    let reply = |name: &str, body: &str| {
        acknowledge(catalogue::find(name).unwrap(), &[], &request(&headers, body.as_bytes()))
    };
    for (name, event, status, content_type, body) in table {
        let reply = reply(name, event).unwrap();
        let got = (reply.status, reply.content_type, std::str::from_utf8(&reply.body).unwrap());
        assert_eq!(got, (status, content_type, body), "{name}");
    }
    let soap = reply("salesforce_om", "").unwrap();
    assert_eq!(soap.content_type, "text/xml");
    assert!(String::from_utf8(soap.body).unwrap().contains("<Ack>true</Ack>"));
    let adobe = reply("adobe_sign", "").unwrap();
    assert_eq!(adobe.headers, [("x-adobesign-clientid", "client".to_owned())]);
    let particular = catalogue::all().iter().filter(|row| reply(row.name, "").is_some());
    let mut rest: Vec<_> = particular.map(|row| row.name).collect();
    rest.retain(|name| table.iter().all(|(have, ..)| have != name));
    assert_eq!(rest, ["adobe_sign", "salesforce_om"]);
    // A text in an answer is shown to whoever typed the command; of Xero any body is a failure.
    for row in catalogue::all() {
        assert_eq!(row.silent, ["slack", "xero"].contains(&row.name), "{}", row.name);
    }
}

#[test]
fn subscriptions_are_confirmed_only_at_amazon() {
    let sns = catalogue::find("aws_sns").unwrap();
    let headers = Headers::default();
    let url = |url: &str| {
        let body = format!(r#"{{"Type":"SubscriptionConfirmation","SubscribeURL":"{url}"}}"#);
        confirmation(sns, &request(&headers, body.as_bytes()))
    };
    assert!(url("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription").is_some());
    assert!(url("https://sns.cn-north-1.amazonaws.com.cn/?a").is_some());
    for wrong in [
        "http://sns.us-west-2.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com.evil.com/",
        "https://evil.com/sns.us-west-2.amazonaws.com",
        "https://sns.evil.com#.amazonaws.com/",
        "https://sns.a.b.amazonaws.com/",
        "https://sns.s3.amazonaws.com/",
        "https://sns.s3-us-west-2.amazonaws.com/",
        "https://x@sns.us-west-2.amazonaws.com/",
    ] {
        assert!(url(wrong).is_none(), "{wrong}");
    }
}
