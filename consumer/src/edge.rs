//! What the gateway is asked, and what its answers mean.

use std::io::Write as _;
use std::time::Duration;

use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::settings::{Key, Settings};
use crate::source::Source;

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_mins(1);
/// However long the gateway asks to be left alone, it is asked again after this.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The gateway, as the owner of one key sees it.
#[derive(Debug)]
pub(crate) struct Edge {
    http: Client,
    base: Url,
    key: Key,
    gzip: bool,
}

/// Why there is no answer to what was asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum EdgeFault {
    #[error("the gateway refuses the consumer key (401): {0}")]
    Unauthorized(String),
    #[error("the gateway asks to wait ({status}): {message}")]
    Busy { status: u16, message: String, wait: Option<Duration> },
    #[error("the gateway is not reached: {0}")]
    Unreachable(String),
    #[error("the gateway refuses this batch ({status}): {message}")]
    Refused { status: u16, message: String },
    #[error("the gateway does not know this source (404): {0}")]
    Gone(String),
    #[error("the source is disabled (409): {0}")]
    Disabled(String),
    #[error("the gateway's answer is not understood: {0}")]
    Strange(String),
}

/// What became of one message.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(crate) enum Verdict {
    Accepted,
    Duplicate,
    DeadLetter {
        #[serde(default)]
        reason: String,
    },
    Retry {
        #[serde(default)]
        reason: String,
    },
}

#[derive(Deserialize)]
struct Verdicts {
    results: Vec<Verdict>,
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

#[derive(Deserialize)]
struct Listing {
    #[serde(default = "five")]
    poll_seconds: u64,
    #[serde(default)]
    project_id: String,
    #[serde(default = "five_mib")]
    max_message_bytes: usize,
    sources: Vec<Value>,
}

fn five() -> u64 {
    5
}

fn five_mib() -> usize {
    5 << 20
}

impl Edge {
    pub(crate) fn new(settings: &Settings, key: &Key) -> Result<Self, String> {
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .user_agent(concat!("inlet-consumer/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| words(&error))?;
        Ok(Self { http, base: settings.url.clone(), key: key.clone(), gzip: settings.gzip })
    }

    fn request(&self, method: reqwest::Method, path: &str) -> Result<RequestBuilder, EdgeFault> {
        let url = self.base.join(path).map_err(|error| EdgeFault::Strange(error.to_string()))?;
        let bearer = format!("Bearer {}", self.key.expose());
        Ok(self.http.request(method, url).header(AUTHORIZATION, bearer))
    }

    /// `Inlet <version>`, if that is what answers there.
    pub(crate) async fn hello(&self) -> Result<String, EdgeFault> {
        let answer = send(self.request(reqwest::Method::GET, "healthz")?).await?;
        let text = answer.text().await.unwrap_or_default();
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        match value.get("message").and_then(Value::as_str) {
            Some(message) if message.starts_with("Inlet ") => Ok(message.to_owned()),
            _ => Err(EdgeFault::Strange("what answers there is not Inlet".to_owned())),
        }
    }

    /// The sources of the key's project; nothing if they are those of `etag`.
    pub(crate) async fn sources(&self, etag: Option<&str>) -> Result<Option<List>, EdgeFault> {
        let mut request = self.request(reqwest::Method::GET, "consumer/v1/sources")?;
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = send(request).await?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let answer = succeeded(answer).await?;
        let etag =
            answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let text = answer.text().await.map_err(|error| EdgeFault::Unreachable(words(&error)))?;
        let listing: Listing = serde_json::from_str(&text)
            .map_err(|error| EdgeFault::Strange(format!("the list of sources: {error}")))?;
        Ok(Some(List {
            etag,
            poll: Duration::from_secs(listing.poll_seconds.clamp(1, 60)),
            project_id: listing.project_id,
            max_message_bytes: listing.max_message_bytes,
            sources: listing.sources.into_iter().map(read_source).collect(),
        }))
    }

    /// A verdict for each of the `count` messages of this batch.
    pub(crate) async fn post(
        &self,
        batch: Vec<u8>,
        count: usize,
    ) -> Result<Vec<Verdict>, EdgeFault> {
        let request = self
            .request(reqwest::Method::POST, "consumer/v1/batches")?
            .header(CONTENT_TYPE, "application/vnd.inlet.batch");
        let request = match self.gzip.then(|| compressed(&batch)).flatten() {
            Some(small) => request.header(CONTENT_ENCODING, "gzip").body(small),
            None => request.body(batch),
        };
        let answer = succeeded(send(request).await?).await?;
        let bytes = answer.bytes().await.map_err(|error| EdgeFault::Unreachable(words(&error)))?;
        let verdicts: Verdicts = serde_json::from_slice(&bytes)
            .map_err(|error| EdgeFault::Strange(format!("the verdicts: {error}")))?;
        if verdicts.results.len() != count {
            let got = verdicts.results.len();
            return Err(EdgeFault::Strange(format!("{got} verdicts for {count} messages")));
        }
        Ok(verdicts.results)
    }

    pub(crate) async fn report(&self, status: &Value) -> Result<(), EdgeFault> {
        let request = self
            .request(reqwest::Method::POST, "consumer/v1/status")?
            .header(CONTENT_TYPE, "application/json")
            .body(status.to_string());
        succeeded(send(request).await?).await.map(drop)
    }
}

fn read_source(value: Value) -> Listed {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (uid, name, version) = (text("uid"), text("name"), text("version"));
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

async fn send(request: RequestBuilder) -> Result<Response, EdgeFault> {
    request.send().await.map_err(|error| EdgeFault::Unreachable(words(&error)))
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

async fn succeeded(answer: Response) -> Result<Response, EdgeFault> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let wait = retry_after(answer.headers());
    let text = answer.text().await.unwrap_or_default();
    Err(fault(status.as_u16(), &text, wait))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn fault(status: u16, text: &str, wait: Option<Duration>) -> EdgeFault {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let said = value.get("message").or_else(|| value.get("error")).and_then(Value::as_str);
    let message: String = said.unwrap_or("no reason given").chars().take(500).collect();
    match status {
        401 | 403 => EdgeFault::Unauthorized(message),
        404 => EdgeFault::Gone(message),
        409 => EdgeFault::Disabled(message),
        400 | 413 | 415 | 422 => EdgeFault::Refused { status, message },
        408 | 429 | 500..=599 => EdgeFault::Busy { status, message, wait },
        _ => EdgeFault::Strange(format!("status {status}: {message}")),
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
    fn every_status_means_one_thing() {
        let wait = Some(Duration::from_secs(7));
        let said = r#"{"status":false,"message":"why"}"#;
        let why = || "why".to_owned();
        for (status, expect) in [
            (401, EdgeFault::Unauthorized(why())),
            (404, EdgeFault::Gone(why())),
            (409, EdgeFault::Disabled(why())),
            (400, EdgeFault::Refused { status: 400, message: why() }),
            (413, EdgeFault::Refused { status: 413, message: why() }),
            (422, EdgeFault::Refused { status: 422, message: why() }),
            (408, EdgeFault::Busy { status: 408, message: why(), wait }),
            (429, EdgeFault::Busy { status: 429, message: why(), wait }),
            (503, EdgeFault::Busy { status: 503, message: why(), wait }),
            (500, EdgeFault::Busy { status: 500, message: why(), wait }),
            (302, EdgeFault::Strange("status 302: why".to_owned())),
        ] {
            assert_eq!(fault(status, said, wait), expect);
        }
        let plain = fault(502, "<html>", None);
        assert_eq!(plain.to_string(), "the gateway asks to wait (502): no reason given");
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
