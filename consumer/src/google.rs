//! Google Pub/Sub, by unary pulls over REST: take at most so many, settle them when they are durable.
//!
//! A streaming pull would hand over more than was asked for, and its client would hold the leases. Pulls have exact flow
//! control and need no gRPC; `workers` is how many there are at a time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use google_cloud_auth::credentials::service_account::{AccessSpecifier, Builder as ServiceAccount};
use google_cloud_auth::credentials::{AccessTokenCredentials, Builder as Ambient};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::broker::{Broker, Fault, Message, Purpose, Settled};
use crate::edge::words;
use crate::leases::Leases;
use crate::log;
use crate::source::{Google as Config, given, given_secret};

const SCOPE: &str = "https://www.googleapis.com/auth/pubsub";
const AT_A_TIME: usize = 500;
/// A pull is answered when there is something, or after a while with nothing.
const PULL: Duration = Duration::from_mins(1);
const CALL: Duration = Duration::from_secs(20);
const LEASE_SECONDS: u32 = 30;
/// What is looked at every five seconds is renewed within six: a subscription may have a deadline of ten.
const RENEW_AFTER: Duration = Duration::from_secs(1);
/// A pull that comes back at once with nothing is not repeated at once.
const PAUSE: Duration = Duration::from_millis(250);
/// How often settling is tried again while Pub/Sub is busy. What is not settled comes again, and is a copy then.
const TRIES: u32 = 3;

pub(crate) struct Google {
    http: Client,
    credentials: Option<AccessTokenCredentials>,
    /// `https://…/v1/projects/p/subscriptions/s`
    subscription: String,
    leases: Leases,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pulled {
    #[serde(default)]
    received_messages: Vec<Received>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    ack_id: String,
    #[serde(default)]
    message: Body,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    data: String,
    attributes: HashMap<String, String>,
    message_id: String,
    publish_time: String,
    ordering_key: String,
}

impl Broker for Google {
    type Config = Config;
    /// The ack id.
    type Receipt = String;

