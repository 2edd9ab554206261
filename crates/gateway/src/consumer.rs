//! What companions are told, and what they tell: their keys, the sources they read, and how it goes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::{ApiError, NAME_MAX_CHARS, check_length};
use crate::fields::{ANY, Fields, FromFields};
use crate::ids::{self, Fill};
use crate::json;
use crate::project::Project;
use crate::pub_sub::Broker;
use crate::source::Source;
use crate::time::rfc3339;
use crate::vault::Vault;

/// How often a companion asks for its sources.
pub const POLL_SECONDS: u64 = 5;
/// Attempts that a companion makes to hand a message in before it gives it up.
pub const ATTEMPTS_MAX: u32 = 10;

/// The body of `POST /consumer-keys`.
#[derive(Debug)]
pub struct ConsumerKeyInput {
    name: String,
}

impl FromFields for ConsumerKeyInput {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let name = fields.text("name")?.unwrap_or_default().trim().to_owned();
        if name.is_empty() {
            return Err(ApiError::bad_request("name:please provide a name for the key"));
        }
        check_length("name", &name, NAME_MAX_CHARS)?;
        Ok(Self { name })
    }
}

/// A key with which companions of a project come. It is shown once; only its keyed hash is stored. `created_at` is Unix
/// milliseconds.
#[derive(Debug)]
pub struct NewKey {
    pub uid: String,
    pub name: String,
    pub key: String,
    pub created_at: u64,
}

impl NewKey {
    pub fn generate(input: ConsumerKeyInput, now_ms: u64, fill: Fill<'_>) -> Self {
        let key = ids::key("CK.", &mut *fill);
        Self { uid: ids::uid(now_ms, fill), name: input.name, key, created_at: now_ms }
    }

    pub fn present(&self) -> Value {
        json!({"uid": self.uid, "name": self.name, "key": self.key, "created_at": rfc3339(self.created_at)})
    }
}

/// A key of companions, as the list shows it. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StoredKey {
    pub id: String,
    pub name: String,
    pub created_at: u64,
    pub last_used_at: Option<u64>,
}

impl StoredKey {
    pub fn present(&self) -> Value {
        json!({"uid": self.id, "name": self.name, "created_at": rfc3339(self.created_at),
            "last_used_at": self.last_used_at.map(rfc3339)})
    }
}

/// The name of what a companion would be told about these sources: it changes when that does.
pub fn etag(project: &Project, sources: &[Source]) -> String {
    let named: Vec<Value> = sources
        .iter()
        .filter_map(|source| {
            let version = source.pub_sub.as_ref()?.version(source.is_disabled);
            Some(json!([source.uid, source.name, version]))
        })
        .collect();
    let all = json!([project.uid, project.config.max_payload_read_size, named]).to_string();
    let mut text = hex::encode(<[u8; 32]>::from(Sha256::digest(all.as_bytes())));
    text.truncate(32);
    format!("\"{text}\"")
}

/// Whether `If-None-Match` names what there is.
pub fn is_known(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == etag)
}

/// The answer to `GET /consumer/v1/sources`. Each source is read by itself, so that one of a later version fails alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listing {
    pub poll_seconds: u64,
    pub project_id: String,
    pub max_message_bytes: u64,
    pub sources: Vec<Value>,
}

/// The answer to `GET /consumer/v1/sources`: the one place where credentials stand in clear.
/// A source whose secrets cannot be opened says so, and fails alone, too.
pub fn sources(project: &Project, sources: &[Source], vault: &Vault) -> Listing {
    let mut shown = Vec::with_capacity(sources.len());
    for source in sources {
        let Some(pub_sub) = &source.pub_sub else { continue };
        let mut one = json!({
            "uid": source.uid, "name": source.name, "version": pub_sub.version(source.is_disabled),
            "is_disabled": source.is_disabled, "workers": pub_sub.workers, "type": pub_sub.broker,
            "max_attempts": ATTEMPTS_MAX,
        });
        if let Value::Object(one) = &mut one {
            match source.broker_in_clear(vault) {
                Ok(broker) => one.insert(pub_sub.broker.name().to_owned(), broker),
                Err(error) => one.insert("error".to_owned(), error.to_string().into()),
            };
        }
        shown.push(one);
    }
    Listing {
        poll_seconds: POLL_SECONDS,
        project_id: project.uid.clone(),
        max_message_bytes: project.config.max_payload_read_size,
        sources: shown,
    }
}

