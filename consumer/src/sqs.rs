//! Amazon SQS, standard and FIFO.

use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::config::{Credentials, Region};
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message as Raw,
    MessageAttributeValue, MessageSystemAttributeName as System, QueueAttributeName,
};
use base64::Engine as _;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;

use crate::broker::{Broker, Fault, Message, Purpose, Settled};
use crate::leases::Leases;
use crate::source::{Sqs as Config, given, given_secret};

/// The most that SQS hands out, and takes back, at a time.
const BATCH: usize = MOST as usize;
const MOST: i32 = 10;
const LONG_POLL: i32 = 5;
/// How long a message is ours before it is somebody else's, unless it is held on to.
const VISIBILITY: i32 = 30;
const RENEW_AFTER: Duration = Duration::from_secs(10);
/// As many calls at a time, while the queue is full.
const AT_ONCE: usize = 4;
/// How long to wait when everything may be held back by what is under way: twice as long each time that nothing comes, since
/// polls cost money and the gateway may be away for hours.
const HELD_BACK: Duration = Duration::from_millis(50);
const DOUBLINGS_MAX: u32 = 5;
const LARGE: usize = 512 * 1024;

pub(crate) struct Sqs {
    client: Client,
    url: String,
    fifo: bool,
    leases: Leases,
    busy: std::sync::atomic::AtomicBool,
    /// How many polls have brought nothing since something came or was settled.
    in_vain: std::sync::atomic::AtomicU32,
    settled: tokio::sync::Notify,
}

impl Broker for Sqs {
    type Config = Config;
    /// The receipt handle.
    type Receipt = String;

    /// Whoever goes away from a poll leaves messages hidden until their time is up.
    const LAST_RECEIVE: Duration = Duration::from_secs(LONG_POLL as u64 + 1);

    async fn connect(config: &Config, _purpose: Purpose) -> Result<Self, Fault> {
        let client = client(config).await;
        let name = &config.queue_name;
        let url = if name.starts_with("http://") || name.starts_with("https://") {
            name.clone()
        } else {
            let found = client.get_queue_url().queue_name(name).send().await;
            found.map_err(|error| words(name, &error))?.queue_url.unwrap_or_default()
        };
        let leases = Leases::new(RENEW_AFTER);
        let this = Self {
            fifo: is_fifo(&url),
            client,
            url,
            leases,
            busy: false.into(),
            in_vain: 0.into(),
            settled: tokio::sync::Notify::new(),
        };
        // Where that is not allowed, receiving still may be.
        if let Err(error) = this.waiting().await
            && !is_denied(&error)
        {
            return Err(words(name, &error));
        }
        Ok(this)
    }

    async fn receive(&self) -> Result<Vec<Message<String>>, Fault> {
        use std::sync::atomic::Ordering::Relaxed;
        // A group's order is kept by one call at a time.
        let calls = if self.busy.load(Relaxed) && !self.fifo { AT_ONCE } else { 1 };
        // What is under way holds back its group, so a long poll would wait for itself.
        let held_back = self.fifo && !self.leases.is_empty();
        let wait = if calls > 1 || held_back { 0 } else { LONG_POLL };
        let mut taken = Vec::new();
        let mut fault = None;
        for answer in join_all((0..calls).map(|_| self.poll(wait))).await {
            match answer {
                Ok(messages) => taken.extend(messages),
                Err(error) => fault = Some(error),
            }
        }
        if !taken.is_empty() {
            self.in_vain.store(0, Relaxed);
        } else if held_back {
            let doublings = self.in_vain.fetch_add(1, Relaxed).min(DOUBLINGS_MAX);
            tokio::time::timeout(HELD_BACK * (1 << doublings), self.settled.notified()).await.ok();
        }
        let bytes: usize = taken.iter().map(|message| message.payload.len()).sum();
        self.busy.store(taken.len() >= BATCH && bytes < LARGE, Relaxed);
        match fault {
            Some(fault) if taken.is_empty() => Err(fault),
            _ => Ok(taken),
        }
    }

