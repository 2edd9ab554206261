//! Customers: sales, support.

use super::prelude::*;

const HUBSPOT: &str =
    "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests";

const ZENDESK: Signed<'static> = Signed::hmac256(&[Header("x-zendesk-webhook-signature")])
    .base64()
    .over(TIME_BODY)
    .stamp(time("x-zendesk-webhook-signature-timestamp"), Unit::Rfc3339, 300);

const fn hubspot(name: &'static str, scheme: Signed<'static>) -> Provider {
    Provider::high(name, HUBSPOT)
        .signed(scheme)
        .id(All(&[Body("*.eventId"), Body("*.subscriptionId"), Body("*.occurredAt")]))
        .kind(Body("*.subscriptionType"))
}

pub(super) static ROWS: &[Provider] = &[
    hubspot(
        "hubspot_v1",
        Signed::new(&[Header("x-hubspot-signature")], Algorithm::Digest(Hash::Sha256))
            .over(&[&[Part::Secret, Part::Body]]),
    )
    .note("No HMAC: SHA-256 of the client secret and the body."),
    hubspot(
        "hubspot_v2",
        Signed::new(&[Header("x-hubspot-signature")], Algorithm::Digest(Hash::Sha256))
            .over(&[&[Part::Secret, Part::Method, Part::Url(UrlForm::Full), Part::Body]]),
    )
    .also_by_get()
    .note("No HMAC: SHA-256 of the client secret, method, URL and body."),
    hubspot(
        "hubspot_v3",
        Signed::hmac256(&[Header("x-hubspot-signature-v3")])
            .base64()
            .over(&[
                &[Part::Method, Part::Url(UrlForm::Unescaped), Part::Body, Part::Stamp],
                &[Part::Method, Part::Url(UrlForm::Full), Part::Body, Part::Stamp],
            ])
            .stamp(time("x-hubspot-request-timestamp"), Unit::Millis, 300),
    )
    .also_by_get()
    .note("Some escapes of the URL are undone before it is signed."),
    Provider::medium("salesforce_om", "https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_om_outboundmessaging.htm")
        .replies(ACK)
        .id(Xml("Notification/Id"))
        .kind(Xml("Notification/sObject/@xsi:type"))
        .note("SOAP, unsigned: rely on mutual TLS or address ranges."),
    Provider::high("pipedrive", "https://pipedrive.readme.io/docs/guide-for-webhooks-v2")
        .check(Check::Basic)
        .id(All(&[Body("meta.entity"), Body("meta.id")]))
        .kind(All(&[Body("meta.action"), Body("meta.entity")])),
    Provider::high("attio", "https://docs.attio.com/rest-api/guides/webhooks")
        .signed(Signed::hmac256(&[Header("attio-signature")]))
        .id(Header("idempotency-key"))
        .kind(Body("events.*.event_type")),
    Provider::medium("close", "https://developer.close.com/topics/webhooks/")
        .signed(
            Signed::hmac256(&[Header("close-sig-hash")])
                .key(KeyForm::Hex)
                .over(TIME_BODY)
                .stamp(time("close-sig-timestamp"), Unit::Seconds, 300),
        )
        .id(Body("event.id"))
        .kind(All(&[Body("event.object_type"), Body("event.action")])),
    Provider::high("intercom", "https://developers.intercom.com/docs/webhooks/setting-up-webhooks")
        .signed(Signed::hmac1(&[Header("x-hub-signature")]).prefix("sha1="))
        .asks(&[Question::Reachability])
        .id(Body("id"))
        .kind(Body("topic")),
    Provider::high("zendesk", "https://developer.zendesk.com/documentation/webhooks/verifying/")
        .signed(ZENDESK)
        .id(First(&[Header("x-zendesk-webhook-invocation-id"), Body("id")]))
        .kind(Body("type"))
        .note("The secret looks like base64 and is used as it stands."),
    Provider::medium("zoho_desk", "https://desk.zoho.com/support/WebhookDocument.do")
        .check(Check::Jwt(jwt(JwtPlace::Header("x-zdesk-jwt", ""), &[JwtAlgorithm::Rs256], &[])))
        .partial()
        .asks(&[Question::Reachability])
        .id(All(&[Body("*.eventTime"), Whole]))
        .kind(Body("*.eventType"))
        .note("The secret is the https URL of the JWKS of the data centre. The body is not signed."),
    Provider::medium("zoho_mail", "https://www.zoho.com/mail/help/dev-platform/webhook.html")
        .signed(Signed::hmac256(&[Header("x-hook-signature")]).base64())
        .asks(&[Question::HookSecret])
        .id(Body("messageId"))
        .no_kind("Every request is a message.")
        .note("The first request brings the secret."),
    Provider::low("zoho_crm", "https://www.zoho.com/crm/developer/docs/api/v8/notifications/overview.html")
        .token(Body("token"), "")
        .id(All(&[Body("server_time"), Whole]))
        .kind(Body("operation")),
    Provider::medium("front", "https://dev.frontapp.com/docs/application-webhooks")
        .signed(
            Signed::hmac256(&[Header("x-front-signature")])
                .base64()
                .over(TIME_COLON_BODY)
                .stamp(time("x-front-request-timestamp"), Unit::Millis, 300),
        )
        .asks(&[Question::HeaderToText("x-front-challenge")])
        .id(First(&[Body("id"), All(&[Body("type"), Body("payload.id")])]))
        .kind(Body("type")),
    Provider::medium("helpscout", "https://developer.helpscout.com/webhooks/")
        .signed(Signed::hmac1(&[Header("x-helpscout-signature")]).base64())
        .id(All(&[
            Header("x-helpscout-event"),
            First(&[Body("userUpdatedAt"), Body("updatedAt")]),
            Whole,
        ]))
        .kind(Header("x-helpscout-event"))
        .unconfirmed(),
    Provider::medium("crisp", "https://docs.crisp.chat/guides/web-hooks/signing-hooks/")
        .signed(
            Signed::hmac256(&[Header("x-crisp-signature")])
                .over(&[&[
                    Part::Text("["),
                    Part::Stamp,
                    Part::Text(";"),
                    Part::Body,
                    Part::Text("]"),
                ]])
                .stamp(time("x-crisp-request-timestamp"), Unit::Either, 300),
        )
        .id(All(&[Body("event"), Body("timestamp"), Whole]))
        .kind(Body("event"))
        .unconfirmed(),
    Provider::medium("freshchat", "https://developers.freshchat.com/api/#webhooks")
        .signed(Signed::public(&[Header("x-freshchat-signature")], Algorithm::Rsa(Hash::Sha256)))
        .id(All(&[Body("action_time"), Whole]))
        .kind(Body("action"))
        .note("The secret is the account's public key."),
    Provider::medium("chatwoot", "https://www.chatwoot.com/hc/user-guide/articles/1677693021-how-to-use-webhooks")
        .signed(
            Signed::hmac256(&[Header("x-chatwoot-signature")])
                .prefix("sha256=")
                .over(TIME_DOT_BODY)
                .stamp(time("x-chatwoot-timestamp"), Unit::Either, 300),
        )
        .id(All(&[Body("event"), Body("id"), Whole]))
        .kind(Body("event"))
        .unconfirmed(),
    Provider::low("clearbit", "https://dashboard.clearbit.com/docs#webhooks")
        .signed(Signed::hmac1(&[Header("x-request-signature")]).prefix("sha1="))
        .id(All(&[Body("type"), Body("id"), Whole]))
        .kind(Body("type")),
];

const ACK: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    r#"<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>"#,
    r#"<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack>"#,
    r#"</notificationsResponse></soapenv:Body></soapenv:Envelope>"#,
);