/// How long a report says what is.
const REPORT_COUNTS_MS: u64 = 60_000;
const REPORTS_MAX: usize = 1_000;

/// The body of `POST /consumer/v1/status`.
#[derive(Debug)]
pub struct Report {
    pub companion: String,
    pub version: String,
    pub sources: Vec<SourceReport>,
}

/// How one companion fares with one source. The counts are of messages, since the companion began with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    #[serde(skip)]
    pub source_id: String,
    pub version: String,
    pub state: State,
    /// Messages that wait at the broker, where that can be known.
    pub lag: Option<u64>,
    pub error: Option<Fault>,
    pub received: u64,
    pub accepted: u64,
    pub duplicates: u64,
    pub dead_letters: u64,
    /// When the companion last took a message, Unix milliseconds.
    pub last_message_at: Option<u64>,
}

/// What went wrong last with a source, and when, Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub message: String,
    pub at: u64,
}

/// From the worst to the best. A companion that has stopped does not speak for those that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Stopped,
    Failing,
    Connecting,
    Connected,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Connecting, Self::Connected, Self::Failing, Self::Stopped];

    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Failing => "failing",
            Self::Stopped => "stopped",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl Report {
    /// The body of `POST /consumer/v1/status`.
    pub fn write(&self) -> Value {
        let sources = self.sources.iter().map(|source| {
            let mut written = json!(source);
            if let Value::Object(fields) = &mut written {
                fields.insert("source_id".into(), source.source_id.as_str().into());
            }
            written
        });
        json!({"companion": self.companion, "version": self.version, "sources": sources.collect::<Vec<_>>()})
    }
}

impl FromFields for Report {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let companion = fields.text("companion")?.unwrap_or_default();
        let version = fields.text("version")?.unwrap_or_default();
        let sources: Vec<SourceReport> = fields.objects("sources")?.unwrap_or_default();
        if companion.is_empty() {
            return Err(ApiError::bad_request("companion:please say who reports"));
        }
        check_length("companion", &companion, NAME_MAX_CHARS)?;
        check_length("version", &version, 64)?;
        if REPORTS_MAX < sources.len() {
            return Err(ApiError::new(413, format!("sources:at most {REPORTS_MAX}")));
        }
        Ok(Self { companion, version, sources })
    }
}

impl FromFields for SourceReport {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let state = fields.text("state")?.unwrap_or_default();
        let version = fields.text("version")?.unwrap_or_default();
        let mut number =
            |name| Ok::<_, ApiError>(fields.number(name, 0..=ANY)?.unwrap_or_default());
        let (received, accepted) = (number("received")?, number("accepted")?);
        let (duplicates, dead_letters) = (number("duplicates")?, number("dead_letters")?);
        let source_id = fields.text("source_id")?.unwrap_or_default();
        let (lag, error) = (fields.number("lag", 0..=ANY)?, fields.object("error")?);
        let last_message_at = fields.number("last_message_at", 0..=ANY)?;
        let state = State::from_name(&state).ok_or_else(|| {
            ApiError::bad_request("state:one of connecting, connected, failing and stopped")
        })?;
        check_length("version", &version, 64)?;
        Ok(Self {
            source_id,
            version,
            state,
            lag,
            error,
            received,
            accepted,
            duplicates,
            dead_letters,
            last_message_at,
        })
    }
}

impl FromFields for Fault {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let message = fields.text("message")?.unwrap_or_default();
        let message = message.chars().take(1_000).collect();
        Ok(Self { message, at: fields.number("at", 0..=ANY)?.unwrap_or_default() })
    }
}

/// A stored report of a companion, which came at `seen_at`, Unix milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub struct Seen {
    pub companion: String,
    pub version: String,
    pub seen_at: u64,
    /// JSON of [`SourceReport`].
    pub doc: String,
}