    async fn settle(&self, settled: Vec<Settled<String>>) -> Result<(), Fault> {
        let handles: Vec<String> = settled.into_iter().map(|one| one.receipt).collect();
        self.leases.forget(&handles);
        let mut deletions = Vec::new();
        for chunk in handles.chunks(BATCH) {
            deletions.push(self.delete(chunk.to_vec()));
        }
        let done: Vec<_> = stream::iter(deletions).buffer_unordered(8).collect().await;
        self.in_vain.store(0, std::sync::atomic::Ordering::Relaxed);
        self.settled.notify_one();
        done.into_iter().collect()
    }

    async fn release(&self, receipts: Vec<String>) {
        self.leases.forget(&receipts);
        for chunk in receipts.chunks(BATCH) {
            self.hide(chunk, 0).await.ok();
        }
    }

    async fn keep(&self) -> Result<(), Fault> {
        for chunk in self.leases.due(Instant::now()).chunks(BATCH) {
            let failed = self.hide(chunk, VISIBILITY).await?;
            let lost = chunk
                .iter()
                .zip(0_usize..)
                .filter(|(_, number)| failed.contains(&number.to_string()));
            // Not ours any more: they come again.
            self.leases.forget(lost.map(|(handle, _)| handle));
            self.leases.renew(chunk, Instant::now());
        }
        Ok(())
    }

    async fn lag(&self) -> Option<u64> {
        self.waiting().await.ok()?
    }
}

impl Sqs {
    async fn poll(&self, wait: i32) -> Result<Vec<Message<String>>, Fault> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(MOST)
            .wait_time_seconds(wait)
            .visibility_timeout(VISIBILITY)
            .message_attribute_names("All")
            .message_system_attribute_names(System::All)
            .send()
            .await
            .map_err(|error| words(&self.url, &error))?;
        let messages: Vec<_> =
            answer.messages.unwrap_or_default().into_iter().filter_map(read).collect();
        self.leases.take(messages.iter().map(|message| &message.receipt), Instant::now());
        Ok(messages)
    }

    async fn delete(&self, handles: Vec<String>) -> Result<(), Fault> {
        let entries = handles.into_iter().enumerate().map(|(number, handle)| {
            let entry = DeleteMessageBatchRequestEntry::builder();
            entry.id(number.to_string()).receipt_handle(handle).build()
        });
        let entries: Vec<_> =
            entries.collect::<Result<_, _>>().map_err(|error| Fault(error.to_string()))?;
        let call =
            self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
        // A handle that is too old fails alone; its message comes again, and is a duplicate then.
        call.send().await.map(drop).map_err(|error| words(&self.url, &error))
    }

    /// Answers the numbers of those that could not be.
    async fn hide(&self, handles: &[String], seconds: i32) -> Result<Vec<String>, Fault> {
        let entries = handles.iter().enumerate().map(|(number, handle)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder();
            entry.id(number.to_string()).receipt_handle(handle).visibility_timeout(seconds).build()
        });
        let entries: Vec<_> =
            entries.collect::<Result<_, _>>().map_err(|error| Fault(error.to_string()))?;
        let call = self.client.change_message_visibility_batch();
        let answer = call.queue_url(&self.url).set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| words(&self.url, &error))?;
        Ok(answer.failed.into_iter().map(|failed| failed.id).collect())
    }

    async fn waiting(
        &self,
    ) -> Result<
        Option<u64>,
        SdkError<aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError>,
    > {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let call = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = call.attribute_names(name.clone()).send().await?;
        Ok(answer.attributes.and_then(|all| all.get(&name)?.parse().ok()))
    }
}

async fn client(config: &Config) -> Client {
    let region = Region::new(config.default_region.clone());
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    let mut builder = match config.keys() {
        Some((id, secret)) => {
            let token = given_secret(config.session_token.as_ref()).map(str::to_owned);
            let keys = Credentials::new(id, secret, token, None, "inlet source");
            aws_sdk_sqs::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .credentials_provider(keys)
        }
        // Environment, web identity, container or instance, as every AWS program looks for them.
        None => {
            let ambient = aws_config::defaults(BehaviorVersion::latest()).region(region.clone());
            aws_sdk_sqs::config::Builder::from(&ambient.load().await)
        }
    };
    builder = builder.region(region).timeout_config(timeouts);
    if let Some(endpoint) = given(config.endpoint.as_ref()) {
        builder = builder.endpoint_url(endpoint);
    }
    Client::from_conf(builder.build())
}

