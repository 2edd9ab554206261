//! Meta events: a project is told, by calls to a URL of its own, what becomes of its endpoints and deliveries.
//!
//! They are events like any other, of a project in the shadow of the real one: its id ends in `/meta`, which no id in a path
//! can, so nothing that lists, counts or replays the project's events ever sees them. Their one endpoint is the project's
//! configuration. Nothing that happens in the shadow makes a meta event.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::address;
use crate::api::{ApiError, Faults, TEXT_MAX_CHARS, check_length};
use crate::deliver::{Attempt, Delivery, Settled, Status};
use crate::endpoint::{self, Endpoint};
use crate::event::StoredEvent;
use crate::fields::{Fields, FromFields};
use crate::ids::{Fill, delivery_uid};
use crate::json;
use crate::project::{Project, SignatureConfig};
use crate::retry::Strategy;
use crate::routes::is_ingest_url;
use crate::time::rfc3339;
use crate::vault::{Sealed, Vault, is_hint};
use crate::wire::{Body, Envelope, Meta, Target};

const SHADOW: &str = "/meta";

/// What a project can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ProjectUpdated,
    EndpointCreated,
    EndpointUpdated,
    EndpointDeleted,
    /// Not by its owner: because deliveries to it failed.
    EndpointDisabled,
    DeliverySuccess,
    /// Given up, or discarded.
    DeliveryFailed,
    /// Tried, and to be tried again.
    DeliveryUpdated,
    /// Its deliveries fail as often as its `alert_config` says.
    SubscriptionAlert,
}

const KINDS: [(&str, Kind); 9] = [
    ("project.updated", Kind::ProjectUpdated),
    ("endpoint.created", Kind::EndpointCreated),
    ("endpoint.updated", Kind::EndpointUpdated),
    ("endpoint.deleted", Kind::EndpointDeleted),
    ("endpoint.disabled", Kind::EndpointDisabled),
    ("eventdelivery.success", Kind::DeliverySuccess),
    ("eventdelivery.failed", Kind::DeliveryFailed),
    ("eventdelivery.updated", Kind::DeliveryUpdated),
    ("subscription.alert", Kind::SubscriptionAlert),
];

impl Kind {
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    fn of_delivery(status: Status) -> Option<Self> {
        match status {
            Status::Success => Some(Self::DeliverySuccess),
            Status::Failure | Status::Discarded => Some(Self::DeliveryFailed),
            Status::Retry => Some(Self::DeliveryUpdated),
            Status::Scheduled | Status::Processing => None,
        }
    }
}

/// `config.meta_event`, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaEvents {
    pub is_enabled: bool,
    pub url: String,
    secret: Option<Sealed>,
    /// Empty for all.
    event_type: Vec<String>,
    updated_at: u64,
}

/// `config.meta_event`, as it is sent.
#[derive(Debug)]
pub struct MetaEventsInput {
    is_enabled: Option<bool>,
    kind: Option<String>,
    url: Option<String>,
    secret: Option<String>,
    event_type: Option<Vec<String>>,
}

impl FromFields for MetaEventsInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            is_enabled: fields.flag("is_enabled")?,
            kind: fields.text("type")?,
            url: fields.text("url")?,
            secret: fields.text("secret")?,
            event_type: fields.texts("event_type")?,
        })
    }
}

/// What is needed to store the configuration of a project.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    pub vault: &'a Vault,
    pub allow_private: bool,
    /// Where this gateway is reached.
    pub origin: &'a str,
    pub now_ms: u64,
}

impl MetaEvents {
    /// What a project says that says nothing of meta events: none, and no room for them in its row.
    fn off() -> Self {
        Self {
            is_enabled: false,
            url: String::new(),
            secret: None,
            event_type: Vec::new(),
            updated_at: 0,
        }
    }

