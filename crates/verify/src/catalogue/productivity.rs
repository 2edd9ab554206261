//! Work: tasks, documents, files, calendars, people, accounts.

use super::prelude::*;

pub(super) static ROWS: &[Provider] = &[
    Provider::high("asana", "https://developers.asana.com/docs/webhooks-guide")
        .signed(Signed::hmac256(&[Header("x-hook-signature")]))
        .asks(&[Question::HookSecret, Question::NoEvents("events")])
        .id(All(&[Body("events.*.created_at"), Whole]))
        .kind(All(&[Body("events.*.resource.resource_type"), Body("events.*.action")]))
        .note("The first request brings the secret, and nothing proves who sent it."),
    Provider::low("clio", "https://docs.developers.clio.com/api-docs/webhooks/")
        .signed(Signed::hmac256(&[Header("x-hook-signature")]))
        .asks(&[Question::HookSecret])
        .id(All(&[Body("meta.event"), Body("data.id"), Body("data.etag")]))
        .kind(Body("meta.event")),
    Provider::high("trello", "https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/#webhook-signatures")
        .signed(
            Signed::hmac1(&[Header("x-trello-webhook")])
                .base64()
                .over(&[&[Part::Body, Part::Url(UrlForm::Full)]]),
        )
        .asks(&[Question::Reachability])
        .id(Body("action.id"))
        .kind(Body("action.type")),
    Provider::high("monday", "https://developer.monday.com/apps/docs/integration-authorization")
        .check(Check::Jwt(jwt(
            JwtPlace::Header("authorization", "Bearer "),
            &[JwtAlgorithm::Hs256],
            &[],
        )))
        .partial()
        .asks(&[Question::JsonChallenge])
        .id(Body("event.triggerUuid"))
        .kind(Body("event.type"))
        .note("Only app webhooks carry a token, and it does not sign the body. The secret is the app's signing secret; for its lifecycle events, the client secret."),
    Provider::high("notion", "https://developers.notion.com/reference/webhooks")
        .signed(Signed::hmac256(&[Header("x-notion-signature")]).prefix("sha256="))
        .asks(&[Question::VerificationToken])
        .id(Body("id"))
        .kind(Body("type"))
        .note("The verification token of the first request is the secret."),
    Provider::high("airtable", "https://airtable.com/developers/web/api/webhooks-overview")
        .signed(
            Signed::hmac256(&[Header("x-airtable-content-mac")])
                .prefix("hmac-sha256=")
                .key(KeyForm::Base64),
        )
        .id(All(&[Body("base.id"), Body("webhook.id"), Body("timestamp")]))
        .no_kind("A notice without content: ask the API what has changed."),
    Provider::high("linear", "https://linear.app/developers/webhooks")
        .signed(
            Signed::hmac256(&[Header("linear-signature")])
                .stamp(StampAt::Place(Body("webhookTimestamp")), Unit::Millis, 60),
        )
        .id(Header("linear-delivery"))
        .kind(First(&[Header("linear-event"), Body("type")]))
        .note("The timestamp is in the body and a minute is allowed: a forwarded copy comes too late."),
    Provider::high("clickup", "https://developer.clickup.com/docs/webhooksignature")
        .signed(Signed::hmac256(&[Header("x-signature")]))
        .id(All(&[Body("webhook_id"), Body("history_items.0.id")]))
        .kind(Body("event")),
    Provider::medium("todoist", "https://developer.todoist.com/api/v1/#tag/Webhooks")
        .signed(Signed::hmac256(&[Header("x-todoist-hmac-sha256")]).base64())
        .id(Header("x-todoist-delivery-id"))
        .kind(Body("event_name")),
    Provider::medium("smartsheet", "https://developers.smartsheet.com/api/smartsheet/guides/webhooks")
        .signed(Signed::hmac256(&[Header("smartsheet-hmac-sha256")]))
        .asks(&[Question::HeaderToJson("smartsheet-hook-challenge", "smartsheetHookResponse")])
        .id(Body("nonce"))
        .kind(Body("events.*.eventType")),
    Provider::medium("figma", "https://www.figma.com/developers/api#webhooks-v2-security")
        .token(Body("passcode"), "")
        .id(All(&[
            Body("webhook_id"),
            Body("timestamp"),
            Body("event_type"),
            First(&[Body("comment_id"), Body("version_id")]),
        ]))
        .kind(Body("event_type")),
    Provider::high("dropbox", "https://www.dropbox.com/developers/reference/webhooks")
        .signed(Signed::hmac256(&[Header("x-dropbox-signature")]))
        .asks(&[Question::Echo("challenge")])
        .no_id("A notice without content: the next change of an account sends the same body.")
        .no_kind("A notice without content: ask the API what has changed.")
        .note("A notice without content: ask the API what has changed."),
    Provider::high("box", "https://developer.box.com/guides/webhooks/v2/signatures-v2/")
        .signed(
            Signed::hmac256(&[Header("box-signature-primary"), Header("box-signature-secondary")])
                .base64()
                .over(BODY_TIME)
                .stamp(time("box-delivery-timestamp"), Unit::Rfc3339, 600),
        )
        .id(Body("id"))
        .kind(Body("trigger"))
        .note("Body first, then the time. The delivery id is new on every retry, the body's is not."),
    Provider::high("docusign", "https://developers.docusign.com/platform/webhooks/connect/hmac/")
        .signed(Signed::hmac256(&[Numbered("x-docusign-signature-")]).base64())
        .id(All(&[Body("data.envelopeId"), Body("event"), Body("generatedDateTime")]))
        .kind(Body("event"))
        .note("One header for each of up to 100 keys."),
    Provider::medium("dropbox_sign", "https://developers.hellosign.com/docs/events/walkthrough/")
        .signed(
            Signed::hmac256(&[FormJson("json", "event.event_hash")]).over(&[&[
                Part::At(FormJson("json", "event.event_time")),
                Part::At(FormJson("json", "event.event_type")),
            ]]),
        )
        .partial()
        .replies("Hello API Event Received")
        .id(All(&[FormJson("json", "event.event_hash"), Form("json")]))
        .kind(FormJson("json", "event.event_type"))
        .note("Only time and type are signed."),
    Provider::medium("pandadoc", "https://developers.pandadoc.com/docs/webhooks-verification")
        .signed(Signed::hmac256(&[Query("signature")]))
        .id(First(&[
            Header("x-pandadoc-webhook-event-id"),
            All(&[Body("*.data.id"), Body("*.event"), Whole]),
        ]))
        .kind(Body("*.event"))
        .unconfirmed(),
    Provider::medium("adobe_sign", "https://helpx.adobe.com/sign/developer/webhook/how-to-use.html")
        .token(Header("x-adobesign-clientid"), "")
        .asks(&[Question::AdobeSign])
        .id(Body("webhookNotificationId"))
        .kind(Body("event"))
        .note("Every reply has to carry the client id."),
    Provider::high("typeform", "https://www.typeform.com/developers/webhooks/secure-your-webhooks/")
        .signed(Signed::hmac256(&[Header("typeform-signature")]).base64().prefix("sha256="))
        .id(Body("event_id"))
        .kind(Body("event_type")),
    Provider::high("tally", "https://tally.so/help/webhooks")
        .signed(Signed::hmac256(&[Header("tally-signature")]).base64())
        .id(Body("eventId"))
        .kind(Body("eventType")),
    Provider::medium("jotform", "https://www.jotform.com/help/245-how-to-setup-a-webhook-with-jotform/")
        .id(All(&[Form("submissionID"), Form("rawRequest")]))
        .no_kind("Every request is a submission.")
        .note("Unsigned: keep the URL secret."),
    Provider::high("calendly", "https://developer.calendly.com/api-docs/ZG9jOjM2MzE2MDM4-webhook-signatures")
        .signed(
            paired(&[Header("calendly-webhook-signature")], &["v1"])
                .stamp(Field("t"), Unit::Seconds, 180),
        )
        .id(All(&[Body("event"), Body("created_at"), Body("payload.uri")]))
        .kind(Body("event"))
        .note("The uri is that of an invitee, a contact or an event type, which changes more than once."),
    Provider::high("cal_com", "https://cal.com/docs/developing/guides/automation/webhooks")
        .signed(Signed::hmac256(&[Header("x-cal-signature-256")]))
        .id(All(&[Body("triggerEvent"), Body("payload.uid"), Body("createdAt")]))
        .kind(Body("triggerEvent")),
    Provider::medium("acuity", "https://developers.acuityscheduling.com/docs/webhooks")
        .signed(Signed::hmac256(&[Header("x-acuity-signature")]).base64())
        .no_id("Two changes of an appointment send the same form.")
        .kind(Form("action"))
        .note("The key is the API key."),
    Provider::high("xero", "https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/")
        .signed(Signed::hmac256(&[Header("x-xero-signature")]).base64())
        .id(All(&[
            Body("events.*.resourceId"),
            Body("events.*.eventCategory"),
            Body("events.*.eventType"),
            Body("events.*.eventDateUtc"),
        ]))
        .kind(All(&[Body("events.*.eventCategory"), Body("events.*.eventType")]))
        .asks(&[Question::NoEvents("events")])
        .wants_silence()
        .note("Xero probes with wrong signatures and wants 401; replies have to be empty."),
    Provider::medium("quickbooks", "https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks")
        .signed(Signed::hmac256(&[Header("intuit-signature")]).base64())
        .id(First(&[
            All(&[Body("*.source"), Body("*.id")]),
            All(&[
                Body("eventNotifications.*.realmId"),
                Body("eventNotifications.*.dataChangeEvent.entities.*.id"),
                Body("eventNotifications.*.dataChangeEvent.entities.*.name"),
                Body("eventNotifications.*.dataChangeEvent.entities.*.operation"),
                Body("eventNotifications.*.dataChangeEvent.entities.*.lastUpdated"),
            ]),
        ]))
        .kind(First(&[
            Body("*.type"),
            All(&[
                Body("eventNotifications.*.dataChangeEvent.entities.*.name"),
                Body("eventNotifications.*.dataChangeEvent.entities.*.operation"),
            ]),
        ]))
        .unconfirmed(),
    Provider::medium("greenhouse", "https://developers.greenhouse.io/webhooks.html#authentication")
        .signed(Signed::hmac256(&[Header("signature")]).prefix("sha256 "))
        .id(Header("greenhouse-event-id"))
        .kind(Body("action"))
        .note("A space follows the hash's name."),
    Provider::medium("ashby", "https://developers.ashbyhq.com/docs/authenticating-webhooks")
        .signed(Signed::hmac256(&[Header("ashby-signature")]).prefix("sha256="))
        .id(First(&[
            Body("webhookActionId"),
            All(&[
                Body("action"),
                First(&[
                    Body("data.application.updatedAt"),
                    Body("data.candidate.updatedAt"),
                    Body("data.job.updatedAt"),
                    Body("data.offer.updatedAt"),
                ]),
                Whole,
            ]),
        ]))
        .kind(Body("action")),
    Provider::low("lever", "https://hire.lever.co/developer/documentation#webhooks")
        .signed(
            Signed::hmac256(&[Body("signature")])
                .over(&[&[Part::At(Body("token")), Part::At(Body("triggeredAt"))]]),
        )
        .partial()
        .id(Body("token"))
        .kind(Body("event"))
        .note("Only a token and a time are signed."),
    Provider::medium("persona", "https://docs.withpersona.com/webhooks-best-practices")
        .signed(
            paired(&[Header("persona-signature")], &["v1"])
                .syntax(Syntax::Pairs { separators: ", ", signatures: &["v1"] }),
        )
        .id(Body("data.id"))
        .kind(Body("data.attributes.name"))
        .note("During a rotation there are two sets of pairs with a space between them."),
    Provider::medium("veriff", "https://devdocs.veriff.com/docs/hmac-authentication-and-endpoint-security")
        .signed(Signed::hmac256(&[Header("x-hmac-signature")]))
        .id(First(&[
            All(&[
                Body("verification.id"),
                Body("verification.status"),
                Body("verification.decisionTime"),
            ]),
            All(&[Body("id"), Body("attemptId"), Body("action")]),
        ]))
        .kind(First(&[Body("action"), Body("verification.status")])),
    Provider::low("favro", "https://favro.com/developer/#webhooks")
        .signed(
            Signed::hmac1(&[Header("x-favro-webhook")])
                .base64()
                .over(&[&[Part::At(Body("payloadId")), Part::Url(UrlForm::Full)]]),
        )
        .partial()
        .id(Body("payloadId"))
        .kind(Body("action"))
        .note("The body is not signed, only an id of it and the URL."),
    Provider::low("makeplans", "https://github.com/makeplans/makeplans-api")
        .signed(paired(&[Header("makeplans-signature")], &["v1"]))
        .no_id("Its bodies are not known to us.")
        .no_kind("Its bodies are not known to us."),
    Provider::low("enode", "https://developers.enode.com/docs/webhooks")
        .signed(Signed::hmac1(&[Header("x-enode-signature")]).prefix("sha1="))
        .id(Header("x-enode-delivery"))
        .kind(Body("*.event")),
    Provider::high("smartcar", "https://smartcar.com/docs/integrations/webhooks/payload-verification")
        .signed(Signed::hmac256(&[Header("sc-signature")]))
        .asks(&[Question::VerifyEvent])
        .id(Body("eventId"))
        .kind(First(&[Body("eventName"), Body("eventType")]))
        .note("The key is the management token."),
];
