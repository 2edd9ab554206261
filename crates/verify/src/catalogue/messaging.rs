//! Chat, telephony, social networks, video.

use super::prelude::*;

/// The URL as Twilio may have seen it, and the form.
const TWILIO: Signed<'static> = Signed::hmac1(&[Header("x-twilio-signature")])
    .base64()
    .over(&[
        &[Part::Url(UrlForm::Full), Part::Form],
        &[Part::Url(UrlForm::WithPort), Part::Form],
        &[Part::Url(UrlForm::WithoutPort), Part::Form],
        &[Part::Url(UrlForm::QuotesEscaped), Part::Form],
    ])
    .body_hash(Query("bodySHA256"));

const TWITCH: &[&[Part<'static>]] =
    &[&[Part::At(Header("twitch-eventsub-message-id")), Part::Stamp, Part::Body]];

const MESSAGEBIRD: &[Claim<'static>] = &[
    Claim::UrlHash { name: "url_hash", encoding: Encoding::Hex },
    Claim::BodyIfAny { name: "payload_hash", encoding: Encoding::Hex },
];

/// <https://core.telegram.org/bots/api#setwebhook>
fn is_telegram(secret: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    (1..=256).contains(&secret.len()) && secret.iter().all(plain)
}

const META: &str = "https://developers.facebook.com/docs/graph-api/webhooks/getting-started";

/// Messages and calls, each in a word of their own; SignalWire speaks the same.
const TWILIO_KIND: Location = First(&[
    Form("EventType"),
    Form("MessageStatus"),
    Form("SmsStatus"),
    Form("StatusCallbackEvent"),
    Form("RecordingStatus"),
    Form("CallStatus"),
]);

/// Both versions of the signature are on the same requests.
const PLIVO_ID: Location = All(&[Form("MessageUUID"), First(&[Form("Status"), Form("Type")])]);
const PLIVO_KIND: Location =
    First(&[Form("Status"), Form("Event"), Form("CallStatus"), Form("Type")]);

/// A second try repeats the time, and so does what else happened in that second.
const META_ID: Location = All(&[Body("entry.*.id"), Body("entry.*.time"), Whole]);
const META_KIND: Location = First(&[
    All(&[Body("object"), Body("entry.*.changes.*.field")]),
    All(&[
        Body("object"),
        Key("entry.*.messaging.*", &Keys::Besides(&["recipient", "sender", "timestamp"])),
    ]),
    Body("object"),
]);

const fn meta(provider: Provider) -> Provider {
    provider
        .signed(Signed::hmac256(&[Header("x-hub-signature-256")]).prefix("sha256="))
        .asks(&[Question::Hub])
        .id(META_ID)
        .kind(META_KIND)
        .note("Secrets: the app secret, and verify_token:… for the subscription. Bodies arrive \\uXXXX-escaped.")
}

pub(super) static ROWS: &[Provider] = &[
    Provider::high("slack", "https://api.slack.com/authentication/verifying-requests-from-slack")
        .signed(
            Signed::hmac256(&[Header("x-slack-signature")])
                .several("v0=")
                .over(V0_TIME_BODY)
                .stamp(time("x-slack-request-timestamp"), Unit::Seconds, 300),
        )
        .asks(&[Question::UrlVerification])
        .wants_silence()
        .id(First(&[Body("event_id"), Form("trigger_id"), FormJson("payload", "trigger_id")]))
        .kind(First(&[
            Body("event.type"),
            Body("type"),
            Form("command"),
            FormJson("payload", "type"),
        ])),
    Provider::high("discord", "https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint")
        .signed(
            Signed::public(&[Header("x-signature-ed25519")], Algorithm::Ed25519)
                .encoding(Encoding::Hex)
                .over(TIME_BODY)
                .stamp(time("x-signature-timestamp"), Unit::Seconds, 300),
        )
        .asks(&[Question::Ping])
        .id(First(&[Body("id"), All(&[Body("event.type"), Body("event.timestamp"), Whole])]))
        .kind(First(&[Body("event.type"), Body("type")]))
        .note("Discord probes with wrong signatures and wants 401."),
    Provider::medium("telegram", "https://core.telegram.org/bots/api#setwebhook")
        .token(Header("x-telegram-bot-api-secret-token"), "")
        .secret_like(is_telegram, "has to be 1 to 256 letters, digits, underscores and hyphens")
        .id(Body("update_id"))
        .kind(Key("", &Keys::Besides(&["update_id"]))),
    Provider::high("twilio", "https://www.twilio.com/docs/usage/webhooks/webhooks-security")
        .signed(TWILIO)
        .also_by_get()
        .replies("<Response/>")
        .id(Header("i-twilio-idempotency-token"))
        .kind(TWILIO_KIND)
        .note("JSON bodies are bound by ?bodySHA256=. The port may or may not be signed."),
    Provider::high("twilio_json", "https://www.twilio.com/docs/usage/webhooks/webhooks-security")
        .signed(TWILIO)
        .id(Header("i-twilio-idempotency-token"))
        .kind(First(&[Body("type"), Body("*.type")])),
    Provider::low("signalwire", "https://developer.signalwire.com/compatibility-api/guides/general/how-to-validate-webhooks/")
        .signed(
            Signed::hmac1(&[Header("x-signalwire-signature")]).base64().over(&[
                &[Part::Url(UrlForm::Full), Part::Form],
                &[Part::Url(UrlForm::WithPort), Part::Form],
            ]),
        )
        .also_by_get()
        .replies("<Response/>")
        .id(All(&[Form("MessageSid"), Form("MessageStatus")]))
        .kind(TWILIO_KIND),
    Provider::high("plivo_v3", "https://www.plivo.com/docs/messaging/concepts/signature-validation")
        .signed(
            Signed::hmac256(&[Header("x-plivo-signature-v3")])
                .base64()
                .several("")
                .over(&[&[Part::Custom(crate::custom::plivo)]]),
        )
        .also_by_get()
        .replies("<Response/>")
        .id(PLIVO_ID)
        .kind(PLIVO_KIND),
    Provider::high("plivo_v2", "https://www.plivo.com/docs/messaging/concepts/signature-validation")
        .signed(
            Signed::hmac256(&[Header("x-plivo-signature-v2")])
                .base64()
                .several("")
                .over(&[&[
                    Part::Url(UrlForm::Base),
                    Part::At(Header("x-plivo-signature-v2-nonce")),
                ]]),
        )
        .partial()
        .replies("<Response/>")
        .id(PLIVO_ID)
        .kind(PLIVO_KIND)
        .note("Only the URL is signed."),
    Provider::medium("vonage", "https://developer.vonage.com/en/getting-started/concepts/webhooks")
        .check(Check::Jwt(Jwt {
            max_age: 300,
            ..jwt(
                JwtPlace::Header("authorization", "Bearer "),
                &[JwtAlgorithm::Hs256],
                &[Claim::Body { name: "payload_hash", encoding: Encoding::Hex, required: false }],
            )
        }))
        .partial()
        .replies("[]")
        .id(Place::Claim(&JwtPlace::Header("authorization", "Bearer "), "jti"))
        .kind(First(&[Body("status"), Body("message_type"), Body("type")]))
        .note("The claim that binds the body may be absent. A call is answered with an empty NCCO: to do something with it, set the source's custom response. Set answer_method and event_method to POST: the token does not cover a query."),
    Provider::high("messagebird", "https://developers.messagebird.com/api/#verifying-http-requests")
        .check(Check::Jwt(Jwt {
            issuers: &["MessageBird"],
            leeway: 5,
            ..jwt(
                JwtPlace::Header("messagebird-signature-jwt", ""),
                &[JwtAlgorithm::Hs256, JwtAlgorithm::Hs384, JwtAlgorithm::Hs512],
                MESSAGEBIRD,
            )
        }))
        .also_by_get()
        .id(Place::Claim(&JwtPlace::Header("messagebird-signature-jwt", ""), "jti"))
        .kind(First(&[Body("type"), Body("status"), Query("status")])),
    Provider::medium("telnyx", "https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks")
        .signed(
            Signed::public(&[Header("telnyx-signature-ed25519")], Algorithm::Ed25519)
                .over(&[&[Part::Stamp, Part::Text("|"), Part::Body]])
                .stamp(time("telnyx-timestamp"), Unit::Seconds, 300),
        )
        .id(Body("data.id"))
        .kind(Body("data.event_type")),
    Provider::medium("sinch", "https://developers.sinch.com/docs/conversation/callbacks/")
        .signed(
            Signed::hmac256(&[Header("x-sinch-webhook-signature")])
                .base64()
                .over(&[&[
                    Part::Body,
                    Part::Text("."),
                    Part::At(Header("x-sinch-webhook-signature-nonce")),
                    Part::Text("."),
                    Part::Stamp,
                ]])
                .stamp(time("x-sinch-webhook-signature-timestamp"), Unit::Seconds, 300),
        )
        .id(All(&[Body("accepted_time"), Whole]))
        .kind(Key("", &Keys::Besides(&["accepted_time", "app_id", "correlation_id", "event_time", "message_metadata", "project_id"])))
        .unconfirmed(),
    Provider::medium("bandwidth", "https://dev.bandwidth.com/docs/messaging/webhooks/")
        .check(Check::Basic)
        .asks(&[Question::AskForBasic])
        .id(First(&[
            All(&[Body("callId"), Body("eventType"), Body("eventTime"), Whole]),
            All(&[Body("*.time"), Whole]),
        ]))
        .kind(First(&[Body("*.type"), Body("eventType")]))
        .replies("<Response/>")
        .note("The first request comes without credentials and has to be answered with 401. A call is answered with an empty BXML: to do something with it, set the source's custom response."),
    Provider::high("line", "https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/")
        .signed(Signed::hmac256(&[Header("x-line-signature")]).base64())
        .asks(&[Question::NoEvents("events")])
        .id(Body("events.*.webhookEventId"))
        .kind(Body("events.*.type")),
    Provider::medium("viber", "https://developers.viber.com/docs/api/rest-bot-api/#callbacks")
        .signed(Signed::hmac256(&[Header("x-viber-content-signature")]))
        .id(All(&[Body("event"), Body("message_token"), Body("timestamp")]))
        .kind(Body("event")),
    meta(Provider::high("meta", META)),
    meta(Provider::high("whatsapp", META)).id(First(&[
        Body("entry.*.changes.*.value.messages.*.id"),
        All(&[
            Body("entry.*.changes.*.value.statuses.*.id"),
            Body("entry.*.changes.*.value.statuses.*.status"),
        ]),
        META_ID,
    ])),
    meta(Provider::medium("instagram", META)),
    Provider::high("zoom", "https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events")
        .signed(
            Signed::hmac256(&[Header("x-zm-signature")])
                .several("v0=")
                .over(V0_TIME_BODY)
                .stamp(time("x-zm-request-timestamp"), Unit::Seconds, 300),
        )
        .asks(&[Question::UrlValidation])
        .id(All(&[Body("event"), Body("event_ts"), Whole]))
        .kind(Body("event")),
    Provider::high("webex", "https://developer.webex.com/docs/api/guides/webhooks")
        .signed(Signed::hmac1(&[Header("x-spark-signature")]))
        .id(All(&[
            Body("id"),
            Body("resource"),
            Body("event"),
            Body("data.id"),
            First(&[Body("data.updated"), Body("data.lastActivity"), Body("data.created")]),
        ]))
        .kind(All(&[Body("resource"), Body("event")])),
    Provider::high("x", "https://docs.x.com/x-api/webhooks/introduction")
        .signed(
            Signed::hmac256(&[Header("x-twitter-webhooks-signature")]).base64().prefix("sha256="),
        )
        .asks(&[Question::CrcToken])
        .id(Whole)
        .kind(Key("", &Keys::Ending(&["_events", "user_event"])))
        .note("Formerly Twitter. The endpoint is asked for an HMAC every hour."),
    Provider::high("tiktok", "https://developers.tiktok.com/doc/webhooks-verification")
        .signed(paired(&[Header("tiktok-signature")], &["s"]))
        .id(All(&[Body("event"), Body("user_openid"), Body("create_time")]))
        .kind(Body("event")),
    Provider::medium("linkedin", "https://learn.microsoft.com/en-us/linkedin/shared/api-guide/webhook-validation")
        .signed(
            Signed::hmac256(&[Header("x-li-signature")])
                .over(&[&[Part::Text("hmacsha256="), Part::Body]]),
        )
        .asks(&[Question::ChallengeHmac])
        .id(First(&[Body("notifications.*.notificationId"), Body("notificationId")]))
        .kind(Body("type"))
        .note("The prefix is signed along with the body."),
    Provider::high("twitch", "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/")
        .signed(
            Signed::hmac256(&[Header("twitch-eventsub-message-signature")])
                .prefix("sha256=")
                .over(TWITCH)
                .stamp(time("twitch-eventsub-message-timestamp"), Unit::Rfc3339, 600),
        )
        .asks(&[Question::SignedChallenge(
            "twitch-eventsub-message-type",
            "webhook_callback_verification",
        )])
        .id(Header("twitch-eventsub-message-id"))
        .kind(Header("twitch-eventsub-subscription-type")),
    Provider::medium("kick", "https://docs.kick.com/events/webhook-security")
        .signed(
            Signed::public(&[Header("kick-event-signature")], Algorithm::Rsa(Hash::Sha256))
                .keys(KeySource::Published {
                    url: "https://api.kick.com/public/v1/public-key",
                    key_id: None,
                })
                .over(&[&[
                    Part::At(Header("kick-event-message-id")),
                    Part::Text("."),
                    Part::Stamp,
                    Part::Text("."),
                    Part::Body,
                ]])
                .stamp(time("kick-event-message-timestamp"), Unit::Rfc3339, 300),
        )
        .id(Header("kick-event-message-id"))
        .kind(Header("kick-event-type")),
    Provider::medium("youtube", "https://developers.google.com/youtube/v3/guides/push_notifications")
        .signed(Signed::hmac1(&[Header("x-hub-signature")]).prefix("sha1="))
        .asks(&[Question::HubOpen])
        .id(All(&[Xml("entry/yt:videoId"), Xml("entry/updated")]))
        .no_kind("New and changed videos look alike.")
        .note("Atom XML. Signed only where a hub.secret was given."),
    Provider::high("websub", "https://www.w3.org/TR/websub/#signing-content")
        .signed(Signed::hmac256(&[Header("x-hub-signature")]).syntax(Syntax::NamedHash(&[
            Hash::Sha1,
            Hash::Sha256,
            Hash::Sha384,
            Hash::Sha512,
        ])))
        .asks(&[Question::HubOpen])
        .id(Whole)
        .kind(Link("self"))
        .note("The hub chooses the hash. A wrong signature may also be answered with 2xx and ignored."),
    Provider::medium("strava", "https://developers.strava.com/docs/webhooks/")
        .asks(&[Question::HubJson])
        .id(All(&[Body("object_type"), Body("object_id"), Body("aspect_type"), Body("event_time")]))
        .kind(All(&[Body("object_type"), Body("aspect_type")]))
        .note("Unsigned. The secret is the verify token of the subscription."),
    Provider::medium("fitbit", "https://dev.fitbit.com/build/reference/web-api/developer-guide/using-subscriptions/")
        .signed(Signed::hmac1(&[Header("x-fitbit-signature")]).base64().key(KeyForm::Ampersand))
        .asks(&[Question::Verify])
        .no_id("Two changes on one day send the same body.")
        .kind(Body("*.collectionType"))
        .note("The key is the client secret and an ampersand. verify_token:… for the subscription."),
    Provider::low("oura", "https://cloud.ouraring.com/v2/docs#tag/Webhook-Subscription-Routes")
        .signed(
            Signed::hmac256(&[Header("x-oura-signature")])
                .over(&[&[Part::Stamp, Part::Body], &[Part::Body]])
                .optional_stamp(time("x-oura-timestamp"), Unit::Either, 300),
        )
        .asks(&[Question::TokenAndChallenge])
        .id(All(&[Body("data_type"), Body("event_type"), Body("object_id"), Body("event_time")]))
        .kind(Body("event_type"))
        .note("Sources disagree on whether the timestamp is signed."),
    Provider::medium("livekit", "https://docs.livekit.io/home/server/webhooks/")
        .check(Check::Jwt(jwt(
            JwtPlace::Header("authorization", "Bearer "),
            &[JwtAlgorithm::Hs256],
            &[Claim::Body { name: "sha256", encoding: Encoding::Base64, required: true }],
        )))
        .id(Body("id"))
        .kind(Body("event")),
    Provider::medium("daily", "https://docs.daily.co/reference/rest-api/webhooks")
        .signed(
            Signed::hmac256(&[Header("x-webhook-signature")])
                .base64()
                .key(KeyForm::Base64)
                .over(TIME_DOT_BODY)
                .stamp(time("x-webhook-timestamp"), Unit::Either, 300),
        )
        .asks(&[Question::TestBody(r#"{"test":"test"}"#)])
        .id(Body("id"))
        .kind(Body("type")),
    Provider::medium("whereby", "https://docs.whereby.com/monitoring-usage/webhooks")
        .signed(paired(&[Header("whereby-signature")], &["v1"]).stamp(Field("t"), Unit::Either, 300))
        .id(Body("id"))
        .kind(Body("type")),
    Provider::medium("ringcentral", "https://developers.ringcentral.com/guide/notifications/webhooks/receiving")
        .token(Header("verification-token"), "")
        .asks(&[Question::EchoHeader("validation-token")])
        .id(Body("uuid"))
        .kind(Body("event")),
    Provider::medium("aircall", "https://developer.aircall.io/api-references/#webhooks")
        .token(Body("token"), "")
        .id(All(&[Body("timestamp"), Whole]))
        .kind(Body("event")),
    Provider::low("dialpad", "https://developers.dialpad.com/docs/webhooks")
        .check(Check::Jwt(jwt(JwtPlace::Body, &[JwtAlgorithm::Hs256], &[])))
        .id(All(&[
            Place::Claim(&JwtPlace::Body, "call_id"),
            Place::Claim(&JwtPlace::Body, "state"),
            Place::Claim(&JwtPlace::Body, "event_timestamp"),
        ]))
        .kind(Place::Claim(&JwtPlace::Body, "state"))
        .note("The body is the token."),
    Provider::medium("gong", "https://help.gong.io/docs/create-a-webhook-rule")
        .check(Check::Jwt(jwt(
            JwtPlace::Header("authorization", "Bearer "),
            &[JwtAlgorithm::Rs256],
            &[
                Claim::Url { name: "webhook_url" },
                Claim::Body { name: "body_sha256", encoding: Encoding::Hex, required: true },
            ],
        )))
        .id(Body("callData.metaData.id"))
        .no_kind("A rule of Gong sends calls, and nothing says which rule it was."),
    Provider::medium("podium", "https://docs.podium.com/docs/webhooks")
        .signed(
            Signed::hmac256(&[Header("podium-signature")])
                .over(TIME_DOT_BODY)
                .stamp(time("podium-timestamp"), Unit::Millis, 300),
        )
        .id(Body("metadata.event_uid"))
        .kind(Body("metadata.event_type"))
        .unconfirmed(),
];