    /// Applies what is given to what is there.
    pub(crate) fn changed(
        stored: Option<Self>,
        input: MetaEventsInput,
        project_id: &str,
        means: Means<'_>,
        fill: Fill<'_>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let was_there = stored.is_some();
        let checked = stored.as_ref().filter(|stored| stored.is_enabled).map(|on| on.url.clone());
        let mut changed = stored.unwrap_or_else(Self::off);
        if !matches!(input.kind.as_deref(), None | Some("" | "http")) {
            faults.add("config.meta_event.type", "only http is supported");
        }
        if let Some(on) = input.is_enabled {
            changed.is_enabled = on;
        }
        if let Some(url) = input.url {
            url.trim().clone_into(&mut changed.url);
        }
        if let Some(mut types) = input.event_type {
            let is_known = |name: &String| KINDS.iter().any(|(known, _)| known == name);
            // One is told: there may be as many as a body holds.
            if let Some(name) = types.iter().find(|name| !is_known(name)) {
                let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
                let text = format!("{name} is none of {}", known.join(", "));
                faults.add("config.meta_event.event_type", text);
            }
            let mut seen = BTreeSet::new();
            types.retain(|name| seen.insert(name.clone()));
            changed.event_type = types;
        }
        match input.secret.filter(|secret| !secret.is_empty() && !is_hint(secret)) {
            None => {}
            Some(secret) => match seal(&secret, project_id, means.vault, fill) {
                Ok(sealed) => changed.secret = Some(sealed),
                Err(error) => faults.add("config.meta_event.secret", error.message),
            },
        }
        if changed.is_enabled {
            // What was stored while more was taken must not hold up other changes.
            let is_new = checked.as_ref() != Some(&changed.url);
            if is_new && let Err(error) = check_url(&changed.url, means) {
                faults.add("config.meta_event.url", error.message);
            }
            if changed.secret.is_none() {
                faults.add(
                    "config.meta_event.secret",
                    "please provide the secret that signs meta events",
                );
            }
        }
        changed.updated_at = means.now_ms;
        // A client that sends the whole configuration back, with meta events off, changes nothing.
        let says_nothing = Self { updated_at: 0, ..changed.clone() } == Self::off();
        (was_there || !says_nothing).then_some(changed)
    }

    /// The configuration as the API shows it.
    pub(crate) fn present(stored: Option<&Self>) -> Value {
        let off = Self::off();
        let shown = stored.unwrap_or(&off);
        let secret = shown.secret.as_ref().map_or("", |secret| secret.hint.as_str());
        json!({"is_enabled": shown.is_enabled, "type": "http", "url": shown.url, "secret": secret,
            "event_type": shown.event_type})
    }

    fn wants(&self, kind: Kind) -> bool {
        self.is_enabled
            && (self.event_type.is_empty()
                || self.event_type.iter().any(|name| name == kind.name()))
    }
}

fn check_url(url: &str, means: Means<'_>) -> Result<(), ApiError> {
    check_length("url", url, TEXT_MAX_CHARS)?;
    address::check_new(url, means.allow_private)
        .map_err(|bad| ApiError::bad_request(bad.to_string()))?;
    if is_ingest_url(means.origin, url) {
        let text = "meta event url refused: each would make an event, and that the next";
        return Err(ApiError::bad_request(text));
    }
    Ok(())
}

fn seal(secret: &str, project_id: &str, vault: &Vault, fill: Fill<'_>) -> Result<Sealed, ApiError> {
    check_length("secret", secret, TEXT_MAX_CHARS)?;
    endpoint::check_secret(secret)?;
    let place = endpoint::secret_place(&shadow_id(project_id), &shadow_id(project_id));
    vault.seal(secret, &place, fill).map_err(|error| ApiError::new(500, error.to_string()))
}

/// The id of a project's shadow, which is that of its one endpoint, too.
pub fn shadow_id(project_id: &str) -> String {
    format!("{project_id}{SHADOW}")
}

/// The project that a shadow belongs to; `None` for what is no shadow.
pub fn project_of_shadow(id: &str) -> Option<&str> {
    id.strip_suffix(SHADOW)
}

