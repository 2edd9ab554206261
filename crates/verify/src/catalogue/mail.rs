//! Mail, push, campaigns.

use super::prelude::*;

pub(super) static ROWS: &[Provider] = &[
    Provider::high("sendgrid", "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features")
        .signed(
            Signed::public(
                &[Header("x-twilio-email-event-webhook-signature")],
                Algorithm::Ecdsa(Hash::Sha256),
            )
            .over(TIME_BODY)
            .stamp(time("x-twilio-email-event-webhook-timestamp"), Unit::Seconds, 300),
        )
        .id(Body("*.sg_event_id"))
        .kind(Body("*.event"))
        .note("ECDSA, not HMAC. The body ends in CRLF, which is signed."),
    Provider::high("mailgun", "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks")
        .signed(
            Signed::hmac256(&[First(&[Body("signature.signature"), Form("signature")])])
                .over(&[
                    &[Part::Stamp, Part::At(Body("signature.token"))],
                    &[Part::Stamp, Part::At(Form("token"))],
                ])
                // A try is the same for eight hours.
                .stamp(
                    StampAt::Place(First(&[Body("signature.timestamp"), Form("timestamp")])),
                    Unit::Seconds,
                    86_400,
                ),
        )
        .partial()
        .id(First(&[Body("event-data.id"), Form("token")]))
        .kind(First(&[Body("event-data.event"), Form("event")]))
        .note("The event is not signed, only a time and a token; retries carry the same two. What is older than a day is refused."),
    Provider::high("postmark", "https://postmarkapp.com/developer/webhooks/webhooks-overview")
        .check(Check::Basic)
        .id(First(&[
            All(&[
                Body("RecordType"),
                First(&[
                    Body("DeliveredAt"),
                    Body("BouncedAt"),
                    Body("ReceivedAt"),
                    Body("ChangedAt"),
                ]),
                Whole,
            ]),
            All(&[Body("MessageID"), Body("Date")]),
        ]))
        .kind(Body("RecordType")),
    Provider::high("mandrill", "https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/")
        .signed(
            Signed::hmac1(&[Header("x-mandrill-signature")])
                .base64()
                .over(&[&[Part::Url(UrlForm::Full), Part::Form]]),
        )
        .asks(&[Question::Reachability])
        .id(All(&[FormJson("mandrill_events", "*.ts"), Form("mandrill_events")]))
        .kind(FormJson("mandrill_events", "*.event")),
    Provider::high("mailchimp", "https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/")
        .token(Query("secret"), "")
        .asks(&[Question::Reachability])
        .id(All(&[Form("fired_at"), Whole]))
        .kind(Form("type"))
        .note("Unsigned: the secret is ?secret= in the URL."),
    Provider::high("customerio", "https://docs.customer.io/journeys/webhooks/#securely-verify-requests")
        .signed(
            Signed::hmac256(&[Header("x-cio-signature")])
                .over(V0_TIME_BODY)
                .stamp(time("x-cio-timestamp"), Unit::Seconds, 300),
        )
        .id(Body("event_id"))
        .kind(All(&[Body("object_type"), Body("metric")])),
    Provider::high("klaviyo", "https://developers.klaviyo.com/en/docs/working_with_system_webhooks")
        .signed(
            Signed::hmac256(&[Header("klaviyo-signature")])
                .over(BODY_TIME)
                .stamp(time("klaviyo-timestamp"), Unit::HttpDate, 300),
        )
        .id(Body("data.*.external_id"))
        .kind(Body("data.*.topic")),
    Provider::medium("brevo", "https://developers.brevo.com/docs/how-to-use-webhooks")
        .token(Header("authorization"), "Bearer ")
        .id(All(&[Body("event"), First(&[Body("ts_epoch"), Body("ts_event"), Body("ts")]), Whole]))
        .kind(Body("event"))
        .note("Unsigned; comes from 1.179.112.0/20 and 172.246.240.0/20."),
    Provider::medium("mailersend", "https://developers.mailersend.com/api/v1/webhooks.html")
        .signed(Signed::hmac256(&[Header("signature")]))
        .id(Body("data.id"))
        .kind(Body("type")),
    Provider::medium("courier", "https://www.courier.com/docs/platform/workspaces/outbound-webhooks")
        .signed(
            paired(&[Header("courier-signature")], &["signature"])
                .stamp(Field("t"), Unit::Millis, 300),
        )
        .id(All(&[Body("type"), Body("data.id"), Whole]))
        .kind(Body("type"))
        .unconfirmed(),
    Provider::low("knock", "https://docs.knock.app/developer-tools/outbound-webhooks/overview")
        .signed(paired(&[Header("x-knock-signature")], &["s"]).base64())
        .id(Body("id"))
        .kind(Body("type")),
    Provider::medium("airship", "https://docs.airship.com/")
        .signed(
            Signed::hmac256(&[Header("x-ua-signature")])
                .over(TIME_COLON_BODY)
                .stamp(time("x-ua-timestamp"), Unit::Seconds, 300),
        )
        .no_id("Its bodies are not known to us.")
        .no_kind("Its bodies are not known to us."),
    Provider::medium("mailchannels", "https://docs.mailchannels.net/email-api/webhook-verification/")
        .signed(
            Signed::public(&[Header("signature")], Algorithm::Ed25519)
                .syntax(Syntax::Dictionary)
                .over(&[&[Part::Custom(crate::custom::content_digest)]])
                .stamp(
                    StampAt::Parameter { header: "signature-input", name: "created" },
                    Unit::Seconds,
                    300,
                ),
        )
        .id(All(&[Body("*.timestamp"), Whole]))
        .kind(Body("*.event"))
        .note("RFC 9421 over the content digest. The secret is the public key of the key id."),
    Provider::high("nylas", "https://developer.nylas.com/docs/v3/notifications/")
        .signed(Signed::hmac256(&[Header("x-nylas-signature")]))
        .asks(&[Question::Echo("challenge")])
        .id(Body("id"))
        .kind(Body("type"))
        .note("Where the body is compressed, the compressed bytes are signed, and neither the id nor the type can be read: ask Nylas for plain bodies."),
];
