//! What the gateway is asked, and what its answers mean.

use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use inlet_gateway::batch::{self, Verdict, Verdicts};
use inlet_gateway::consumer::Listing;
use inlet_gateway::routes::ConsumerCall;
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;

use crate::settings::{Key, Settings};
use crate::source::Source;

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_mins(1);
/// Runtimes close what is idle after five seconds: a request on a connection that is just being closed gets no answer.
const IDLE: Duration = Duration::from_secs(3);
/// However long the gateway asks to be left alone, it is asked again after this.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The gateway, as the owner of one key sees it.
#[derive(Debug)]
pub(crate) struct Edge {
    http: Client,
    base: Url,
    key: Key,
    gzip: bool,
    /// How often it has answered anything as it should.
    answered: AtomicU64,
}

/// What the gateway is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Health,
    Sources,
    Batch,
    Report,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Health => "its health",
            Self::Sources => "the list of sources",
            Self::Batch => "a batch",
            Self::Report => "a status report",
        })
    }
}

/// Why there is no answer to what was asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum EdgeFault {
    #[error("{asked}: the gateway refuses the consumer key ({status}): {message}")]
    Unauthorized { asked: Asked, status: u16, message: String },
    #[error("{asked}: the gateway asks to wait ({status}): {message}")]
    Busy { asked: Asked, status: u16, message: String, wait: Option<Duration> },
    #[error("{asked}: the gateway is not reached: {why}")]
    Unreachable { asked: Asked, why: String },
    /// It, or what runs it, broke down over this, or took longer than anything may.
    #[error("{asked}: the gateway fails: {why}")]
    Failed { asked: Asked, why: String },
    /// `is_told`: by the gateway itself, not by something between that has a limit of its own.
    #[error("{asked}: the gateway refuses it ({status}): {message}")]
    Refused { asked: Asked, status: u16, message: String, is_told: bool },
    /// The source of a batch is gone, or disabled.
    #[error("{asked}: the gateway wants nothing of this source ({status}): {message}")]
    Unwanted { asked: Asked, status: u16, message: String },
    #[error("{asked}: the gateway's answer is not understood: {why}")]
    Strange { asked: Asked, why: String },
}

impl EdgeFault {
    /// Whether the gateway itself has said so: it has not where it breaks down, or where something before it answers.
    pub(crate) fn is_its_word(&self) -> bool {
        !matches!(self, Self::Failed { .. } | Self::Refused { is_told: false, .. })
    }
}

/// A source whose description was not understood fails alone.
pub(crate) type Listed = Result<Source, Unread>;

#[derive(Clone, Debug)]
pub(crate) struct Unread {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) error: String,
}

#[derive(Debug)]
pub(crate) struct List {
    pub(crate) etag: Option<String>,
    pub(crate) poll: Duration,
    pub(crate) project_id: String,
    pub(crate) max_message_bytes: usize,
    pub(crate) sources: Vec<Listed>,
}

impl Edge {
    pub(crate) fn new(settings: &Settings, key: &Key) -> Result<Self, String> {
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("inlet-consumer/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| words(&error))?;
        let (base, key, gzip) = (settings.url.clone(), key.clone(), settings.gzip);
        Ok(Self { http, base, key, gzip, answered: AtomicU64::new(0) })
    }

    /// Grows with each answer: whoever gets none can tell whether others do.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn request(&self, asked: Asked) -> Result<RequestBuilder, EdgeFault> {
        let (method, path) = match asked {
            Asked::Health => (Method::GET, "healthz"),
            Asked::Sources => (Method::GET, ConsumerCall::Sources.path()),
            Asked::Batch => (Method::POST, ConsumerCall::Batch.path()),
            Asked::Report => (Method::POST, ConsumerCall::Status.path()),
        };
        let url = self.base.join(path).map_err(|error| strange(asked, error))?;
        let bearer = format!("Bearer {}", self.key.expose());
        Ok(self.http.request(method, url).header(AUTHORIZATION, bearer))
    }

    /// `Inlet <version>`, if that is what answers there.
    pub(crate) async fn hello(&self) -> Result<String, EdgeFault> {
        let asked = Asked::Health;
        let answer = send(asked, self.request(asked)?).await?;
        let text = answer.text().await.unwrap_or_default();
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        match value.get("message").and_then(Value::as_str) {
            Some(message) if message.starts_with("Inlet ") => Ok(message.to_owned()),
            _ => Err(strange(asked, "what answers there is not Inlet")),
        }
    }

