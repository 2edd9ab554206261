//! Gateways like this one.

use super::prelude::*;

pub(super) static ROWS: &[Provider] = &[
    Provider::high("hookdeck_forwarded", "https://hookdeck.com/docs/authentication")
        .signed(
            Signed::hmac256(&[Header("x-hookdeck-signature"), Header("x-hookdeck-signature-2")])
                .base64(),
        )
        .id(Header("x-hookdeck-eventid"))
        .kind(Header("x-hookdeck-source-name")),
    Provider::medium("convoy_forwarded", "https://docs.getconvoy.io/product-manual/signatures")
        .check(Check::Either(
            &Check::Signed(
                Signed::hmac256(&[Header("x-convoy-signature")])
                    .pairs(&["v1"])
                    .over(&[&[Part::Stamp, Part::Text(","), Part::Body]])
                    .stamp(Field("t"), Unit::Seconds, 300),
            ),
            &Check::Signed(Signed::hmac256(&[Header("x-convoy-signature")])),
        ))
        .id(Header("x-convoy-idempotency-key"))
        .kind(Body("event_type"))
        .note("SHA-256 in hex, advanced or simple; for other settings describe the scheme."),
    Provider::high("outpost_forwarded", "https://outpost.hookdeck.com/docs/destinations/webhook")
        .signed(
            Signed::hmac256(&[Header("x-outpost-signature")])
                .syntax(Syntax::After { prefix: "v0=", separators: "," }),
        )
        .id(Header("x-outpost-event-id"))
        .kind(Header("x-outpost-topic"))
        .note("The key is the whole secret, whsec_ included."),
    Provider::high("hookstream_forwarded", "https://docs.hookstream.io/outbound-signing")
        .signed(
            Signed::hmac256(&[Header("x-hookstream-signature")])
                .prefix("sha256=")
                .over(&[&[Part::Stamp, Part::Text("."), Part::Body], &[Part::Body]])
                .optional_stamp(time("x-hookstream-timestamp"), Unit::Seconds, 300),
        )
        .no_id("Inlet knows of no id in what it forwards.")
        .no_kind("Inlet knows of no type in what it forwards."),
    Provider::medium(
        "zapier",
        "https://help.zapier.com/hc/en-us/articles/8496326446989-Send-webhooks-in-Zaps",
    )
    .no_id("The operator writes the body.")
    .no_kind("The operator writes the body.")
    .note("Unsigned unless the Zap adds a header: then check that as an API key."),
];
