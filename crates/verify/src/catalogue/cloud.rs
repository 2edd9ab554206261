//! Clouds: event buses, notifications, identity.

use super::prelude::*;

/// Where Amazon keeps signing certificates, and where it wants subscriptions confirmed.
pub(crate) const SNS_HOSTS: &[&str] = &["sns.*.amazonaws.com", "sns.*.amazonaws.com.cn"];

const fn sns(hash: Hash) -> Check<'static> {
    Check::Signed(
        Signed::public(&[Body("Signature")], Algorithm::Rsa(hash))
            .keys(KeySource::Certificate(&CertificateAt {
                place: Body("SigningCertURL"),
                hosts: SNS_HOSTS,
                path: ("/", ".pem"),
                subjects: &["*.amazonaws.com", "*.amazonaws.com.cn"],
            }))
            .over(&[&[Part::Custom(crate::custom::sns)]])
            .stamp(StampAt::Place(Body("Timestamp")), Unit::Rfc3339, 3600),
    )
}

pub(super) static ROWS: &[Provider] = &[
    Provider::high("aws_sns", "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html")
        .check(Check::Case {
            place: Body("SignatureVersion"),
            cases: &[("1", sns(Hash::Sha1)), ("2", sns(Hash::Sha256))],
        })
        .partial()
        .id(First(&[Body("MessageId"), Header("x-amz-sns-message-id")]))
        .kind(First(&[Body("Type"), Header("x-amz-sns-message-type")]))
        .note("Amazon signs for all topics alike: name yours in provider_config.sns.topic_arn. Raw message delivery has no signature. SHA-1 unless the topic says version 2."),
    Provider::medium("aws_eventbridge_apidest", "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html")
        .check(Check::NamedHeader)
        .id(Body("id"))
        .kind(Body("detail-type"))
        .note("The secret is written Header-Name: value, as in the connection."),
    Provider::medium("azure_event_grid", "https://learn.microsoft.com/en-us/azure/event-grid/end-point-validation-event-grid-events-schema")
        .token(Query("code"), "")
        .asks(&[Question::EventGrid, Question::CloudEvents])
        .id(First(&[Body("*.id"), Body("id")]))
        .kind(First(&[Body("*.eventType"), Body("*.type"), Body("type")]))
        .note("The secret is the value of ?code= in the endpoint's URL."),
    Provider::medium("cloudevents_http", "https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md")
        .check(Check::Either(
            &Check::Token { place: Header("authorization"), prefix: "Bearer " },
            &Check::Token { place: Query("access_token"), prefix: "" },
        ))
        .unproven()
        .asks(&[Question::CloudEvents])
        .id(First(&[
            All(&[Header("ce-source"), Header("ce-id")]),
            All(&[Body("source"), Body("id")]),
            All(&[Body("*.source"), Body("*.id")]),
        ]))
        .kind(First(&[Header("ce-type"), Body("type"), Body("*.type")])),
    Provider::medium("ms_graph", "https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks")
        .token(Body("value.*.clientState"), "")
        .asks(&[Question::ValidationToken])
        .id(First(&[
            Body("value.*.id"),
            All(&[
                Body("value.*.subscriptionId"),
                Body("value.*.resourceData.id"),
                Body("value.*.changeType"),
                Body("/value/*/resourceData/@odata.etag"),
            ]),
        ]))
        .kind(First(&[Body("value.*.changeType"), Body("value.*.lifecycleEvent")]))
        .note("Every item has to carry the client state."),
    Provider::high("ms_teams_outgoing", "https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-outgoing-webhook")
        .signed(
            Signed::hmac256(&[Header("authorization")])
                .base64()
                .prefix("HMAC ")
                .key(KeyForm::Base64)
                .optional_stamp(StampAt::Place(Body("timestamp")), Unit::Rfc3339, 300),
        )
        .replies(r#"{"type":"message","text":"Received"}"#)
        .id(Body("id"))
        .kind(Body("type")),
    Provider::medium("google_pubsub", "https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions")
        .check(Check::Jwt(Jwt {
            keys: KeySource::Published {
                url: "https://www.googleapis.com/oauth2/v3/certs",
                key_id: None,
            },
            issuers: &["https://accounts.google.com", "accounts.google.com"],
            audience: true,
            ..jwt(
                JwtPlace::Header("authorization", "Bearer "),
                &[JwtAlgorithm::Rs256],
                &[Claim::True { name: "email_verified" }],
            )
        }))
        .partial()
        .id(Body("message.messageId"))
        .kind(Body("message.attributes.eventType"))
        .note("The secret is written audience service-account-email; without the email anybody with a Google account gets in. The body is not signed."),
    Provider::medium("google_channel", "https://developers.google.com/workspace/drive/api/guides/push")
        .token(Header("x-goog-channel-token"), "")
        .asks(&[Question::Notice("x-goog-resource-state", "sync")])
        .id(All(&[Header("x-goog-channel-id"), Header("x-goog-message-number")]))
        .kind(Header("x-goog-resource-state")),
    Provider::medium("cloudflare_notifications", "https://developers.cloudflare.com/notifications/get-started/configure-webhooks/")
        .token(Header("cf-webhook-auth"), "")
        .id(All(&[Body("ts"), Whole]))
        .kind(Body("alert_type")),
    Provider::medium("cloudflare_stream", "https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/")
        .signed(
            Signed::hmac256(&[Header("webhook-signature")])
                .pairs(&["sig1"])
                .over(TIME_DOT_BODY)
                .stamp(Field("time"), Unit::Seconds, 300),
        )
        .id(All(&[Body("uid"), Body("status.state")]))
        .kind(Body("status.state")),
    Provider::high("okta", "https://developer.okta.com/docs/concepts/event-hooks/")
        .check(Check::Either(
            &Check::Token { place: Header("authorization"), prefix: "" },
            &Check::NamedHeader,
        ))
        .unproven()
        .asks(&[Question::Okta])
        .id(Body("eventId"))
        .kind(Body("data.events.*.eventType"))
        .note("The secret is the value of Authorization, or written Header-Name: value where the hook has another authentication field."),
    Provider::medium("auth0", "https://auth0.com/docs/customize/log-streams/custom-log-streams")
        .token(Header("authorization"), "Bearer ")
        .id(First(&[Body("*.log_id"), Body("logs.*.log_id")]))
        .kind(First(&[Body("*.data.type"), Body("logs.*.data.type")]))
        .note("For log streams. Choose JSON Array or JSON Object as the content format: of JSON Lines neither the id nor the type is found."),
    Provider::high("workos", "https://workos.com/docs/events/data-syncing/webhooks")
        .signed(paired(&[Header("workos-signature")], &["v1"]).stamp(Field("t"), Unit::Millis, 180))
        .id(Body("id"))
        .kind(Body("event")),
    Provider::medium("fusionauth", "https://fusionauth.io/docs/extend/events-and-webhooks/signing")
        .check(Check::Jwt(jwt(
            JwtPlace::Header("x-fusionauth-signature-jwt", ""),
            &[JwtAlgorithm::Rs256, JwtAlgorithm::Rs384, JwtAlgorithm::Rs512, JwtAlgorithm::Es256],
            &[Claim::Body {
                name: "request_body_sha256",
                encoding: Encoding::Base64,
                required: true,
            }],
        )))
        .id(Body("event.id"))
        .kind(Body("event.type"))
        .note("The secret is a public key or the https URL of the tenant's JWKS."),
    Provider::medium("meraki", "https://developer.cisco.com/meraki/webhooks/")
        .token(Body("sharedSecret"), "")
        .id(All(&[Body("alertId"), Body("alertTypeId"), Body("occurredAt")]))
        .kind(Body("alertTypeId")),
];