/// `pub_sub_status` of a source: of all who reported in the last minute. Messages arrive as long as one companion is well, so
/// the best state is the source's; how each of them fares stands in `companions`.
pub fn status(broker: Broker, seen: &[Seen], now_ms: u64) -> Value {
    let mut companions = Vec::new();
    let mut reports: Vec<SourceReport> = Vec::new();
    for one in seen {
        if one.seen_at.saturating_add(REPORT_COUNTS_MS) < now_ms {
            continue;
        }
        let Ok(report) = json::read::<SourceReport>(&one.doc) else { continue };
        let mut shown = report.present();
        if let Value::Object(shown) = &mut shown {
            shown.insert("companion".into(), one.companion.as_str().into());
            shown.insert("version".into(), one.version.as_str().into());
            shown.insert("source_version".into(), report.version.as_str().into());
            shown.insert("seen_at".into(), rfc3339(one.seen_at).into());
        }
        companions.push(shown);
        reports.push(report);
    }
    let last = reports.iter().filter_map(|report| report.last_message_at).max();
    let state = reports.iter().map(|report| report.state).max();
    // One that was told to stop is no trouble, unless there is no other.
    reports.retain(|report| report.state != State::Stopped || state == Some(State::Stopped));
    let lags = reports.iter().filter_map(|report| report.lag);
    let lag = match broker {
        // Each tells of the partitions that are its own.
        Broker::Kafka => lags.reduce(u64::saturating_add),
        // Each tells of the whole queue.
        Broker::Sqs | Broker::Google | Broker::Amqp => lags.max(),
    };
    let error = reports
        .iter()
        .filter_map(|report| Some((report.state == State::Failing, report.error.as_ref()?)))
        .max_by_key(|(fails_now, error)| (*fails_now, error.at));
    json!({
        "state": state.map_or_else(|| json!("unattended"), |state| json!(state)), "lag": lag,
        "error": error.map(|(_, error)| error.present()), "last_message_at": last.map(rfc3339),
        "companions": companions,
    })
}

impl Fault {
    fn present(&self) -> Value {
        json!({"message": self.message, "at": rfc3339(self.at)})
    }
}

