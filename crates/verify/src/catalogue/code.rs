use crate::{Place::Header, Provider, handshake::Question, scheme::Signed};

pub(super) static ROWS: &[Provider] = &[
    Provider::high(
        "github",
        "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    )
    .signed(Signed::hmac256(&[Header("x-hub-signature-256")]).prefix("sha256="))
    .id(Header("x-github-delivery"))
    .kind(Header("x-github-event"))
    .note("A manual redelivery keeps the delivery id; JSON escapes arrive upper-cased."),
    Provider::high("shopify", "https://shopify.dev/docs/apps/build/webhooks/subscribe/https")
        .signed(Signed::hmac256(&[Header("x-shopify-hmac-sha256")]).base64()),
    Provider::high("x", "https://docs.x.com/x-api/webhooks/introduction")
        .signed(Signed::hmac256(&[Header("x-twitter-webhooks-signature")]).base64().prefix("sha256="))
        .asks(&[Question::CrcToken]),
];