/// The project in the shadow of `project`: where its meta events are.
pub fn shadow(project: &Project) -> Project {
    let mut shadow = project.clone();
    shadow.uid = shadow_id(&project.uid);
    shadow.config.meta_event = None;
    shadow.config.signature = SignatureConfig::default();
    // There is no endpoint to show a breaker on, or to take out of use.
    shadow.config.circuit_breaker.enabled = false;
    shadow.config.disable_endpoint = false;
    shadow
}

/// Where the meta events of a project go, and what they are signed by; `None` when it wants none (any more).
pub fn receiver(project: &Project) -> Option<(Endpoint, Project)> {
    let config = project.config.meta_event.as_ref().filter(|config| config.is_enabled)?;
    let id = shadow_id(&project.uid);
    // As it would be stored: fields that are not said are as in a row from before they were there.
    let endpoint = json!({
        "uid": id, "project_id": id, "name": "meta events", "url": config.url, "description": "", "owner_id": "",
        "secrets": [{"uid": id, "value": config.secret, "created_at": config.updated_at}],
        "advanced_signatures": false, "http_timeout": endpoint::DEFAULT_TIMEOUT_S, "status": "active",
        "created_at": config.updated_at, "updated_at": config.updated_at,
    });
    Some((json::read(&endpoint.to_string()).ok()?, shadow(project)))
}

/// Whether a project is told of anything.
pub fn is_told(project: &Project) -> bool {
    project.config.meta_event.as_ref().is_some_and(|config| config.is_enabled)
}

/// The meta event that tells a project of something, if it wants to know. `id` is a fresh uid.
pub fn envelope(
    project: &Project,
    kind: Kind,
    data: impl FnOnce() -> Value,
    now_ms: u64,
    id: impl FnOnce() -> String,
) -> Option<Envelope> {
    project.config.meta_event.as_ref().filter(|config| config.wants(kind))?;
    let shadow = shadow_id(&project.uid);
    let meta = Meta {
        event_id: id(),
        project_id: shadow.clone(),
        shard: project.shard,
        event_type: kind.name().to_owned(),
        received_at: now_ms,
        content_type: Some("application/json".into()),
        target: Some(Target::Endpoint(shadow)),
        ..Meta::default()
    };
    let body = json!({"event_type": kind.name(), "data": data()}).to_string();
    Some(Envelope { meta, body: Body::Inline(body.into_bytes()) })
}

/// The meta event of what became of a delivery: the delivery as it is then, and its attempt without what the endpoint said.
pub fn of_delivery(
    project: &Project,
    delivery: &Delivery,
    settled: &Settled,
    attempt: Option<&Attempt>,
    now_ms: u64,
    id: impl FnOnce() -> String,
) -> Option<Envelope> {
    let data = || {
        let mut after = delivery.clone();
        settled.status.name().clone_into(&mut after.status);
        after.description.clone_from(&settled.description);
        after.due_at = settled.due_at;
        after.updated_at = now_ms;
        let attempt = attempt.map(|attempt| attempt.clone().without_response());
        if let Some(attempt) = &attempt {
            after.attempts = attempt.n;
            after.attempt = Some(json!(attempt).to_string());
        }
        let mut shown = after.present(&project.config.strategy);
        if let Some(fields) = shown.as_object_mut() {
            fields
                .insert("attempt".into(), attempt.map_or(Value::Null, |made| made.present(&after)));
        }
        shown
    };
    envelope(project, Kind::of_delivery(settled.status)?, data, now_ms, id)
}

/// The uid of a meta event's delivery.
pub fn delivery_id(event_id: &str, shadow_id: &str) -> String {
    delivery_uid(event_id, shadow_id)
}

