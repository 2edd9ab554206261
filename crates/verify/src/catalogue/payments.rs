//! Payments, billing, banking.

use super::prelude::*;

pub(super) static ROWS: &[Provider] = &[
    Provider::high("stripe", "https://docs.stripe.com/webhooks#verify-manually")
        .signed(paired(&[Header("stripe-signature")], &["v1"]))
        .secret_like(
            |secret| ![b"sk_", b"rk_", b"pk_"].iter().any(|key| secret.starts_with(*key)),
            "has to be the endpoint's signing secret (whsec_…): this is an API key",
        )
        .id(Body("id"))
        .kind(Body("type"))
        .note("The key is the whole whsec_… string, not decoded. v0 is for tests and ignored."),
    Provider::high("paypal", "https://developer.paypal.com/api/rest/webhooks/rest/")
        .signed(
            Signed::public(&[Header("paypal-transmission-sig")], Algorithm::Rsa(Hash::Sha256))
                .keys(KeySource::Certificate(&CertificateAt {
                    place: Header("paypal-cert-url"),
                    hosts: &["*.paypal.com"],
                    path: ("/v1/notifications/certs/", ""),
                    subjects: &["*.paypal.com"],
                }))
                .over(&[&[
                    Part::At(Header("paypal-transmission-id")),
                    Part::Text("|"),
                    Part::At(Header("paypal-transmission-time")),
                    Part::Text("|"),
                    Part::Secret,
                    Part::Text("|"),
                    Part::BodyCrc32,
                ]]),
        )
        .partial()
        .id(Body("id"))
        .kind(Body("event_type"))
        .note("The secret is the webhook id. The body is bound by a CRC-32 only, which can be forged."),
    Provider::high("square", "https://developer.squareup.com/docs/webhooks/step3validate")
        .signed(
            Signed::hmac256(&[Header("x-square-hmacsha256-signature")])
                .base64()
                .over(&[&[Part::Url(UrlForm::Full), Part::Body]]),
        )
        .id(Body("event_id"))
        .kind(Body("type")),
    Provider::medium("square_legacy", "https://developer.squareup.com/docs/webhooks/step3validate")
        .signed(
            Signed::hmac1(&[Header("x-square-signature")])
                .base64()
                .over(&[&[Part::Url(UrlForm::Full), Part::Body]]),
        )
        .id(Body("event_id"))
        .kind(Body("type"))
        .note("Retired by Square."),
    Provider::high("paddle", "https://developer.paddle.com/webhooks/signature-verification")
        .signed(
            Signed::hmac256(&[Header("paddle-signature")])
                .pairs(&["h1"])
                .over(TIME_COLON_BODY)
                .stamp(Field("ts"), Unit::Seconds, 5),
        )
        .id(Body("event_id"))
        .kind(Body("event_type"))
        .note("Five seconds, as Paddle's own libraries allow."),
    Provider::medium(
        "paddle_classic",
        "https://developer.paddle.com/classic/reference/zg9joji1mzu0mdi2-verifying-webhooks",
    )
    .signed(
        Signed::public(&[Form("p_signature")], Algorithm::Rsa(Hash::Sha1))
            .over(&[&[Part::Custom(crate::custom::paddle_classic)]]),
    )
    .id(Form("alert_id"))
    .kind(Form("alert_name"))
    .note("The fields are signed as PHP would serialise them."),
    Provider::high("paystack", "https://paystack.com/docs/payments/webhooks/")
        .signed(Signed::hmac512(&[Header("x-paystack-signature")]))
        // A dispute may be reminded of more than once.
        .id(All(&[Body("event"), Body("data.id"), Whole]))
        .kind(Body("event")),
    Provider::medium("flutterwave_v3", "https://developer.flutterwave.com/v3.0/docs/webhooks")
        .token(Header("verif-hash"), "")
        .id(All(&[Body("event"), Body("data.id")]))
        .kind(Body("event")),
    Provider::medium("flutterwave_v4", "https://developer.flutterwave.com/docs/webhooks")
        .signed(Signed::hmac256(&[Header("flutterwave-signature")]).base64())
        .id(Body("id"))
        .kind(Body("type")),
    Provider::medium("mono", "https://docs.mono.co/docs/webhooks")
        .token(Header("mono-webhook-secret"), "")
        .no_id("A second notice of the same kind about an account has the same body.")
        .kind(Body("event")),
    Provider::medium("monnify", "https://developers.monnify.com/docs/webhooks")
        .signed(Signed::hmac512(&[Header("monnify-signature")]))
        // A transaction may be refunded in parts.
        .id(All(&[Body("eventType"), Body("eventData.transactionReference"), Whole]))
        .kind(Body("eventType")),
    Provider::medium("squad", "https://docs.squadco.com/Webhook")
        .signed(Signed::hmac512(&[Header("x-squad-encrypted-body")]))
        .id(All(&[Body("Event"), Body("TransactionRef")]))
        .kind(Body("Event"))
        .note("Upper-case hex."),
    Provider::medium("korapay", "https://developers.korapay.com/docs/webhooks")
        .signed(
            Signed::hmac256(&[Header("x-korapay-signature")]).over(&[&[Part::Raw("data")]]),
        )
        .partial()
        .id(All(&[Body("event"), Body("data.reference")]))
        .kind(Body("event"))
        .note("Only the value of `data` is signed, as it is written in the body; not `event`."),
    Provider::high("razorpay", "https://razorpay.com/docs/webhooks/validate-test/")
        .signed(Signed::hmac256(&[Header("x-razorpay-signature")]))
        .id(Header("x-razorpay-event-id"))
        .kind(Body("event")),
    Provider::high("cashfree", "https://www.cashfree.com/docs/payments/online/webhooks/overview")
        .signed(
            Signed::hmac256(&[Header("x-webhook-signature")])
                .base64()
                .over(TIME_BODY)
                .stamp(time("x-webhook-timestamp"), Unit::Millis, 300),
        )
        .id(First(&[Header("x-idempotency-key"), Header("x-idempotency-header")]))
        .kind(Body("type"))
        .note("No dot between time and body: the one in the documentation is PHP's operator."),
    Provider::high("mollie", "https://docs.mollie.com/reference/webhooks-best-practices")
        .signed(Signed::hmac256(&[Header("x-mollie-signature")]).several("sha256="))
        .id(Body("id"))
        .kind(Body("type"))
        .note("During a rotation the header comes twice, for 24 hours."),
    Provider::high("mollie_classic", "https://docs.mollie.com/reference/webhooks")
        .no_id("The form names a resource, and every change of it sends the same form.")
        .no_kind("The form says which resource changed, not how.")
        .note("Unsigned: the form names a resource that has to be fetched."),
    Provider::high(
        "adyen",
        "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures/",
    )
    .check(Check::AdyenItems)
    .id(All(&[
        Body("notificationItems.*.NotificationRequestItem.pspReference"),
        Body("notificationItems.*.NotificationRequestItem.eventCode"),
        Body("notificationItems.*.NotificationRequestItem.success"),
    ]))
    .kind(Body("notificationItems.*.NotificationRequestItem.eventCode"))
    .replies("[accepted]")
    .note("Every item carries its own signature, over eight of its fields."),
    Provider::high(
        "adyen_platform",
        "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures/",
    )
    .signed(Signed::hmac256(&[Header("hmacsignature")]).base64().key(KeyForm::Hex))
    .id(All(&[
        Body("type"),
        Body("data.id"),
        First(&[Body("data.sequenceNumber"), Body("timestamp")]),
    ]))
    .kind(Body("type")),
    Provider::high("braintree", "https://developer.paypal.com/braintree/docs/guides/webhooks/parse")
        .signed(
            Signed::hmac1(&[Form("bt_signature")])
                .syntax(Syntax::KeyedPairs)
                .key(KeyForm::Sha1)
                .over(&[
                    &[Part::At(Form("bt_payload"))],
                    &[Part::At(Form("bt_payload")), Part::Text("\n")],
                ]),
        )
        .asks(&[Question::Braintree])
        .id(Form("bt_payload"))
        .kind(FormXml("bt_payload", "notification/kind"))
        .note("The secret is written public_key:private_key. Some payloads are signed with a newline."),
    Provider::high("gocardless", "https://developer.gocardless.com/api-reference/#appendix-webhooks")
        .signed(Signed::hmac256(&[Header("webhook-signature")]))
        .fails_with(498)
        .id(First(&[Body("meta.webhook_id"), Body("events.*.id")]))
        .kind(All(&[Body("events.*.resource_type"), Body("events.*.action")])),
    Provider::medium("plaid", "https://plaid.com/docs/api/webhooks/webhook-verification/")
        .check(Check::Jwt(Jwt {
            keys: KeySource::Plaid,
            max_age: 300,
            ..jwt(
                JwtPlace::Header("plaid-verification", ""),
                &[JwtAlgorithm::Es256],
                &[Claim::Body {
                    name: "request_body_sha256",
                    encoding: Encoding::Hex,
                    required: true,
                }],
            )
        }))
        .no_id("The same notice, `SYNC_UPDATES_AVAILABLE` above all, comes for every change of an item.")
        .kind(All(&[Body("webhook_type"), Body("webhook_code")]))
        .note("The secret is written client_id:secret; keys are asked for by id with it."),
    Provider::high("coinbase_commerce", "https://docs.cdp.coinbase.com/commerce/docs/webhooks-security")
        .signed(Signed::hmac256(&[Header("x-cc-webhook-signature")]))
        .id(Body("event.id"))
        .kind(Body("event.type")),
    Provider::high("coinbase_cdp", "https://docs.cdp.coinbase.com/webhooks/verify-signatures")
        .signed(HOOK0)
        .id(Body("id"))
        .kind(Body("eventType")),
    Provider::medium("hook0", "https://documentation.hook0.com/docs/verifying-webhook-signatures")
        .signed(HOOK0)
        .id(Header("x-event-id"))
        .kind(Header("x-event-type")),
    Provider::high("wise", "https://docs.wise.com/api-docs/features/webhooks-notifications/event-handling")
        .signed(Signed::public(&[Header("x-signature-sha256")], Algorithm::Rsa(Hash::Sha256)))
        .id(Header("x-delivery-id"))
        .kind(Body("event_type"))
        .note("The secret is the public key that Wise prints, one for production and one for the sandbox."),
    Provider::high("checkout_com", "https://www.checkout.com/docs/developer-resources/webhooks")
        .signed(Signed::hmac256(&[Header("cko-signature")]))
        .id(Body("id"))
        .kind(Body("type")),
    Provider::high("mercado_pago", "https://www.mercadopago.com.br/developers/en/docs/your-integrations/notifications/webhooks")
        .signed(
            Signed::hmac256(&[Header("x-signature")])
                .pairs(&["v1"])
                .over(&[
                    &[
                        Part::Maybe("id:", Query("data.id"), ";"),
                        Part::Maybe("request-id:", Header("x-request-id"), ";"),
                        Part::Text("ts:"),
                        Part::Stamp,
                        Part::Text(";"),
                    ],
                    &[
                        Part::MaybeLower("id:", Query("data.id"), ";"),
                        Part::Maybe("request-id:", Header("x-request-id"), ";"),
                        Part::Text("ts:"),
                        Part::Stamp,
                        Part::Text(";"),
                    ],
                ])
                .stamp(Field("ts"), Unit::Either, 0),
        )
        .partial()
        .id(Body("id"))
        .kind(First(&[
            All(&[Body("type"), Body("action")]),
            Body("type"),
            Query("type"),
            Query("topic"),
        ]))
        .note("The body is not signed: fetch the resource. The id is signed in lower case by some."),
    Provider::high("authorize_net", "https://developer.authorize.net/api/reference/features/webhooks.html")
        .signed(Signed::hmac512(&[Header("x-anet-signature")]).prefix("sha512=").key(KeyForm::Hex))
        .id(Body("notificationId"))
        .kind(Body("eventType")),
    Provider::medium("affirm", "https://docs.affirm.com/developers/docs/webhooks")
        .signed(
            Signed::hmac512(&[Header("x-affirm-signature")])
                .pairs(&["v0"])
                .over(TIME_DOT_BODY)
                .stamp(Field("t"), Unit::Seconds, 300),
        )
        .id(All(&[First(&[Body("event_timestamp"), Form("event_timestamp")]), Whole]))
        .kind(First(&[Body("event"), Form("event")]))
        .unconfirmed(),
    Provider::high("dwolla", "https://developers.dwolla.com/docs/working-with-webhooks")
        .signed(Signed::hmac256(&[Header("x-request-signature-sha-256")]))
        .id(Body("id"))
        .kind(Body("topic")),
    Provider::medium("recurly", "https://docs.recurly.com/docs/webhooks")
        .signed(
            Signed::hmac256(&[Header("recurly-signature")])
                .syntax(Syntax::Positional)
                .over(TIME_DOT_BODY)
                .stamp(Field("0"), Unit::Either, 300),
        )
        .id(All(&[Body("object_type"), Body("event_type"), Body("id"), Body("event_time")]))
        .kind(All(&[Body("object_type"), Body("event_type")]))
        .note("The timestamp is in milliseconds in the documentation, in seconds elsewhere."),
    Provider::high("chargebee", "https://www.chargebee.com/docs/2.0/webhook_settings.html")
        .check(Check::Basic)
        .id(Body("id"))
        .kind(Body("event_type")),
    Provider::high("chargify", "https://developers.maxio.com/http/getting-started/webhooks")
        .signed(Signed::hmac256(&[Header("x-chargify-webhook-signature-hmac-sha-256")]))
        .id(First(&[Header("x-chargify-webhook-id"), Form("id")]))
        .kind(Form("event")),
    Provider::high("recharge", "https://docs.getrecharge.com/docs/webhooks-overview")
        .signed(
            Signed::new(&[Header("x-recharge-hmac-sha256")], Algorithm::Digest(Hash::Sha256))
                .over(&[&[Part::Secret, Part::Body]]),
        )
        .id(All(&[
                Header("x-recharge-topic"),
                First(&[
                    Body("charge.updated_at"), Body("subscription.updated_at"), Body("order.updated_at"),
                    Body("customer.updated_at"), Body("address.updated_at"), Body("onetime.updated_at"),
                ]),
                Whole,
            ]))
        .kind(Header("x-recharge-topic"))
        .note("No HMAC in spite of the header's name: SHA-256 of secret and body.")
        .unconfirmed(),
    Provider::high("lemonsqueezy", "https://docs.lemonsqueezy.com/help/webhooks/signing-requests")
        .signed(Signed::hmac256(&[Header("x-signature")]))
        .id(All(&[Body("meta.event_name"), Body("data.attributes.updated_at"), Whole]))
        .kind(First(&[Header("x-event-name"), Body("meta.event_name")])),
    Provider::high("fastspring", "https://developer.fastspring.com/reference/message-security")
        .signed(Signed::hmac256(&[Header("x-fs-signature")]).base64())
        .id(Body("events.*.id"))
        .kind(Body("events.*.type")),
    Provider::high("airwallex", "https://www.airwallex.com/docs/developer-tools__listen-for-webhook-events")
        .signed(
            Signed::hmac256(&[Header("x-signature")])
                .over(TIME_BODY)
                .stamp(time("x-timestamp"), Unit::Millis, 300),
        )
        .id(Body("id"))
        .kind(Body("name")),
    Provider::medium("bolt", "https://help.bolt.com/developers/webhooks/")
        .signed(Signed::hmac256(&[Header("x-bolt-hmac-sha256")]).base64())
        .id(All(&[Body("id"), Body("type"), Whole]))
        .kind(Body("type"))
        .note("The id is the transaction's, and the same in all that is sent of it."),
    Provider::medium("primer", "https://primer.io/docs/get-started/configure-webhooks")
        .signed(
            Signed::hmac256(&[Header("x-signature-primary"), Header("x-signature-secondary")])
                .base64(),
        )
        .id(All(&[Body("date"), Whole]))
        .kind(Body("eventType"))
        .note("During a rotation the old secret signs the second header.")
        .unconfirmed(),
    Provider::medium("fintoc", "https://docs.fintoc.com/docs/webhooks-walkthrough")
        .signed(paired(&[Header("fintoc-signature")], &["v1"]))
        .id(Body("id"))
        .kind(Body("type")),
    Provider::high("modern_treasury", "https://docs.moderntreasury.com/platform/reference/webhooks")
        .signed(Signed::hmac256(&[Header("x-signature")]))
        .id(Header("x-webhook-id"))
        .kind(First(&[Header("x-topic"), Body("event")])),
    Provider::medium("ramp", "https://docs.ramp.com/developer-api/v1/webhooks")
        .signed(Signed::hmac256(&[Header("x-ramp-signature")]))
        .id(Body("id"))
        .kind(Body("type")),
    Provider::medium("xendit", "https://docs.xendit.co/docs/handling-webhooks")
        .token(Header("x-callback-token"), "")
        .id(Header("webhook-id"))
        .kind(Body("event")),
    Provider::medium("midtrans", "https://docs.midtrans.com/docs/https-notification-webhooks")
        .signed(
            Signed::new(&[Body("signature_key")], Algorithm::Digest(Hash::Sha512)).over(&[&[
                Part::At(Body("order_id")),
                Part::At(Body("status_code")),
                Part::At(Body("gross_amount")),
                Part::Secret,
            ]]),
        )
        .partial()
        .id(All(&[
            Body("transaction_id"),
            Body("transaction_status"),
            Body("status_code"),
            First(&[Body("refund_amount"), Body("gross_amount")]),
        ]))
        .kind(Body("transaction_status"))
        .note("Three fields are signed, the transaction's status is not one of them."),
    Provider::medium("paymongo", "https://developers.paymongo.com/docs/creating-webhook")
        .signed(paired(&[Header("paymongo-signature")], &["te", "li"]))
        .id(Body("data.id"))
        .kind(Body("data.attributes.type"))
        .note("te signs test events, li live ones."),
    Provider::low("solidgate", "https://docs.solidgate.com/payments/integrate/webhooks/")
        .signed(
            Signed::hmac512(&[Header("signature")])
                .encoding(Encoding::Base64Hex)
                .key(KeyForm::Pair)
                .over(&[&[Part::Public, Part::Body, Part::Public]]),
        )
        .id(Header("solidgate-event-id"))
        .kind(Header("solidgate-event-type"))
        .note("The secret is written public_key:secret_key."),
    Provider::medium("fireblocks", "https://developers.fireblocks.com/docs/webhooks-notifications")
        .signed(Signed::public(&[Header("fireblocks-signature")], Algorithm::Rsa(Hash::Sha512)))
        .id(Body("id"))
        .kind(First(&[Body("eventType"), Body("type")]))
        .note("The secret is the public key of the environment."),
    Provider::medium("circle", "https://developers.circle.com/w3s/webhook-notifications")
        .signed(Signed::public(&[Header("x-circle-signature")], Algorithm::Ecdsa(Hash::Sha256)))
        .asks(&[Question::Reachability])
        .id(Body("notificationId"))
        .kind(Body("notificationType"))
        .note("The secret is the public key that Circle's API returns for X-Circle-Key-Id."),
    Provider::medium("alipay", "https://opendocs.alipay.com/common/02mse7")
        .signed(
            Signed::public(&[Form("sign")], Algorithm::Rsa(Hash::Sha256))
                .over(&[&[Part::Custom(crate::custom::alipay)]]),
        )
        .replies("success")
        .id(Form("notify_id"))
        .kind(First(&[Form("trade_status"), Form("notify_type"), Form("msg_method")]))
        .note("The secret is Alipay's public key."),
    Provider::medium("wechat_pay", "https://pay.weixin.qq.com/doc/v3/merchant/4012365342")
        .signed(
            Signed::public(&[Header("wechatpay-signature")], Algorithm::Rsa(Hash::Sha256))
                .over(&[&[
                    Part::Stamp,
                    Part::Text("\n"),
                    Part::At(Header("wechatpay-nonce")),
                    Part::Text("\n"),
                    Part::Body,
                    Part::Text("\n"),
                ]])
                .stamp(time("wechatpay-timestamp"), Unit::Seconds, 300),
        )
        .id(Body("id"))
        .kind(Body("event_type"))
        .note("The secret is the platform certificate. `resource` arrives encrypted."),
    Provider::low("klarna", "https://docs.klarna.com/klarna-network-distribution/acquiring-partner-setup/webhooks")
        .check(Check::Either(
            &Check::Signed(Signed::hmac256(&[Header("klarna-signature")])),
            &Check::Signed(Signed::hmac256(&[Header("klarna-signature")]).base64()),
        ))
        .fails_with(400)
        .id(Body("metadata.event_id"))
        .kind(Body("metadata.event_type"))
        .note("The secret is the signing key that Klarna-Signing-Key-Id names. Hex or base64 is not documented: both are taken."),
    Provider::low("bitpay", "https://developer.bitpay.com/docs/webhooks")
        .id(First(&[
            All(&[Body("event.name"), Body("data.id"), Body("data.status")]),
            All(&[Body("id"), Body("status")]),
        ]))
        .kind(Body("event.name"))
        .note("Unsigned: fetch the invoice."),
    Provider::low("nmi", "https://docs.nmi.com/docs/webhooks")
        .signed(Signed::hmac256(&[Header("webhook-signature")]).pairs(&["s"]).over(&[&[
            Part::Field("t"),
            Part::Text("."),
            Part::Body,
        ]]))
        .id(Body("event_id"))
        .kind(Body("event_type"))
        .note("t is a nonce, not a time."),
    Provider::low("synctera", "https://dev.synctera.com/docs/webhooks")
        .signed(
            Signed::hmac256(&[Header("synctera-signature")])
                .syntax(Syntax::Several { prefix: "", separators: "." })
                .over(TIME_DOT_BODY)
                .stamp(time("request-timestamp"), Unit::Seconds, 300),
        )
        .id(Body("id"))
        .kind(Body("type")),
    Provider::low("rutter", "https://docs.rutter.com/rest/version/webhooks")
        .signed(Signed::hmac256(&[Header("x-rutter-signature")]).base64().prefix("sha256="))
        .id(Body("event_id"))
        .kind(All(&[Body("type"), Body("code")])),
    Provider::low("checkbook", "https://docs.checkbook.io/docs/webhooks")
        .signed(
            Signed::hmac256(&[Header("signature")])
                .pairs(&["signature"])
                .over(&[&[Part::Body, Part::Field("nonce")]]),
        )
        .id(All(&[Body("id"), Body("status")]))
        .kind(Body("type")),
    Provider::medium("orb", "https://docs.withorb.com/guides/integrations-and-exports/webhooks")
        .signed(
            Signed::hmac256(&[Header("x-orb-signature")])
                .several("v1=")
                .over(&[&[Part::Text("v1:"), Part::Stamp, Part::Text(":"), Part::Body]])
                .stamp(time("x-orb-timestamp"), Unit::Rfc3339, 300),
        )
        .id(Body("id"))
        .kind(Body("type")),
    Provider::medium("pinwheel", "https://docs.pinwheelapi.com/public/docs/webhooks")
        .signed(
            Signed::hmac256(&[Header("x-pinwheel-signature")])
                .several("v2=")
                .over(&[&[Part::Text("v2:"), Part::Stamp, Part::Text(":"), Part::Body]])
                .stamp(time("x-timestamp"), Unit::Seconds, 300),
        )
        .id(Body("event_id"))
        .kind(Body("event")),
    Provider::medium("ripple_collections", "https://docs.ripple.com/")
        .signed(
            Signed::hmac256(&[Header("x-webhook-signature")])
                .pairs(&["v1"])
                .key(KeyForm::Base64)
                .over(&[&[
                    Part::Stamp,
                    Part::Text("."),
                    Part::BodyDigest(Hash::Sha256, Encoding::Hex),
                ]])
                .stamp(Field("t"), Unit::Millis, 300),
        )
        .id(Body("id"))
        .kind(Body("type"))
        .note("X-Webhook-Timestamp repeats t; only t is signed and read."),
    Provider::low("tebex", "https://docs.tebex.io/developers/webhooks/overview")
        .signed(
            Signed::hmac256(&[Header("x-signature")])
                .over(&[&[Part::BodyDigest(Hash::Sha256, Encoding::Hex)]]),
        )
        .asks(&[Question::ValidationEvent])
        .id(Body("id"))
        .kind(Body("type"))
        .note("The HMAC is over the hex digest of the body."),
];

const HOOK0: Signed<'static> = Signed::hmac256(&[Header("x-hook0-signature")])
    .pairs(&["v0", "v1"])
    .over(&[
        &[Part::Stamp, Part::Text("."), Part::Body],
        &[Part::CustomFields(crate::custom::hook0)],
    ])
    .stamp(Field("t"), Unit::Seconds, 300);
