//! Where code is kept, built, shipped and watched.

use super::prelude::*;

pub(super) static ROWS: &[Provider] = &[
    Provider::high(
        "github",
        "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    )
    .signed(Signed::hmac256(&[Header("x-hub-signature-256")]).prefix("sha256="))
    .id(Header("x-github-delivery"))
    .kind(Header("x-github-event"))
    .note("A manual redelivery keeps the delivery id. \\uXXXX escapes arrive upper-cased."),
    Provider::high(
        "github_legacy",
        "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    )
    .signed(Signed::hmac1(&[Header("x-hub-signature")]).prefix("sha1="))
    .id(Header("x-github-delivery"))
    .kind(Header("x-github-event")),
    Provider::high(
        "github_marketplace",
        "https://docs.github.com/en/apps/github-marketplace",
    )
    .signed(Signed::hmac256(&[Header("x-hub-signature-256")]).prefix("sha256="))
    .id(Header("x-github-delivery"))
    .kind(Header("x-github-event")),
    Provider::high("gitlab", "https://docs.gitlab.com/user/project/integrations/webhooks/")
        .token(Header("x-gitlab-token"), "")
        .id(First(&[Header("idempotency-key"), Header("x-gitlab-event-uuid")]))
        .kind(First(&[Header("x-gitlab-event"), Body("object_kind")]))
        .note("From 19.0 GitLab can sign: gitlab_signing_token."),
    Provider::high("bitbucket", "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/")
        .signed(Signed::hmac256(&[Header("x-hub-signature")]).prefix("sha256="))
        .id(Header("x-request-uuid"))
        .kind(Header("x-event-key")),
    Provider::medium("gitea", "https://docs.gitea.com/usage/webhooks")
        .check(Check::Either(
            &Check::Signed(Signed::hmac256(&[Header("x-gitea-signature")])),
            &Check::Signed(Signed::hmac256(&[Header("x-hub-signature-256")]).prefix("sha256=")),
        ))
        .id(Header("x-gitea-delivery"))
        .kind(Header("x-gitea-event")),
    Provider::medium("forgejo", "https://forgejo.org/docs/latest/user/webhooks/")
        .signed(Signed::hmac256(&[Header("x-forgejo-signature")]))
        .id(Header("x-forgejo-delivery"))
        .kind(Header("x-forgejo-event")),
    Provider::medium("azure_devops", "https://learn.microsoft.com/en-us/azure/devops/service-hooks/services/webhooks")
        .check(Check::Basic)
        .id(All(&[Body("subscriptionId"), Body("notificationId")]))
        .kind(Body("eventType")),
    Provider::high("jira", "https://developer.atlassian.com/cloud/jira/platform/webhooks/")
        .signed(Signed::hmac256(&[Header("x-hub-signature")]).prefix("sha256="))
        .id(Header("x-atlassian-webhook-identifier"))
        .kind(Body("webhookEvent")),
    Provider::medium("confluence", "https://developer.atlassian.com/cloud/confluence/modules/webhook/")
        .signed(Signed::hmac256(&[Header("x-hub-signature")]).prefix("sha256="))
        .id(Header("x-atlassian-webhook-identifier"))
        .kind(First(&[Body("event"), Body("webhookEvent")])),
    Provider::high("circleci", "https://circleci.com/docs/webhooks/")
        .signed(Signed::hmac256(&[Header("circleci-signature")]).several("v1="))
        .id(Body("id"))
        .kind(First(&[Header("circleci-event-type"), Body("type")])),
    Provider::high("buildkite", "https://buildkite.com/docs/apis/webhooks/pipelines")
        .signed(
            Signed::hmac256(&[Header("x-buildkite-signature")])
                .pairs(&["signature"])
                .over(TIME_DOT_BODY)
                .stamp(Field("timestamp"), Unit::Seconds, 300),
        )
        .id(Header("x-buildkite-request"))
        .kind(First(&[Header("x-buildkite-event"), Body("event")]))
        .unconfirmed(),
    Provider::high("buildkite_token", "https://buildkite.com/docs/apis/webhooks/pipelines")
        .token(Header("x-buildkite-token"), "")
        .id(Header("x-buildkite-request"))
        .kind(Header("x-buildkite-event"))
        .unconfirmed(),
    Provider::medium("travis_ci", "https://docs.travis-ci.com/user/notifications/#verifying-webhook-requests")
        .signed(
            Signed::public(&[Header("signature")], Algorithm::Rsa(Hash::Sha1))
                .keys(KeySource::Published { url: "https://api.travis-ci.com/config", key_id: None })
                .over(&[&[Part::At(Form("payload"))]]),
        )
        .id(All(&[
            FormJson("payload", "id"),
            FormJson("payload", "state"),
            First(&[FormJson("payload", "finished_at"), FormJson("payload", "started_at")]),
        ]))
        .kind(FormJson("payload", "type"))
        .note("The decoded form field `payload` is signed."),
    Provider::medium("terraform_cloud", "https://developer.hashicorp.com/terraform/cloud-docs/workspaces/settings/notifications")
        .signed(Signed::hmac512(&[Header("x-tfe-notification-signature")]))
        .id(All(&[
            Body("run_id"),
            Body("notifications.0.trigger"),
            Body("notifications.0.run_updated_at"),
        ]))
        .kind(Body("notifications.0.trigger")),
    Provider::high("vercel", "https://vercel.com/docs/webhooks/webhooks-api")
        .signed(Signed::hmac1(&[Header("x-vercel-signature")]))
        .asks(&[Question::Known("x-vercel-verify")])
        .id(Body("id"))
        .kind(Body("type"))
        .note("SHA-1, in spite of what some libraries ship. For log drains: verify_token:… with the value of x-vercel-verify."),
    Provider::high("netlify", "https://docs.netlify.com/site-deploys/notifications/#payload-signature")
        .check(Check::Jwt(Jwt {
            issuers: &["netlify"],
            ..jwt(
                JwtPlace::Header("x-webhook-signature", ""),
                &[JwtAlgorithm::Hs256],
                &[Claim::Body { name: "sha256", encoding: Encoding::Hex, required: true }],
            )
        }))
        // A deploy may be locked or restored more than once.
        .id(All(&[Header("x-netlify-event"), Body("id"), Whole]))
        .kind(Header("x-netlify-event")),
    Provider::high("heroku", "https://devcenter.heroku.com/articles/app-webhooks")
        .signed(Signed::hmac256(&[Header("heroku-webhook-hmac-sha256")]).base64())
        .id(Body("webhook_metadata.event.id"))
        .kind(Body("webhook_metadata.event.include")),
    Provider::high("sentry", "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/")
        .signed(Signed::hmac256(&[Header("sentry-hook-signature")]))
        .id(Header("request-id"))
        .kind(Header("sentry-hook-resource"))
        .note("Sentry-Hook-Timestamp is not signed and not checked."),
    Provider::high("pagerduty", "https://developer.pagerduty.com/docs/verifying-webhook-signatures")
        .signed(Signed::hmac256(&[Header("x-pagerduty-signature")]).several("v1="))
        .id(Body("event.id"))
        .kind(Body("event.event_type")),
    Provider::high("launchdarkly", "https://launchdarkly.com/docs/integrations/webhooks")
        .signed(Signed::hmac256(&[Header("x-ld-signature")]))
        .id(Body("_id"))
        .kind(Body("kind")),
    Provider::medium("grafana", "https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/")
        .signed(
            Signed::hmac256(&[Header("x-grafana-alerting-signature")])
                .over(&[&[Part::Stamp, Part::Text(":"), Part::Body], &[Part::Body]])
                .optional_stamp(time("x-grafana-alerting-timestamp"), Unit::Seconds, 300),
        )
        .no_id("A reminder of an alert is the same body as a second try.")
        .kind(Body("status"))
        .note("The timestamp header is optional and its name is the operator's choice."),
    Provider::medium("snyk", "https://docs.snyk.io/snyk-api/using-specific-snyk-apis/webhooks-apis")
        .signed(Signed::hmac256(&[Header("x-hub-signature")]).prefix("sha256="))
        .id(Header("x-snyk-transport-id"))
        .kind(Header("x-snyk-event")),
    Provider::medium("sonarcloud", "https://docs.sonarsource.com/sonarqube-cloud/administering-sonarcloud/webhooks/")
        .signed(Signed::hmac256(&[Header("x-sonar-webhook-hmac-sha256")]))
        .id(All(&[Body("taskId"), Body("status")]))
        .kind(Body("status")),
    Provider::medium("npm", "https://docs.npmjs.com/about-npm-hooks")
        .signed(Signed::hmac256(&[Header("x-npm-signature")]).prefix("sha256="))
        .id(All(&[Body("time"), Whole]))
        .kind(Body("event")),
    Provider::medium("docker_hub", "https://docs.docker.com/docker-hub/repos/manage/webhooks/")
        .id(All(&[Body("push_data.pushed_at"), Whole]))
        .no_kind("Every request is a push.")
        .note("Unsigned: keep the URL secret."),
    Provider::medium("huggingface", "https://huggingface.co/docs/hub/webhooks")
        .token(Header("x-webhook-secret"), "")
        .id(All(&[First(&[Body("comment.id"), Body("updatedRefs.*.newSha")]), Whole]))
        .kind(All(&[Body("event.action"), Body("event.scope")])),
    Provider::medium("expo_eas", "https://docs.expo.dev/eas/webhooks/")
        .signed(Signed::hmac1(&[Header("expo-signature")]).prefix("sha1="))
        .id(All(&[Body("id"), Body("status")]))
        .kind(Body("status")),
    Provider::high("keygen", "https://keygen.sh/docs/api/signatures/#webhook-signatures")
        .signed(
            Signed::public(&[Header("keygen-signature")], Algorithm::Ed25519)
                .pairs(&["signature"])
                .over(&[&[
                    Part::Text("(request-target): post "),
                    Part::Url(UrlForm::Path),
                    Part::Text("\nhost: "),
                    Part::Url(UrlForm::Host),
                    Part::Text("\ndate: "),
                    Part::Stamp,
                    Part::Text("\ndigest: sha-256="),
                    Part::BodyDigest(Hash::Sha256, Encoding::Base64),
                ]])
                .stamp(time("date"), Unit::HttpDate, 300),
        )
        .id(Body("data.id"))
        .kind(Body("data.attributes.event"))
        .note("The secret is the account's Ed25519 public key, in hex. The endpoint's signature algorithm has to be ed25519, which it is unless another was chosen."),
    Provider::high("cursor", "https://docs.cursor.com/background-agent/api/webhooks")
        .signed(Signed::hmac256(&[Header("x-webhook-signature")]).prefix("sha256="))
        .id(Header("x-webhook-id"))
        .kind(Header("x-webhook-event")),
    Provider::medium("doppler", "https://docs.doppler.com/docs/webhooks")
        .signed(Signed::hmac256(&[Header("x-doppler-signature")]).prefix("sha256="))
        .no_id("Two changes of a config send the same body.")
        .kind(Body("type")),
    Provider::high("tailscale", "https://tailscale.com/kb/1213/webhooks")
        .signed(paired(&[Header("tailscale-webhook-signature")], &["v1"]))
        .id(All(&[Body("*.timestamp"), Whole]))
        .kind(Body("*.type")),
    Provider::medium("hcp_radar", "https://developer.hashicorp.com/hcp/docs/vault-radar")
        .signed(Signed::hmac512(&[Header("x-hcp-radar-signature")]).prefix("sha512="))
        .id(Header("x-hcp-radar-message-id"))
        .kind(Body("event_type")),
    Provider::medium("rootly", "https://docs.rootly.com/configuration/webhooks")
        .signed(paired(&[Header("x-rootly-signature")], &["v1"]).over(TIME_BODY))
        .id(Body("event.id"))
        .kind(Body("event.type")),
    Provider::medium("autodesk", "https://aps.autodesk.com/en/docs/webhooks/v1/developers_guide/basics/")
        .signed(Signed::hmac1(&[Header("x-adsk-signature")]).prefix("sha1hash="))
        .id(All(&[Body("hook.hookId"), Body("payload.modifiedTime"), Whole]))
        .kind(Body("hook.event")),
    Provider::medium("mongodb_atlas", "https://www.mongodb.com/docs/atlas/tutorial/third-party-service-integrations/")
        .signed(Signed::hmac1(&[Header("x-mms-signature")]).base64())
        .id(All(&[
            Body("id"),
            Body("status"),
            Body("updated"),
            First(&[Body("lastNotified"), Body("created")]),
        ]))
        .kind(Body("eventTypeName")),
    Provider::medium("sonatype_nexus", "https://help.sonatype.com/en/working-with-hmac-payloads.html")
        .signed(Signed::hmac1(&[Header("x-nexus-webhook-signature")]))
        .id(Header("x-nexus-webhook-delivery"))
        .kind(Header("x-nexus-webhook-id")),
    Provider::medium("configcat", "https://configcat.com/docs/advanced/notifications-webhooks/")
        .signed(
            Signed::hmac256(&[Header("x-configcat-webhook-signature-v1")])
                .base64()
                .several("")
                .over(&[&[
                    Part::At(Header("x-configcat-webhook-id")),
                    Part::Stamp,
                    Part::Body,
                ]])
                .stamp(time("x-configcat-webhook-timestamp"), Unit::Seconds, 300),
        )
        .id(Header("x-configcat-webhook-id"))
        .no_kind("The operator writes the body."),
    Provider::medium("castle", "https://docs.castle.io/docs/webhooks")
        .signed(Signed::hmac256(&[Header("x-castle-signature")]).base64())
        .id(All(&[Body("created_at"), Whole]))
        .kind(Body("type"))
        .unconfirmed(),
    Provider::low("signal_sciences", "https://docs.fastly.com/signalsciences/integrations/generic-webhooks/")
        .signed(Signed::hmac256(&[Header("x-sigsci-signature")]))
        .id(All(&[Body("created"), Whole]))
        .kind(Body("type")),
    Provider::low("trendmicro_conformity", "https://cloudone.trendmicro.com/docs/conformity/webhook-communication/")
        .signed(Signed::hmac256(&[Header("x-cc-signature")]))
        .no_id("Its bodies are not known to us.")
        .no_kind("Its bodies are not known to us."),
    Provider::low("port_io", "https://docs.port.io/actions-and-automations/setup-backend/webhook/")
        .signed(
            Signed::hmac256(&[Header("x-port-signature")])
                .base64()
                .syntax(Syntax::Versions)
                .over(TIME_DOT_BODY)
                .stamp(time("x-port-timestamp"), Unit::Millis, 300),
        )
        .id(Body("context.runId"))
        .kind(Body("action")),
];