impl SourceReport {
    fn present(&self) -> Value {
        json!({"state": self.state, "lag": self.lag, "error": self.error.as_ref().map(Fault::present),
            "received": self.received, "accepted": self.accepted, "duplicates": self.duplicates,
            "dead_letters": self.dead_letters, "last_message_at": self.last_message_at.map(rfc3339)})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(companion: &str, at: u64, doc: Value) -> Seen {
        let mut all = json!({"version": "v", "state": "connected", "lag": null, "error": null, "received": 0,
            "accepted": 0, "duplicates": 0, "dead_letters": 0, "last_message_at": null});
        if let (Value::Object(all), Value::Object(doc)) = (&mut all, doc) {
            all.extend(doc);
        }
        Seen { companion: companion.into(), version: "1".into(), seen_at: at, doc: all.to_string() }
    }

    #[test]
    fn a_key_of_a_companion_takes_nothing_that_it_would_drop() {
        let read = |body: &str| crate::api::parse::<ConsumerKeyInput>(body.as_bytes());
        assert!(read(r#"{"name":"a","expires_at":""}"#).is_ok());
        let error = read(r#"{"name":"a","expires_at":"2030-01-01T00:00:00Z"}"#).unwrap_err();
        assert_eq!(error.message, "expires_at:unknown field: what is read here is name");
    }

    #[test]
    fn a_source_is_as_well_as_the_best_of_its_companions() {
        use Broker::{Amqp, Google, Kafka, Sqs};
        let now = 100_000;
        let of = |state: &str, lag: Value, error_at: Option<u64>| {
            let error = error_at.map(|at| json!({"message": format!("at {at}"), "at": at}));
            (now, json!({"state": state, "lag": lag, "error": error}))
        };
        let none = Value::Null;
        let connected = |lag: u64| of("connected", json!(lag), None);
        let silent = |(_, doc): (u64, Value)| (now - 60_001, doc);
        type Case = (Broker, Vec<(u64, Value)>, (&'static str, Option<u64>, Option<&'static str>));
        let cases: Vec<Case> = vec![
            (Kafka, vec![], ("unattended", None, None)),
            (Kafka, vec![silent(connected(9))], ("unattended", None, None)),
            (Kafka, vec![connected(3), connected(4)], ("connected", Some(7), None)),
            (Kafka, vec![connected(3), silent(connected(4))], ("connected", Some(3), None)),
            (Sqs, vec![connected(3), connected(4)], ("connected", Some(4), None)),
            (Amqp, vec![connected(4), connected(3)], ("connected", Some(4), None)),
            (
                Google,
                vec![of("connected", none.clone(), None), of("connected", none.clone(), None)],
                ("connected", None, None),
            ),
            // One that fails stops nobody else, and is not hidden.
            (
                Amqp,
                vec![connected(3), of("failing", none.clone(), Some(7))],
                ("connected", Some(3), Some("at 7")),
            ),
            // What fails now says more than what failed later and is over.
            (
                Amqp,
                vec![of("failing", none.clone(), Some(7)), of("connected", json!(3), Some(9))],
                ("connected", Some(3), Some("at 7")),
            ),
            (
                Sqs,
                vec![of("failing", none.clone(), Some(7)), of("failing", none.clone(), Some(8))],
                ("failing", None, Some("at 8")),
            ),
            (
                Sqs,
                vec![of("connecting", none.clone(), None), of("failing", none.clone(), Some(8))],
                ("connecting", None, Some("at 8")),
            ),
            // One that has stopped counts for nothing beside another.
            (
                Kafka,
                vec![of("stopped", json!(50), Some(9)), connected(2)],
                ("connected", Some(2), None),
            ),
            (
                Kafka,
                vec![of("stopped", none.clone(), Some(9)), of("failing", none.clone(), Some(8))],
                ("failing", None, Some("at 8")),
            ),
            (
                Kafka,
                vec![of("stopped", none.clone(), Some(9)), of("stopped", none, None)],
                ("stopped", None, Some("at 9")),
            ),
        ];
        for (broker, companions, expect) in cases {
            let seen: Vec<Seen> =
                companions.iter().map(|(at, doc)| seen("one", *at, doc.clone())).collect();
            let shown = status(broker, &seen, now);
            let found = (
                shown["state"].as_str().unwrap(),
                shown["lag"].as_u64(),
                shown["error"]["message"].as_str(),
            );
            assert_eq!(found, expect, "{broker:?} {companions:?}");
            let counted = companions.iter().filter(|(at, _)| *at == now).count();
            assert_eq!(shown["companions"].as_array().unwrap().len(), counted, "each is shown");
        }
    }

    #[test]
    fn what_a_companion_writes_of_its_sources_is_read() {
        let reports = State::ALL.map(|state| SourceReport {
            source_id: "s".into(),
            version: "v".into(),
            state,
            lag: Some(1),
            error: Some(Fault { message: "why".into(), at: 2 }),
            received: 3,
            accepted: 4,
            duplicates: 5,
            dead_letters: 6,
            last_message_at: Some(7),
        });
        let mut report =
            Report { companion: "c".into(), version: "1".into(), sources: reports.into() };
        report.sources.push(SourceReport {
            lag: None,
            error: None,
            last_message_at: None,
            ..report.sources[0].clone()
        });
        let written = report.write();
        assert_eq!(written["sources"][3]["state"], "stopped");
        let read: Report = crate::api::parse(written.to_string().as_bytes()).unwrap();
        assert_eq!((read.companion, read.version), ("c".to_owned(), "1".to_owned()));
        assert_eq!(read.sources, report.sources);
    }

    #[test]
    fn an_etag_may_stand_among_others() {
        assert!(is_known("\"a\", W/\"b\"", "\"b\""));
        assert!(!is_known("\"a\"", "\"b\""));
        assert!(!is_known("", "\"b\""));
    }
}