/// SQS itself tells them by their name.
fn is_fifo(url: &str) -> bool {
    url.strip_suffix(".fifo").is_some()
}

fn is_denied<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.code().is_some_and(|code| code.contains("AccessDenied"))
}

fn words<E>(queue: &str, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), _)
            if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") =>
        {
            Fault(format!("the queue {queue} does not exist, or not yet"))
        }
        (Some(code), message) => {
            Fault(format!("{queue}: {code}: {}", message.unwrap_or("no message")))
        }
        (None, _) => {
            // What stands between, and servers that are not Amazon's, may refuse in XML.
            let body = error.raw_response().and_then(|answer| answer.body().bytes());
            let text = body.map(String::from_utf8_lossy).and_then(|body| refusal(&body));
            let text = text.unwrap_or_else(|| DisplayErrorContext(error).to_string());
            let text: String = text.chars().take(300).collect();
            Fault(format!("{queue}: {text}"))
        }
    }
}

/// The code and the message of an error in XML.
fn refusal(xml: &str) -> Option<String> {
    let of = |name: &str| {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0.trim())
    };
    Some(format!("{}: {}", of("Code")?, of("Message").unwrap_or("no message")))
}

fn read(raw: Raw) -> Option<Message<String>> {
    let receipt = raw.receipt_handle?;
    let mut message = Message::new(receipt, raw.body.unwrap_or_default().into_bytes());
    message.id = raw.message_id;
    let attributes = raw.message_attributes.unwrap_or_default();
    message.headers = attributes.into_iter().map(|(name, value)| (name, header(value))).collect();
    message.headers.sort();
    let system = raw.attributes.unwrap_or_default();
    message.key = system.get(&System::MessageGroupId).cloned();
    message.at = system.get(&System::SentTimestamp).and_then(|ms| ms.parse().ok());
    Some(message)
}

fn header(value: MessageAttributeValue) -> String {
    match (value.string_value, value.binary_value) {
        (Some(text), _) => text,
        (None, Some(bytes)) => base64::engine::general_purpose::STANDARD.encode(bytes),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::primitives::Blob;

    #[test]
    fn a_refusal_in_xml_is_read() {
        let xml = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>
            <Message>The request signature does not match.</Message></Error></ErrorResponse>";
        let expect = "SignatureDoesNotMatch: The request signature does not match.";
        assert_eq!(refusal(xml).as_deref(), Some(expect));
        assert_eq!(refusal("<html>no</html>"), None);
    }

    #[test]
    fn a_message_is_read_with_its_attributes_of_every_kind() {
        let attribute = |kind: &str| MessageAttributeValue::builder().data_type(kind);
        let raw = Raw::builder()
            .message_id("m-1")
            .receipt_handle("r-1")
            .body("größe")
            .message_attributes("text", attribute("String").string_value("a").build().unwrap())
            .message_attributes("number", attribute("Number").string_value("5").build().unwrap())
            .message_attributes(
                "bytes",
                attribute("Binary").binary_value(Blob::new([0xff, 0])).build().unwrap(),
            )
            .attributes(System::MessageGroupId, "g")
            .attributes(System::SentTimestamp, "1764190000000")
            .build();
        let message = read(raw).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            message.headers,
            [pair("bytes", "/wA="), pair("number", "5"), pair("text", "a")]
        );
        assert_eq!((message.id.as_deref(), message.key.as_deref()), (Some("m-1"), Some("g")));
        assert_eq!((message.receipt.as_str(), message.at), ("r-1", Some(1_764_190_000_000)));
        assert_eq!(message.payload, "größe".as_bytes());
        assert!(read(Raw::builder().body("x").build()).is_none());
    }
}
