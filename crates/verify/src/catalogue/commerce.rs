//! Shops, shipping, subscriptions to people.

use super::prelude::*;

pub(super) static ROWS: &[Provider] = &[
    Provider::high("shopify", "https://shopify.dev/docs/apps/build/webhooks/subscribe/https")
        .signed(
            Signed::hmac256(&[Header("x-shopify-hmac-sha256"), Header("shopify-hmac-sha256")])
                .base64(),
        )
        .id(First(&[
            All(&[Header("x-shopify-topic"), Header("x-shopify-event-id"), Whole]),
            Header("x-shopify-webhook-id"),
            Header("shopify-webhook-id"),
        ]))
        .kind(First(&[Header("x-shopify-topic"), All(&[Body("topic"), Body("action")])]))
        .note("The event id is that of the merchant's action, which may change several objects; a webhook id is of one subscription. Events (a preview) come with headers without x-."),
    Provider::high("woocommerce", "https://woocommerce.com/document/webhooks/")
        .signed(Signed::hmac256(&[Header("x-wc-webhook-signature")]).base64())
        .asks(&[Question::TestForm("webhook_id")])
        .id(All(&[Header("x-wc-webhook-topic"), Body("date_modified_gmt"), Whole]))
        .kind(Header("x-wc-webhook-topic"))
        .note("The delivery id is new on every retry."),
    Provider::medium("wix", "https://dev.wix.com/docs/api-reference/articles/work-with-wix-apis/platform/about-the-structure-of-webhooks")
        .check(Check::Jwt(jwt(JwtPlace::Body, &[JwtAlgorithm::Rs256], &[])))
        .id(All(&[
            Place::Claim(&JwtPlace::Body, "data.data.entityFqdn"),
            Place::Claim(&JwtPlace::Body, "data.data.id"),
        ]))
        .kind(Place::Claim(&JwtPlace::Body, "data.eventType"))
        .note("The body is the token; the secret is the app's public key."),
    Provider::medium("commercelayer", "https://docs.commercelayer.io/core/callbacks-security")
        .signed(Signed::hmac256(&[Header("x-commercelayer-signature")]).base64())
        .id(All(&[
            Header("x-commercelayer-topic"),
            Body("data.id"),
            Body("data.attributes.updated_at"),
        ]))
        .kind(Header("x-commercelayer-topic")),
    Provider::high(
        "ebay",
        "https://developer.ebay.com/develop/guides-v2/marketplace-user-account-deletion",
    )
    .signed(
        Signed::public(&[Header("x-ebay-signature")], Algorithm::Ecdsa(Hash::Sha1))
            .syntax(Syntax::JsonEnvelope),
    )
    .fails_with(412)
    .asks(&[Question::ChallengeCode])
    .id(Body("notification.notificationId"))
    .kind(Body("metadata.topic"))
    .note("SHA-1. Secrets: the public key of eBay's API, and verify_token:… for the challenge."),
    Provider::medium("squarespace", "https://developers.squarespace.com/webhooks/")
        .signed(Signed::hmac256(&[Header("squarespace-signature")]).key(KeyForm::Hex))
        .id(Body("id"))
        .kind(Body("topic")),
    Provider::medium(
        "aftership",
        "https://www.aftership.com/docs/tracking/webhook/webhook-signature",
    )
    .signed(Signed::hmac256(&[Header("aftership-hmac-sha256")]).base64())
    .id(Body("event_id"))
    .kind(Body("event")),
    Provider::medium("shippo", "https://docs.goshippo.com/docs/tracking/webhooksecurity/")
        .signed(paired(&[Header("shippo-auth-signature")], &["v1"]))
        .id(All(&[
            First(&[
                Body("data.object_updated"),
                Body("data.tracking_status.object_id"),
                Body("data.tracking_status.status_date"),
            ]),
            Whole,
        ]))
        .kind(Body("event")),
    Provider::high("easypost", "https://docs.easypost.com/guides/webhooks-guide")
        .signed(
            Signed::hmac256(&[Header("x-hmac-signature")])
                .prefix("hmac-sha256-hex=")
                .key(KeyForm::Nfkd),
        )
        .id(Body("id"))
        .kind(Body("description"))
        .note("The secret is normalised to Unicode NFKD first. Paste it decomposed if it has accented letters beyond Latin Extended-A."),
    Provider::medium("onfleet", "https://docs.onfleet.com/reference/secrets")
        .signed(Signed::hmac512(&[Header("x-onfleet-signature")]).key(KeyForm::Hex))
        .asks(&[Question::Echo("check")])
        .id(All(&[Body("taskId"), Body("triggerId"), Body("time")]))
        .kind(Body("triggerName")),
    Provider::medium("lob", "https://docs.lob.com/#tag/Webhooks")
        .signed(Signed::hmac256(&[Header("lob-signature")]).over(TIME_DOT_BODY).stamp(
            time("lob-signature-timestamp"),
            Unit::Either,
            300,
        ))
        .id(Body("id"))
        .kind(Body("event_type.id")),
    Provider::medium("patreon", "https://docs.patreon.com/#webhooks")
        .signed(Signed::new(&[Header("x-patreon-signature")], Algorithm::Hmac(Hash::Md5)))
        .no_id("Two changes of a member may send the same body.")
        .kind(Header("x-patreon-event"))
        .note("HMAC-MD5."),
    Provider::medium("gumroad", "https://gumroad.com/ping")
        // A sale may be refunded in parts.
        .id(All(&[Form("resource_name"), Form("sale_id"), Whole]))
        .kind(Form("resource_name"))
        .note("Unsigned: keep the URL secret, check seller_id, fetch the sale."),
    Provider::medium("fourthwall", "https://docs.fourthwall.com/webhooks/")
        .signed(Signed::hmac256(&[Header("x-fourthwall-hmac-sha256")]).base64())
        .id(Body("id"))
        .kind(Body("type")),
    Provider::medium("akeneo", "https://api.akeneo.com/events-documentation/security.html")
        .signed(Signed::hmac256(&[Header("x-akeneo-request-signature")]).over(TIME_DOT_BODY).stamp(
            time("x-akeneo-request-timestamp"),
            Unit::Seconds,
            300,
        ))
        .id(Body("events.*.event_id"))
        .kind(Body("events.*.action")),
    Provider::medium("kofi", "https://ko-fi.com/manage/webhooks")
        .token(FormJson("data", "verification_token"), "")
        .id(FormJson("data", "message_id"))
        .kind(FormJson("data", "type")),
    Provider::low("picqer", "https://picqer.com/en/api/webhooks")
        .signed(Signed::hmac256(&[Header("x-picqer-signature")]).base64())
        .id(All(&[Body("idhook"), Body("event_triggered_at")]))
        .kind(Body("event")),
    Provider::low("nuvemshop", "https://tiendanube.github.io/api-documentation/resources/webhook")
        .signed(Signed::hmac256(&[Header("x-linkedstore-hmac-sha256")]))
        .no_id("Two changes of a product send the same body.")
        .kind(Body("event")),
];