    async fn connect(config: &Config, _purpose: Purpose) -> Result<Self, Fault> {
        let http = Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // Nor does it go where somebody who calls himself an emulator sends it.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Fault(words(&error)))?;
        let emulator = given(config.emulator_host.as_ref());
        let credentials = match emulator {
            Some(_) => None,
            None => Some(credentials(given_secret(config.service_account.as_ref()))?),
        };
        let base = emulator.map_or_else(
            || "https://pubsub.googleapis.com".to_owned(),
            |host| format!("http://{}", host.trim_start_matches("http://")),
        );
        let subscription = format!("{base}/v1/{}", path(config));
        let this = Self { http, credentials, subscription, leases: Leases::new(RENEW_AFTER) };
        match this.call(Method::GET, "", None, CALL).await {
            // A subscriber need not be allowed to look at the subscription itself.
            Ok(_) | Err(Refusal { status: Some(403), .. }) => Ok(this),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn receive(&self) -> Result<Vec<Message<String>>, Fault> {
        let began = Instant::now();
        let body = json!({"maxMessages": AT_A_TIME});
        let pulled = match self.call(Method::POST, ":pull", Some(body), PULL).await {
            Ok(bytes) => serde_json::from_slice::<Pulled>(&bytes)
                .map_err(|error| Fault(format!("the pull's answer is not understood: {error}")))?,
            Err(refusal) if refusal.late || refusal.status == Some(504) => Pulled::default(),
            Err(refusal) => return Err(refusal.into()),
        };
        let taken: Vec<_> = pulled.received_messages.into_iter().map(read).collect();
        if taken.is_empty() && began.elapsed() < PAUSE {
            tokio::time::sleep(PAUSE).await;
        }
        self.leases.take(taken.iter().map(|message| &message.receipt), Instant::now());
        Ok(taken)
    }

    async fn settle(&self, settled: Vec<Settled<String>>) -> Result<(), Fault> {
        let ids: Vec<String> = settled.into_iter().map(|one| one.receipt).collect();
        self.leases.forget(&ids);
        self.tell(":acknowledge", &ids, None).await?;
        Ok(())
    }

    async fn release(&self, receipts: Vec<String>) {
        self.leases.forget(&receipts);
        self.tell(":modifyAckDeadline", &receipts, Some(0)).await.ok();
    }

    async fn keep(&self) -> Result<(), Fault> {
        let due = self.leases.due(Instant::now());
        let lost = self.tell(":modifyAckDeadline", &due, Some(LEASE_SECONDS)).await?;
        // Not ours any more: it comes again.
        self.leases.forget(&lost);
        self.leases.renew(&due, Instant::now());
        Ok(())
    }

    /// Only Cloud Monitoring knows.
    async fn lag(&self) -> Option<u64> {
        None
    }
}

/// Why a call was not answered as it should be.
struct Refusal {
    status: Option<u16>,
    late: bool,
    text: String,
}

impl Refusal {
    fn is_busy(&self) -> bool {
        self.status.is_none_or(|status| status == 429 || status >= 500)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal.status {
            Some(status) => Self(format!("Pub/Sub answers {status}: {}", refusal.text)),
            None => Self(format!("Pub/Sub is not reached: {}", refusal.text)),
        }
    }
}

impl Google {
    /// Says something about these, and answers those that Pub/Sub knows no more: an id that is too old spoils the others
    /// that are sent with it. What is busy is asked again, a few times.
    async fn tell(
        &self,
        verb: &str,
        ids: &[String],
        seconds: Option<u32>,
    ) -> Result<Vec<String>, Fault> {
        let mut parts: Vec<&[String]> = ids.chunks(AT_A_TIME).rev().collect();
        let mut unknown = Vec::new();
        let mut tries = 0;
        while let Some(part) = parts.pop() {
            let mut body = json!({"ackIds": part});
            if let (Some(seconds), Value::Object(body)) = (seconds, &mut body) {
                body.insert("ackDeadlineSeconds".to_owned(), seconds.into());
            }
            match self.call(Method::POST, verb, Some(body), CALL).await {
                Ok(_) => {}
                Err(refusal) if refusal.status == Some(400) => {
                    match part.split_at(part.len() / 2) {
                        ([], _) => unknown.extend_from_slice(part),
                        (first, second) => parts.extend([second, first]),
                    }
                }
                Err(refusal) if refusal.is_busy() && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * tries).await;
                    parts.push(part);
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
        if !unknown.is_empty() {
            log::debug(
                "pubsub",
                json!({"text": "Pub/Sub knows these no more; they come again", "messages": unknown.len()}),
            );
        }
        Ok(unknown)
    }

    async fn call(
        &self,
        method: Method,
        verb: &str,
        body: Option<Value>,
        patience: Duration,
    ) -> Result<Vec<u8>, Refusal> {
        let unreached = |text: String| Refusal { status: None, late: false, text };
        let url = format!("{}{verb}", self.subscription);
        let mut request = self.http.request(method, url).timeout(patience);
        if let Some(credentials) = &self.credentials {
            let token = credentials.access_token().await;
            let token = token.map_err(|error| unreached(format!("no access token: {error}")))?;
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.token));
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let failed = |error: reqwest::Error| Refusal {
            status: None,
            late: error.is_timeout() && !error.is_connect(),
            text: words(&error),
        };
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(failed)?;
        if status.is_success() {
            return Ok(bytes.into());
        }
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text =
            said.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason given");
        Err(Refusal { status: Some(status.as_u16()), late: false, text: text.to_owned() })
    }
}

/// A key file as base64 (or as it is), or what the environment has: a file, a workload identity, a metadata server.
fn credentials(service_account: Option<&str>) -> Result<AccessTokenCredentials, Fault> {
    let Some(text) = service_account else {
        let ambient = Ambient::default().with_scopes([SCOPE]).build_access_token_credentials();
        return ambient
            .map_err(|error| Fault(format!("there are no ambient credentials: {error}")));
    };
    let wrong =
        |why: &str| Fault(format!("google.service_account is not base64 of a JSON key: {why}"));
    let bytes = if text.trim_start().starts_with('{') {
        text.as_bytes().to_vec()
    } else {
        STANDARD.decode(text.trim()).map_err(|_| wrong("not base64"))?
    };
    let key: Value = serde_json::from_slice(&bytes).map_err(|_| wrong("not JSON"))?;
    ServiceAccount::new(key)
        .with_access_specifier(AccessSpecifier::from_scopes([SCOPE]))
        .build_access_token_credentials()
        .map_err(|error| wrong(&error.to_string()))
}

fn read(received: Received) -> Message<String> {
    let body = received.message;
    let (data, dead) = match STANDARD.decode(&body.data) {
        Ok(data) => (data, None),
        Err(error) => (body.data.into_bytes(), Some(format!("its data is not base64: {error}"))),
    };
    let mut message = Message::new(received.ack_id, data);
    message.dead = dead;
    message.id = Some(body.message_id).filter(|id| !id.is_empty());
    message.key = Some(body.ordering_key).filter(|key| !key.is_empty());
    message.at = inlet_gateway::time::parse_rfc3339(&body.publish_time)
        .and_then(|ms| i64::try_from(ms).ok());
    message.headers = body.attributes.into_iter().collect();
    message.headers.sort();
    message
}

/// The resource of a subscription, as a URL has it: of all that a
/// [name](https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names) may hold, only `%` means something else there.
fn path(config: &Config) -> String {
    let name = config.subscription_id.replace('%', "%25");
    format!("projects/{}/subscriptions/{name}", config.project_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_from_what_a_pull_answers() {
        let pulled: Pulled = serde_json::from_str(
            r#"{"receivedMessages":[{"ackId":"a","deliveryAttempt":2,"message":{"data":"/wA=","messageId":"7",
                "attributes":{"b":"2","a":"1"},"publishTime":"2026-11-21T10:00:00.5Z","orderingKey":"k"}},
                {"ackId":"b","message":{"data":"?"}}]}"#,
        )
        .unwrap();
        let mut messages = pulled.received_messages.into_iter().map(read);
        let message = messages.next().unwrap();
        assert_eq!((message.receipt.as_str(), message.id.as_deref()), ("a", Some("7")));
        assert_eq!((message.payload, message.key.as_deref()), (vec![0xff, 0], Some("k")));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(message.headers, [pair("a", "1"), pair("b", "2")]);
        assert_eq!(message.at.map(|at| at % 1000), Some(500));
        let broken = messages.next().unwrap();
        assert!(broken.dead.unwrap().contains("not base64"));
        assert_eq!((broken.id, broken.payload), (None, b"?".to_vec()));
        let empty: Pulled = serde_json::from_str("{}").unwrap();
        assert!(empty.received_messages.is_empty());
    }

    #[test]
    fn a_name_stands_in_a_url_as_it_is() {
        let config = |name: &str| {
            serde_json::from_value::<Config>(
                json!({"project_id": "example.com:p", "subscription_id": name}),
            )
            .unwrap()
        };
        for (name, in_url) in [("orders.v1~a_b-c+d", "orders.v1~a_b-c+d"), ("a%41%", "a%2541%25")] {
            let expect = format!("projects/example.com:p/subscriptions/{in_url}");
            assert_eq!(path(&config(name)), expect);
        }
    }

    #[test]
    fn keys_that_are_no_keys_are_told_without_showing_them() {
        for key in ["?hidden", "aGlkZGVu", "eyJoaWRkZW4iOjF9"] {
            let fault = credentials(Some(key)).unwrap_err();
            assert!(fault.0.starts_with("google.service_account is not"), "{fault}");
            assert!(!fault.0.contains("hidden"), "{fault}");
        }
    }
}
