//! Content, analytics, realtime, mobile.

use super::prelude::*;

pub(super) static ROWS: &[Provider] = &[
    Provider::high("sanity", "https://www.sanity.io/docs/content-lake/webhook-best-practices")
        .signed(
            Signed::hmac256(&[Header("sanity-webhook-signature")])
                .encoding(Encoding::Base64Url)
                .pairs(&["v1"])
                .over(TIME_DOT_BODY)
                .stamp(Field("t"), Unit::Millis, 0),
        )
        .id(Header("idempotency-key"))
        .kind(Header("sanity-operation"))
        .note("URL-safe base64 without padding. Sanity enforces no age.")
        .unconfirmed(),
    Provider::high(
        "contentful",
        "https://www.contentful.com/developers/docs/webhooks/request-verification/",
    )
    .signed(
        Signed::hmac256(&[Header("x-contentful-signature")])
            .over(&[&[Part::Custom(crate::custom::contentful)]])
            .stamp(time("x-contentful-timestamp"), Unit::Millis, 30),
    )
    .also_by_get()
    .id(All(&[
        Header("x-contentful-topic"),
        Body("sys.id"),
        First(&[Body("sys.updatedAt"), Body("sys.deletedAt")]),
        Whole,
    ]))
    .kind(Header("x-contentful-topic"))
    .note("Method, path, chosen headers and body are signed; 30 s, as in Contentful's library."),
    Provider::high("hygraph", "https://hygraph.com/docs/api-reference/basics/webhooks")
        .signed(
            Signed::hmac256(&[Header("gcms-signature")])
                .base64()
                .pairs(&["sign"])
                .over(&[&[
                    Part::Text("{\"Body\":"),
                    Part::BodyQuoted,
                    Part::Text(",\"EnvironmentName\":\""),
                    Part::Field("env"),
                    Part::Text("\",\"TimeStamp\":"),
                    Part::Stamp,
                    Part::Text("}"),
                ]])
                .stamp(Field("t"), Unit::Either, 300),
        )
        .id(All(&[Body("data.updatedAt"), Whole]))
        .kind(Body("operation"))
        .note("The body is signed as a string inside of a JSON object.")
        .unconfirmed(),
    Provider::medium("storyblok", "https://www.storyblok.com/docs/concepts/webhooks")
        .signed(Signed::hmac1(&[Header("webhook-signature")]))
        .no_id("A story that is published twice sends the same body twice.")
        .kind(Body("action")),
    Provider::high("webflow", "https://developers.webflow.com/data/docs/working-with-webhooks")
        .signed(Signed::hmac256(&[Header("x-webflow-signature")]).over(TIME_COLON_BODY).stamp(
            time("x-webflow-timestamp"),
            Unit::Millis,
            300,
        ))
        .id(All(&[
            First(&[
                Body("payload.lastUpdated"),
                Body("payload.submittedAt"),
                Body("payload.publishedOn"),
                Body("payload.lastPublished"),
            ]),
            Whole,
        ]))
        .kind(Body("triggerType"))
        .unconfirmed(),
    Provider::medium("ghost", "https://ghost.org/docs/webhooks/")
        .signed(
            Signed::hmac256(&[Header("x-ghost-signature")])
                .pairs(&["sha256"])
                .over(&[&[Part::Body, Part::Stamp], &[Part::Body]])
                .stamp(Field("t"), Unit::Millis, 300),
        )
        .id(All(&[
            First(&[
                Body("post.current.updated_at"),
                Body("page.current.updated_at"),
                Body("member.current.updated_at"),
                Body("tag.current.updated_at"),
                Body("post.previous.updated_at"),
                Body("page.previous.updated_at"),
                Body("member.previous.updated_at"),
                Body("tag.previous.updated_at"),
            ]),
            Whole,
        ]))
        .no_kind("Every type has a URL of its own in Ghost: make a source for each.")
        .note("Older versions do not sign the time.")
        .unconfirmed(),
    Provider::medium("discourse", "https://meta.discourse.org/t/setting-up-webhooks/49045")
        .signed(Signed::hmac256(&[Header("x-discourse-event-signature")]).prefix("sha256="))
        .id(Header("x-discourse-event-id"))
        .kind(Header("x-discourse-event")),
    Provider::high(
        "segment",
        "https://segment.com/docs/connections/destinations/catalog/webhooks/",
    )
    .signed(Signed::hmac1(&[Header("x-signature")]))
    .id(Body("messageId"))
    .kind(Body("type"))
    .note("Of a batch only the first event is signed: such requests are refused."),
    Provider::high("mux", "https://www.mux.com/docs/core/verify-webhook-signatures")
        .signed(paired(&[Header("mux-signature")], &["v1"]))
        .id(Body("id"))
        .kind(Body("type")),
    Provider::high("pusher", "https://pusher.com/docs/channels/server_api/webhooks/")
        .signed(Signed::hmac256(&[Header("x-pusher-signature")]).key(KeyForm::Pair))
        .id(All(&[Body("time_ms"), Whole]))
        .kind(Body("events.*.name"))
        .note("The secret may be written key:secret, the key being that of X-Pusher-Key."),
    Provider::medium("pusher_beams", "https://pusher.com/docs/beams/concepts/webhooks/")
        .signed(Signed::hmac1(&[Header("webhook-signature")]))
        .id(Body("metadata.event_id"))
        .kind(Header("webhook-event-type")),
    Provider::high("ably", "https://ably.com/docs/platform/integrations/webhooks")
        .signed(Signed::hmac256(&[Header("x-ably-signature")]).base64().key(KeyForm::Pair))
        .id(All(&[Body("items.*.timestamp"), Whole]))
        .kind(First(&[Body("items.*.name"), Body("source")]))
        .note("The key is what follows the colon of the API key."),
    Provider::high("revenuecat", "https://www.revenuecat.com/docs/integrations/webhooks")
        .token(Header("authorization"), "")
        .id(Body("event.id"))
        .kind(Body("event.type")),
    Provider::medium("revenuecat_hmac", "https://www.revenuecat.com/docs/integrations/webhooks")
        .signed(paired(&[Header("x-revenuecat-webhook-signature")], &["v1"]))
        .id(Body("event.id"))
        .kind(Body("event.type")),
    Provider::medium("alchemy", "https://www.alchemy.com/docs/reference/notify-api-quickstart")
        .signed(Signed::hmac256(&[Header("x-alchemy-signature")]))
        .id(Body("id"))
        .kind(Body("type")),
    Provider::low(
        "frameio",
        "https://developer.frame.io/docs/automations-webhooks/webhooks-overview",
    )
    .signed(
        Signed::hmac256(&[Header("x-frameio-signature")]).several("v0=").over(V0_TIME_BODY).stamp(
            time("x-frameio-request-timestamp"),
            Unit::Seconds,
            300,
        ),
    )
    .no_id("Two changes of an asset send the same body.")
    .kind(Body("type"))
    .note("Sources disagree on hex or base64."),
];
