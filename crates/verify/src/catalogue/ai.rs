//! Models, agents, voices, and the data that feeds them.

use super::prelude::*;

pub(super) static ROWS: &[Provider] = &[
    Provider::high(
        "elevenlabs",
        "https://elevenlabs.io/docs/product-guides/administration/webhooks",
    )
    .signed(paired(&[Header("elevenlabs-signature")], &["v0"]).stamp(
        Field("t"),
        Unit::Seconds,
        1800,
    ))
    .id(All(&[Body("type"), Body("data.conversation_id")]))
    .kind(Body("type")),
    Provider::medium("vapi", "https://docs.vapi.ai/server-url/server-authentication")
        .check(Check::Either(
            &Check::Signed(Signed::hmac256(&[Header("x-vapi-signature")])),
            &Check::Token { place: Header("x-vapi-secret"), prefix: "" },
        ))
        .unproven()
        .id(All(&[Body("message.call.id"), Body("message.type"), Body("message.timestamp")]))
        .kind(Body("message.type"))
        .note("Either a signature or the secret itself."),
    Provider::medium("retell", "https://docs.retellai.com/features/secure-webhook")
        .signed(
            Signed::hmac256(&[Header("x-retell-signature")]).pairs(&["d"]).over(BODY_TIME).stamp(
                Field("v"),
                Unit::Millis,
                300,
            ),
        )
        .id(All(&[Body("call.call_id"), Body("event"), Whole]))
        .kind(Body("event"))
        .note("The key is the API key. v is the time, d the signature."),
    Provider::medium("fal_ai", "https://docs.fal.ai/model-endpoints/webhooks")
        .signed(
            Signed::public(&[Header("x-fal-webhook-signature")], Algorithm::Ed25519)
                .encoding(Encoding::Hex)
                .keys(KeySource::Published {
                    url: "https://rest.alpha.fal.ai/.well-known/jwks.json",
                    key_id: None,
                })
                .over(&[&[
                    Part::At(Header("x-fal-webhook-request-id")),
                    Part::Text("\n"),
                    Part::At(Header("x-fal-webhook-user-id")),
                    Part::Text("\n"),
                    Part::Stamp,
                    Part::Text("\n"),
                    Part::BodyDigest(Hash::Sha256, Encoding::Hex),
                ]])
                .stamp(time("x-fal-webhook-timestamp"), Unit::Seconds, 300),
        )
        .id(Header("x-fal-webhook-request-id"))
        .kind(Body("status")),
    Provider::medium("firecrawl", "https://docs.firecrawl.dev/webhooks/security")
        .signed(Signed::hmac256(&[Header("x-firecrawl-signature")]).prefix("sha256="))
        .id(All(&[Body("id"), Body("type"), Whole]))
        .kind(Body("type")),
    Provider::low("exa", "https://docs.exa.ai/websets/api/webhooks")
        .signed(Signed::hmac256(&[Header("x-exa-signature")]))
        .id(Body("id"))
        .kind(Body("type")),
    Provider::medium("assemblyai", "https://www.assemblyai.com/docs/deployment/webhooks")
        .check(Check::NamedHeader)
        .id(All(&[Body("transcript_id"), Body("status")]))
        .kind(Body("status"))
        .note("The secret is written Header-Name: value, as given with the job."),
    Provider::high(
        "deepgram",
        "https://developers.deepgram.com/docs/using-callbacks-to-return-transcripts-to-your-server",
    )
    .token(Header("dg-token"), "")
    .id(Body("metadata.request_id"))
    .no_kind("Every request is a transcript.")
    .note("The secret is the id of the API key that was used."),
    Provider::medium(
        "nango",
        "https://docs.nango.dev/implementation-guides/platform/webhooks-from-nango",
    )
    .check(Check::Either(
        &Check::Signed(Signed::hmac256(&[Header("x-nango-hmac-sha256")])),
        &Check::Signed(
            Signed::new(&[Header("x-nango-signature")], Algorithm::Digest(Hash::Sha256))
                .over(&[&[Part::Secret, Part::Body]]),
        ),
    ))
    .id(All(&[Body("modifiedAfter"), Whole]))
    .kind(Body("type"))
    .note("The old header is a plain SHA-256 of secret and body.")
    .unconfirmed(),
];