/// A meta event as the API shows it. `body` is absent where a list leaves it out.
pub fn present(
    event: &StoredEvent,
    body: Option<&[u8]>,
    delivery: Option<&Delivery>,
    strategy: &Strategy,
) -> Value {
    let last = delivery.and_then(Delivery::last_attempt);
    let attempt = match (&last, delivery) {
        (Some(last), Some(delivery)) => shown_attempt(last.present(delivery), event),
        _ => Value::Null,
    };
    let text = body.map(|body| String::from_utf8_lossy(body).into_owned());
    let data = text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let updated_at = delivery.map_or(event.received_at, |delivery| delivery.updated_at);
    json!({
        "uid": event.id, "project_id": project_of_shadow(&event.project_id), "event_type": event.event_type,
        "status": delivery.map_or(Status::Scheduled.name(), |delivery| delivery.status.as_str()),
        "description": delivery.map_or("", |delivery| delivery.description.as_str()),
        "metadata": {
            "data": data, "raw": text, "is_data_omitted": body.is_none(),
            "num_trials": delivery.map_or(0, |delivery| delivery.attempts), "retry_limit": strategy.retry_count,
            "interval_seconds": strategy.duration, "strategy": strategy.kind,
            "next_send_time": delivery.and_then(|delivery| delivery.due_at).map(rfc3339),
        },
        "attempt": attempt, "created_at": rfc3339(event.received_at), "updated_at": rfc3339(updated_at), "deleted_at": null,
    })
}

