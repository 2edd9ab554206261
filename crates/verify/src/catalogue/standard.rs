//! Standard Webhooks, which Svix sends under two sets of header names: one scheme for them all.

use super::prelude::*;

const SCHEME: Signed<'static> =
    Signed::hmac256(&[Header("webhook-signature"), Header("svix-signature")])
        .base64()
        .syntax(Syntax::Versions)
        .key(KeyForm::Base64)
        .over(&[&[
            Part::At(First(&[Header("webhook-id"), Header("svix-id")])),
            Part::Text("."),
            Part::Stamp,
            Part::Text("."),
            Part::Body,
        ]])
        .stamp(
            StampAt::Place(First(&[Header("webhook-timestamp"), Header("svix-timestamp")])),
            Unit::Seconds,
            300,
        );

/// [`SCHEME`] with public keys. A row of its own: a public key taken for an HMAC secret would let
/// everybody in.
const PUBLIC: Signed<'static> =
    Signed { algorithm: Algorithm::Ed25519, key: KeyForm::Public, ..SCHEME };

const fn row(provider: Provider) -> Provider {
    provider.signed(SCHEME).id(First(&[Header("webhook-id"), Header("svix-id")])).kind(Body("type"))
}

pub(super) static ROWS: &[Provider] = &[
    row(Provider::high("standard_webhooks", "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md")).note("A secret that starts with whpk_ is an Ed25519 public key for the v1a signatures."),
    row(Provider::high(
        "standard_webhooks_v1a",
        "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    ))
    .signed(PUBLIC)
    .note("The secret is the Ed25519 public key, with whpk_ in front or without."),
    row(Provider::high("svix", "https://docs.svix.com/receiving/verifying-payloads/how-manual")),
    row(Provider::high("lithic", "https://docs.lithic.com/docs/events-api")).kind(Body("event_type")),
    row(Provider::high("clerk", "https://clerk.com/docs/webhooks/sync-data")),
    row(Provider::high("resend", "https://resend.com/docs/dashboard/webhooks/verify-webhooks-requests")),
    row(Provider::medium("stytch", "https://stytch.com/docs/guides/dashboard/webhooks")),
    row(Provider::medium("vanta", "https://developer.vanta.com/docs/webhooks")),
    row(Provider::medium("loops", "https://loops.so/docs/webhooks")),
    row(Provider::high("supabase_auth_hooks", "https://supabase.com/docs/guides/auth/auth-hooks")).note("The secret is pasted as v1,whsec_…: only what starts with whsec_ is the key."),
    row(Provider::high("render", "https://render.com/docs/webhooks")),
    row(Provider::high("brex", "https://developer.brex.com/docs/webhooks/")).kind(Body("event_type")),
    row(Provider::high("openai", "https://platform.openai.com/docs/guides/webhooks")),
    row(Provider::high("anthropic", "https://github.com/anthropics/anthropic-sdk-python")),
    row(Provider::high("replicate", "https://replicate.com/docs/topics/webhooks/verify-webhook")),
    row(Provider::medium("gemini", "https://ai.google.dev/gemini-api/docs")),
    row(Provider::medium("etsy", "https://developers.etsy.com/documentation/")),
    row(Provider::high("incident_io", "https://api-docs.incident.io/")),
    row(Provider::medium("recall_ai", "https://docs.recall.ai/docs/webhooks")),
    row(Provider::medium("dodo_payments", "https://docs.dodopayments.com/developer-resources/webhooks")),
    row(Provider::medium("beehiiv", "https://developers.beehiiv.com/webhooks")),
    row(Provider::medium("guesty", "https://open-api-docs.guesty.com/docs/webhooks")),
    row(Provider::medium("nash", "https://docs.usenash.com/")),
    row(Provider::medium("pleo", "https://developers.pleo.io/docs/webhooks")),
    row(Provider::medium("safebase", "https://docs.safebase.io/")),
    row(Provider::medium("sardine", "https://docs.sardine.ai/")),
    row(Provider::medium("psi_fi", "https://docs.psi.fi/")),
    row(Provider::medium("drata", "https://developers.drata.com/")),
    row(Provider::medium("liveblocks", "https://liveblocks.io/docs/platform/webhooks")),
    row(Provider::medium("novu", "https://docs.novu.co/")),
    row(Provider::medium("yoco", "https://developer.yoco.com/online/api-reference/webhooks/verifying-the-events")),
    row(Provider::medium("zapier_outbound", "https://docs.zapier.com/")),
    row(Provider::medium("warp", "https://docs.warp.dev/")),
    row(Provider::medium("daytona", "https://www.daytona.io/docs/")),
    row(Provider::medium("crossmint", "https://docs.crossmint.com/introduction/platform/webhooks/overview")),
    row(Provider::high("polar", "https://docs.polar.sh/integrate/webhooks/delivery"))
        .signed(SCHEME.key(KeyForm::Text))
        .note("The secret is the key as it stands, polar_whs_ included; it is not base64."),
    row(Provider::medium("bigcommerce", "https://developer.bigcommerce.com/docs/integrations/webhooks"))
        .signed(SCHEME.key(KeyForm::Text))
        .id(First(&[Header("webhook-id"), Body("hash")]))
        .kind(Body("scope"))
        .note("The key is the app's client secret. Stores without an app send no signature."),
    row(Provider::high(
        "gitlab_signing_token",
        "https://docs.gitlab.com/user/project/integrations/webhooks/",
    ))
    .kind(First(&[Header("x-gitlab-event"), Body("object_kind")]))
    .note("GitLab 19.0 and later; webhook-id equals Idempotency-Key."),
    Provider::high("finch", "https://developer.tryfinch.com/api-reference/development-guides/Webhooks")
        .signed(
            Signed::hmac256(&[Header("finch-signature")])
                .base64()
                .syntax(Syntax::Versions)
                .key(KeyForm::Base64)
                .over(&[&[
                    Part::At(Header("finch-event-id")),
                    Part::Text("."),
                    Part::Stamp,
                    Part::Text("."),
                    Part::Body,
                ]])
                .stamp(time("finch-timestamp"), Unit::Seconds, 300),
        )
        .id(Header("finch-event-id"))
        .kind(Body("event_type")),
];