    /// The sources of the key's project; nothing if they are those of `etag`.
    pub(crate) async fn sources(&self, etag: Option<&str>) -> Result<Option<List>, EdgeFault> {
        let asked = Asked::Sources;
        let mut request = self.request(asked)?;
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = send(asked, request).await?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            self.note_answer();
            return Ok(None);
        }
        let answer = self.succeeded(asked, answer).await?;
        let etag =
            answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let text = answer.text().await.map_err(|error| unreached(asked, &error))?;
        let listing: Listing =
            serde_json::from_str(&text).map_err(|error| strange(asked, error))?;
        Ok(Some(List {
            etag,
            poll: Duration::from_secs(listing.poll_seconds.clamp(1, 60)),
            project_id: listing.project_id,
            max_message_bytes: usize::try_from(listing.max_message_bytes).unwrap_or(usize::MAX),
            sources: listing.sources.into_iter().map(read_source).collect(),
        }))
    }

    /// A verdict for each of the `count` messages of this batch.
    pub(crate) async fn post(
        &self,
        body: Vec<u8>,
        count: usize,
    ) -> Result<Vec<Verdict>, EdgeFault> {
        let asked = Asked::Batch;
        let request = self.request(asked)?.header(CONTENT_TYPE, batch::CONTENT_TYPE);
        let request = match self.gzip.then(|| compressed(&body)).flatten() {
            Some(small) => request.header(CONTENT_ENCODING, "gzip").body(small),
            None => request.body(body),
        };
        let answer = self.succeeded(asked, send(asked, request).await?).await?;
        let bytes = answer.bytes().await.map_err(|error| unreached(asked, &error))?;
        let Verdicts { results } =
            serde_json::from_slice(&bytes).map_err(|error| strange(asked, error))?;
        if results.len() != count {
            let got = results.len();
            return Err(strange(asked, format!("{got} verdicts for {count} messages")));
        }
        Ok(results)
    }

    pub(crate) async fn report(&self, status: &Value) -> Result<(), EdgeFault> {
        let asked = Asked::Report;
        let request =
            self.request(asked)?.header(CONTENT_TYPE, "application/json").body(status.to_string());
        self.succeeded(asked, send(asked, request).await?).await.map(drop)
    }

    async fn succeeded(&self, asked: Asked, answer: Response) -> Result<Response, EdgeFault> {
        let answer = succeeded(asked, answer).await?;
        self.note_answer();
        Ok(answer)
    }

    fn note_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

fn strange(asked: Asked, why: impl ToString) -> EdgeFault {
    EdgeFault::Strange { asked, why: why.to_string() }
}

fn unreached(asked: Asked, error: &reqwest::Error) -> EdgeFault {
    let why = words(error);
    if error.is_timeout() && !error.is_connect() {
        return EdgeFault::Failed { asked, why };
    }
    EdgeFault::Unreachable { asked, why }
}

fn read_source(value: Value) -> Listed {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (uid, name, version) = (text("uid"), text("name"), text("version"));
    if let Some(error) = value.get("error").and_then(Value::as_str) {
        return Err(Unread { uid, name, version, error: error.to_owned() });
    }
    // The error names the field; it would also quote a value, which may be a secret.
    serde_json::from_value(value).map_err(|error| {
        let error = error.to_string();
        let error = match error.split_once("invalid type: ").or(error.split_once("invalid value: "))
        {
            Some((_, rest)) => {
                let wanted = rest.rsplit_once("expected ").map_or("something else", |(_, w)| w);
                format!("a field has the wrong type, expected {wanted}")
            }
            None => error,
        };
        Unread { uid, name, version, error }
    })
}

async fn send(asked: Asked, request: RequestBuilder) -> Result<Response, EdgeFault> {
    request.send().await.map_err(|error| unreached(asked, &error))
}

/// An error with its causes; the address is known, and may not be repeated for every one.
pub(crate) fn words(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    match (causes.pop(), error.is_timeout()) {
        (_, true) => "no answer in time".to_owned(),
        (Some(cause), false) => cause,
        (None, false) => error.to_string(),
    }
}

async fn succeeded(asked: Asked, answer: Response) -> Result<Response, EdgeFault> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let wait = retry_after(answer.headers());
    let text = answer.text().await.unwrap_or_default();
    Err(fault(asked, status.as_u16(), &text, wait))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn fault(asked: Asked, status: u16, text: &str, wait: Option<Duration>) -> EdgeFault {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let message = value.get("message").and_then(Value::as_str);
    // As the gateway writes all its refusals. Whatever else answers there (a proxy, the platform) speaks for itself.
    let is_told = message.is_some() && value.get("status") == Some(&Value::Bool(false));
    let said = message.or_else(|| value.get("error").and_then(Value::as_str));
    let message: String = said.unwrap_or("no reason given").chars().take(500).collect();
    match status {
        401 | 403 if is_told => EdgeFault::Unauthorized { asked, status, message },
        404 | 409 if is_told && asked == Asked::Batch => {
            EdgeFault::Unwanted { asked, status, message }
        }
        404 => strange(asked, format!("there is nothing (404: {message}); is INLET_URL right?")),
        // Too large is too large, whoever says it.
        413 => EdgeFault::Refused { asked, status, message, is_told },
        400 | 415 | 422 if is_told => EdgeFault::Refused { asked, status, message, is_told },
        408 | 429 => EdgeFault::Busy { asked, status, message, wait },
        // The gateway says why it takes nothing now, and then it is 503. Anything else is a fault, its own or the platform's.
        503 if is_told => EdgeFault::Busy { asked, status, message, wait },
        400 | 401 | 403 | 409 | 415 | 422 | 500..=599 => {
            EdgeFault::Failed { asked, why: format!("{status}: {message}") }
        }
        _ => strange(asked, format!("status {status}: {message}")),
    }
}

fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    let out = Vec::with_capacity(bytes.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_means_one_thing_and_the_text_says_of_what() {
        use Asked::{Batch, Report, Sources};
        let wait = Some(Duration::from_secs(7));
        let why = || "why".to_owned();
        let unauthorized =
            |asked, status| EdgeFault::Unauthorized { asked, status, message: why() };
        let unwanted = |status| EdgeFault::Unwanted { asked: Batch, status, message: why() };
        let refused =
            |asked, status| EdgeFault::Refused { asked, status, message: why(), is_told: true };
        let failed = |status| EdgeFault::Failed { asked: Batch, why: format!("{status}: why") };
        let busy = |asked, status| EdgeFault::Busy { asked, status, message: why(), wait };
        for (asked, status, expect) in [
            (Sources, 401, unauthorized(Sources, 401)),
            (Batch, 403, unauthorized(Batch, 403)),
            (Batch, 404, unwanted(404)),
            (Batch, 409, unwanted(409)),
            (Report, 409, EdgeFault::Failed { asked: Report, why: "409: why".to_owned() }),
            (Batch, 400, refused(Batch, 400)),
            (Batch, 413, refused(Batch, 413)),
            (Report, 422, refused(Report, 422)),
            (Batch, 408, busy(Batch, 408)),
            (Batch, 429, busy(Batch, 429)),
            (Sources, 503, busy(Sources, 503)),
            (Batch, 500, failed(500)),
            (Batch, 502, failed(502)),
            (Sources, 302, strange(Sources, "status 302: why")),
        ] {
            assert_eq!(fault(asked, status, r#"{"status":false,"message":"why"}"#, wait), expect);
        }
        for (asked, status, text) in [
            (Batch, 400, "a batch: the gateway fails: 400: no reason given"),
            (Batch, 409, "a batch: the gateway fails: 409: no reason given"),
            (Batch, 413, "a batch: the gateway refuses it (413): no reason given"),
            (Batch, 415, "a batch: the gateway fails: 415: no reason given"),
            (Batch, 422, "a batch: the gateway fails: 422: no reason given"),
            (Batch, 502, "a batch: the gateway fails: 502: no reason given"),
            (Batch, 503, "a batch: the gateway fails: 503: no reason given"),
            (Batch, 429, "a batch: the gateway asks to wait (429): no reason given"),
            (Sources, 401, "the list of sources: the gateway fails: 401: no reason given"),
            (Report, 403, "a status report: the gateway fails: 403: no reason given"),
            (
                Batch,
                404,
                "a batch: the gateway's answer is not understood: there is nothing (404: no reason given); is \
                 INLET_URL right?",
            ),
        ] {
            assert_eq!(fault(asked, status, "<html>", None).to_string(), text);
        }
        // JSON of somebody else.
        for text in
            [r#"{"message":"why"}"#, r#"{"error":"why"}"#, r#"{"status":"error","message":"why"}"#]
        {
            assert_eq!(fault(Batch, 400, text, None), failed(400));
        }
    }

    #[test]
    fn a_pause_has_an_end() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, "2".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(2)));
        headers.insert(RETRY_AFTER, "999999".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(LONGEST_PAUSE));
        headers.insert(RETRY_AFTER, "soon".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }

    #[test]
    fn a_source_that_is_not_understood_keeps_its_name_and_its_secrets() {
        let value = serde_json::json!({"uid": "u", "name": "n", "version": "v", "type": "sqs",
            "sqs": {"queue_name": "q", "default_region": "r", "secret_key": ["hidden"]}});
        let unread = read_source(value).unwrap_err();
        assert_eq!((unread.uid.as_str(), unread.version.as_str()), ("u", "v"));
        assert!(!unread.error.contains("hidden"), "{}", unread.error);
        let value = serde_json::json!({"uid": "u", "version": "v", "type": "kafka"});
        assert!(read_source(value).unwrap_err().error.contains("kafka"));
    }

    #[test]
    fn compression_is_gzip() {
        use std::io::Read as _;
        let small = compressed(&[b'a'; 10_000]).unwrap();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(small.as_slice()).read_to_end(&mut back).unwrap();
        assert!(small.len() < 200 && back == [b'a'; 10_000]);
    }
}