/// An attempt of a meta event: its delivery and its endpoint are no rows that anybody could look up.
fn shown_attempt(mut attempt: Value, event: &StoredEvent) -> Value {
    if let Some(fields) = attempt.as_object_mut() {
        fields.insert("project_id".into(), project_of_shadow(&event.project_id).into());
        fields.insert("msg_id".into(), event.id.as_str().into());
        fields.remove("event_delivery_id");
        fields.remove("endpoint_id");
    }
    attempt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;
    use crate::project::ProjectInput;

    fn vault() -> Vault {
        Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
    }

    fn apply(project: &mut Project, config: &str) -> Result<(), String> {
        let body = format!(r#"{{"config":{{"meta_event":{config}}}}}"#);
        let mut input: ProjectInput = parse(body.as_bytes()).map_err(|error| error.message)?;
        let vault = vault();
        let means = Means {
            vault: &vault,
            allow_private: false,
            origin: "https://hooks.example.com",
            now_ms: 7,
        };
        project
            .change_meta_events(input.take_meta_events(), means, &mut |b| b.fill(5))
            .map_err(|error| error.message)
    }

    fn project() -> Project {
        let input = parse(br#"{"name":"a","type":"outgoing"}"#).unwrap();
        Project::create(input, 0, 0, &mut |b| b.fill(5)).unwrap()
    }

    const ON: &str = r#"{"is_enabled":true,"type":"http","url":"https://example.com/meta","secret":"a-secret-of-mine","event_type":["endpoint.created"]}"#;

    fn told(project: &Project, kind: Kind) -> Option<Envelope> {
        envelope(project, kind, || json!({"a": 1}), 5, || "id".into())
    }

    #[test]
    fn the_document_names_every_kind() {
        let mut fields = include_str!("document/requests.txt").lines();
        let names = fields.rfind(|line| line.contains("\"endpoint.disabled\"")).unwrap();
        for (name, _) in KINDS {
            assert!(names.contains(&format!("\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn a_project_is_told_what_it_asked_for_and_nothing_by_default() {
        let mut project = project();
        assert!(told(&project, Kind::EndpointCreated).is_none());
        assert!(receiver(&project).is_none());
        apply(&mut project, ON).unwrap();
        assert!(told(&project, Kind::EndpointDeleted).is_none());
        let sent = told(&project, Kind::EndpointCreated).unwrap();
        assert_eq!(sent.meta.project_id, format!("{}/meta", project.uid));
        let Body::Inline(body) = sent.body else { panic!("a body in R2") };
        assert_eq!(body, br#"{"data":{"a":1},"event_type":"endpoint.created"}"#);
        apply(&mut project, r#"{"event_type":[]}"#).unwrap();
        assert!(KINDS.iter().all(|(_, kind)| told(&project, *kind).is_some()));
        apply(&mut project, r#"{"is_enabled":false}"#).unwrap();
        assert!(KINDS.iter().all(|(_, kind)| told(&project, *kind).is_none()));
        assert!(receiver(&project).is_none());
    }

    #[test]
    fn events_about_events_do_not_come_in_again() {
        let on = ON.replace("https://example.com/meta", "https://HOOKS.example.com/ingest/mask");
        let refused = apply(&mut project(), &on).unwrap_err();
        assert!(refused.contains("meta event url refused"), "{refused}");
    }

    #[test]
    fn the_secret_signs_and_is_shown_to_nobody() {
        let mut project = project();
        apply(&mut project, ON).unwrap();
        apply(&mut project, r#"{"secret":"********mine","url":"https://example.com/other"}"#)
            .unwrap();
        let (endpoint, shadow) = receiver(&project).unwrap();
        assert_eq!(endpoint.url, "https://example.com/other");
        assert_eq!(endpoint.open_secrets(&vault(), 9).unwrap()[0].expose(), b"a-secret-of-mine");
        assert!(!endpoint.advanced_signatures);
        assert!(receiver(&shadow).is_none(), "no meta events about meta events");
        assert!(told(&shadow, Kind::DeliverySuccess).is_none());
        let shown = project.present();
        assert_eq!(shown["config"]["meta_event"]["secret"], "********mine");
        assert!(!shown.to_string().contains("ciphertext"), "{shown}");
        assert!(!json!(project).to_string().contains("a-secret"));
    }

    #[test]
    fn of_many_wrong_kinds_one_is_told_and_of_equal_ones_one_is_kept() {
        let config = json!({"event_type": vec!["no.such"; 200_000]}).to_string();
        let error = apply(&mut project(), &config).unwrap_err();
        assert!(error.len() < 1_000, "{} bytes", error.len());
        let mut changed = project();
        apply(&mut changed, r#"{"event_type":["project.updated","project.updated"]}"#).unwrap();
        assert_eq!(changed.config.meta_event.unwrap().event_type, ["project.updated"]);
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused() {
        for (config, expect) in [
            (
                r#"{"is_enabled":true}"#,
                "config.meta_event.secret:please provide the secret that signs meta events, config.meta_event.url:please provide the endpoint url",
            ),
            (
                r#"{"is_enabled":true,"secret":"0000","url":"https://example.com"}"#,
                "config.meta_event.secret:please provide",
            ),
            (
                r#"{"is_enabled":true,"secret":"abc","url":"http://127.0.0.1/"}"#,
                "config.meta_event.url:",
            ),
            (r#"{"type":"pub_sub"}"#, "config.meta_event.type:only http is supported"),
            (
                r#"{"event_type":["endpoint.moved"]}"#,
                "config.meta_event.event_type:endpoint.moved is none of project.updated, ",
            ),
            (
                r#"{"url":5}"#,
                "body contains incorrect JSON type for field \"config.meta_event.url\"",
            ),
        ] {
            let error = apply(&mut project(), config).unwrap_err();
            assert!(error.starts_with(expect), "{config}: {error}");
        }
    }

    #[test]
    fn a_url_that_would_be_refused_by_now_holds_up_no_other_change() {
        for url in ["http://8.8.8.8:9/meta", "http://hooks.example.com:5005/ingest/mask"] {
            let mut project = project();
            apply(&mut project, ON).unwrap();
            project.config.meta_event.as_mut().unwrap().url = url.into();
            let shown = project.present()["config"]["meta_event"].to_string();
            apply(&mut project, &shown).unwrap();
            apply(&mut project, r#"{"event_type":["project.updated"]}"#).unwrap();
            let other = json!({"url": url.replace("mask", "other").replace(":9", ":10")});
            apply(&mut project.clone(), &other.to_string()).unwrap_err();
            apply(&mut project, r#"{"is_enabled":false}"#).unwrap();
            apply(&mut project, r#"{"is_enabled":true}"#).unwrap_err();
        }
    }

    #[test]
    fn a_configuration_that_is_sent_back_as_it_was_shown_changes_nothing() {
        let mut project = project();
        let shown = project.present()["config"]["meta_event"].to_string();
        apply(&mut project, &shown).unwrap();
        assert_eq!(project.config.meta_event, None);
        apply(&mut project, ON).unwrap();
        let before = project.clone();
        let shown = project.present()["config"]["meta_event"].to_string();
        apply(&mut project, &shown).unwrap();
        assert_eq!(project, before);
    }

    #[test]
    fn what_became_of_a_delivery_is_told_as_it_is_then() {
        let mut project = project();
        apply(&mut project, ON).unwrap();
        apply(&mut project, r#"{"event_type":["eventdelivery.failed"]}"#).unwrap();
        let delivery: Delivery = serde_json::from_value(json!({
            "project_id": "p", "id": "d", "event_id": "e", "subscription_id": "s", "endpoint_id": "n", "source_id": "",
            "event_type": "t", "delivery_mode": "at_least_once", "status": "Processing", "description": "", "attempts": 2,
            "attempt": null, "due_at": null, "created_at": 0, "updated_at": 0, "replay": null,
        }))
        .unwrap();
        let attempt: Attempt = serde_json::from_value(json!({
            "uid": "a", "n": 3, "url": "https://x/", "http_status": 500, "request_headers": [], "response_headers": [],
            "response_data": "a long story", "error": "", "is_success": false, "requested_at": 1, "responded_at": 2,
        }))
        .unwrap();
        let settled = |status, description: &str| Settled {
            status,
            description: description.into(),
            due_at: None,
        };
        let told = |settled: &Settled| {
            of_delivery(&project, &delivery, settled, Some(&attempt), 9, || "id".into())
        };
        assert!(told(&settled(Status::Success, "")).is_none());
        assert!(told(&settled(Status::Retry, "")).is_none());
        let sent = told(&settled(Status::Failure, "Retry limit exceeded")).unwrap();
        let Body::Inline(body) = sent.body else { panic!("a body in R2") };
        let body: Value = serde_json::from_slice(&body).unwrap();
        let data = &body["data"];
        assert_eq!(body["event_type"], "eventdelivery.failed");
        assert_eq!(
            (&data["status"], &data["metadata"]["num_trials"]),
            (&json!("Failure"), &json!(3))
        );
        assert_eq!(
            (&data["description"], &data["attempt"]["http_status"]),
            (&json!("Retry limit exceeded"), &json!("500 Internal Server Error"))
        );
        assert_eq!(data["attempt"]["response_data"], "");
    }

    #[test]
    fn an_attempt_of_a_meta_event_names_the_project_and_nothing_of_its_shadow() {
        let mut event = crate::event::tests::stored(None);
        event.project_id = shadow_id("p");
        let delivery: Delivery = serde_json::from_value(json!({
            "project_id": "p/meta", "id": "d", "event_id": event.id, "subscription_id": "", "endpoint_id": "p/meta", "source_id": "",
            "event_type": "t", "delivery_mode": "at_least_once", "status": "Success", "description": "", "attempts": 1,
            "attempt": json!({
                "uid": "a", "n": 1, "url": "https://x/", "http_status": 200, "request_headers": [], "response_headers": [],
                "response_data": "", "error": "", "is_success": true, "requested_at": 1, "responded_at": 2,
            }).to_string(),
            "due_at": null, "created_at": 0, "updated_at": 0, "replay": null,
        }))
        .unwrap();
        let shown = present(&event, Some(b"{}"), Some(&delivery), &Strategy::default());
        assert_eq!(
            (&shown["project_id"], &shown["attempt"]["project_id"]),
            (&json!("p"), &json!("p"))
        );
        assert_eq!(shown["attempt"]["msg_id"], json!(event.id));
        assert!(!shown.to_string().contains("/meta"), "{shown}");
    }
}
