//! `RabbitMQ` and other AMQP 0-9-1 brokers: one connection, channel and consumer for each worker.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, Consumer, Error, ErrorKind, ExchangeKind};
use tokio::time::timeout;

use crate::broker::{Broker, Fault, Message, Purpose, Settled, text_of};
use crate::lock::lock;
use crate::source::{Amqp as Config, given, given_secret};

const CONNECT: Duration = Duration::from_secs(15);
const CLOSE: Duration = Duration::from_secs(3);
const NAME_BYTES: usize = 255;
/// How many deliveries are handed over at a time.
const CHUNK: usize = 256;

pub(crate) struct Amqp {
    connection: Connection,
    channel: Channel,
    /// For questions, so that an answer which closes a channel does not close the one that consumes.
    questions: Channel,
    consumer: Option<tokio::sync::Mutex<Consumer>>,
    queue: String,
    /// Rejected messages go to the exchange that the queue names.
    rejects: bool,
    unsettled: Mutex<BTreeSet<u64>>,
}

impl Broker for Amqp {
    type Config = Config;
    /// The delivery tag.
    type Receipt = u64;

    async fn connect(config: &Config, purpose: Purpose) -> Result<Self, Fault> {
        let connecting = connect(config, purpose);
        let seconds = CONNECT.as_secs();
        timeout(CONNECT, connecting).await.unwrap_or_else(|_| {
            Err(Fault(format!("{} does not answer within {seconds} s", config.host)))
        })
    }

    async fn receive(&self) -> Result<Vec<Message<u64>>, Fault> {
        let Some(consumer) = &self.consumer else { return Ok(Vec::new()) };
        let mut consumer = consumer.lock().await;
        let mut taken = Vec::new();
        let mut next = consumer.next().await;
        loop {
            match next {
                Some(Ok(delivery)) => taken.push(self.read(delivery)),
                // What was taken before comes first; the error is there again the next time.
                _ if !taken.is_empty() => break,
                Some(Err(error)) => return Err(words(&error)),
                None => {
                    return Err(Fault::new(
                        "the broker has ended the consumer; is the queue gone?",
                    ));
                }
            }
            if taken.len() >= CHUNK {
                break;
            }
            match consumer.next().now_or_never() {
                Some(more) => next = more,
                None => break,
            }
        }
        Ok(taken)
    }

    async fn settle(&self, settled: Vec<Settled<u64>>) -> Result<(), Fault> {
        let (dead, done): (Vec<_>, Vec<_>) =
            settled.into_iter().partition(|one| one.dead && self.rejects);
        for Settled { receipt, .. } in dead {
            self.forget(&[receipt]);
            let options = BasicRejectOptions { requeue: false };
            self.channel.basic_reject(receipt, options).await.map_err(|error| words(&error))?;
        }
        let done: Vec<u64> = done.into_iter().map(|one| one.receipt).collect();
        match self.forget(&done) {
            // Nothing before it is open: one answer for all.
            Some(upto) => {
                let options = BasicAckOptions { multiple: true };
                self.channel.basic_ack(upto, options).await.map_err(|error| words(&error))
            }
            None => {
                for tag in done {
                    let options = BasicAckOptions::default();
                    self.channel.basic_ack(tag, options).await.map_err(|error| words(&error))?;
                }
                Ok(())
            }
        }
    }

    /// The connection ends next: the broker has them back then, once and in their order. As long as they are open here, no
    /// acknowledgement of those behind them covers them.
    async fn release(&self, _: Vec<u64>) {}

    async fn lag(&self) -> Option<u64> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked = self.questions.queue_declare(
            self.queue.as_str().into(),
            passive,
            FieldTable::default(),
        );
        asked.await.ok().map(|queue| u64::from(queue.message_count()))
    }

    async fn close(self) {
        let ending = async {
            if let Some(consumer) = &self.consumer {
                let tag = consumer.lock().await.tag();
                self.channel.basic_cancel(tag, BasicCancelOptions::default()).await.ok();
            }
            self.connection.close(200, "goodbye".into()).await.ok();
        };
        timeout(CLOSE, ending).await.ok();
    }
}

impl Amqp {
    /// Takes these from what is open. Answers the last of them if nothing before it is open.
    fn forget(&self, tags: &[u64]) -> Option<u64> {
        let mut unsettled = lock(&self.unsettled);
        for tag in tags {
            unsettled.remove(tag);
        }
        let last = *tags.iter().max()?;
        unsettled.first().is_none_or(|first| *first > last).then_some(last)
    }

    fn read(&self, delivery: Delivery) -> Message<u64> {
        let tag = delivery.delivery_tag;
        lock(&self.unsettled).insert(tag);
        let properties = &delivery.properties;
        let mut message = Message::new(tag, delivery.data);
        message.id = properties.message_id().as_ref().map(ToString::to_string);
        message.id = message.id.filter(|id| !id.is_empty());
        message.key = Some(delivery.routing_key.to_string());
        message.at = properties
            .timestamp()
            .and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1000));
        let table = properties.headers().as_ref();
        message.headers = table
            .into_iter()
            .flat_map(FieldTable::inner)
            .map(|(name, value)| (name.to_string(), header(value)))
            .collect();
        message
    }
}

/// The client library panics on a name that the protocol has no room for.
fn check_names(config: &Config) -> Result<(), Fault> {
    let names = [
        ("queue", Some(config.queue.as_str())),
        ("vhost", given(config.vhost.as_ref())),
        ("exchange", given(config.exchange.as_ref())),
        ("routing_key", given(config.routing_key.as_ref())),
    ];
    for (name, value) in names {
        let length = value.map_or(0, str::len);
        if length > NAME_BYTES {
            return Err(Fault(format!(
                "amqp.{name} has {length} bytes; AMQP has {NAME_BYTES} at most"
            )));
        }
    }
    Ok(())
}

async fn connect(config: &Config, purpose: Purpose) -> Result<Amqp, Fault> {
    check_names(config)?;
    let runtime = lapin::runtime::default_runtime().map_err(|error| words(&error))?;
    let properties = ConnectionProperties::default().with_connection_name("inlet-consumer".into());
    let connection =
        Connection::connect_uri_with_config(address(config), properties, tls(config)?, runtime)
            .await
            .map_err(|error| unconnected(config, &error))?;
    let open = || async { connection.create_channel().await.map_err(|error| words(&error)) };
    let (questions, mut channel) = (open().await?, open().await?);
    let queue = &config.queue;
    // Whatever arguments a queue has that is there, they are its owner's business.
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await;
    match found {
        Ok(_) => {}
        Err(error) if is_missing(&error) => {
            channel = open().await?;
            if purpose == Purpose::Work {
                declare(&channel, config).await?;
            }
        }
        Err(error) => return Err(words(&error)),
    }
    let exchange = given(config.exchange.as_ref());
    if let (Some(exchange), Purpose::Check) = (exchange, purpose) {
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let kind = ExchangeKind::default();
        let asked = channel.exchange_declare(exchange.into(), kind, passive, FieldTable::default());
        asked.await.map_err(|error| {
            Fault(format!("the queue {queue} is to be bound to {exchange}: {}", words(&error)))
        })?;
    }
    if let (Some(exchange), Purpose::Work) = (exchange, purpose) {
        let key = given(config.routing_key.as_ref()).unwrap_or_default();
        let bound = channel.queue_bind(
            queue.as_str().into(),
            exchange.into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.map_err(|error| {
            Fault(format!(
                "the queue {queue} was not bound to the exchange {exchange}: {}",
                words(&error)
            ))
        })?;
    }
    let consumer = match purpose {
        Purpose::Check => None,
        Purpose::Work => {
            let prefetch = config.prefetch.unwrap_or(100).clamp(1, 1000);
            let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
            qos.await.map_err(|error| words(&error))?;
            let consumer = channel.basic_consume(
                queue.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            Some(tokio::sync::Mutex::new(consumer.await.map_err(|error| words(&error))?))
        }
    };
    Ok(Amqp {
        connection,
        channel,
        questions,
        consumer,
        queue: queue.clone(),
        rejects: given(config.dead_letter_exchange.as_ref()).is_some(),
        unsettled: Mutex::default(),
    })
}

async fn declare(channel: &Channel, config: &Config) -> Result<(), Fault> {
    let mut arguments = FieldTable::default();
    if let Some(exchange) = given(config.dead_letter_exchange.as_ref()) {
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(exchange.into()));
    }
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare(config.queue.as_str().into(), durable, arguments).await;
    declared.map(drop).map_err(|error| words(&error))
}

/// Built from its parts, so that no character of a name or password needs escaping.
fn address(config: &Config) -> AMQPUri {
    let encrypted = config.schema.as_deref() == Some("amqps");
    let auth = config.auth.as_ref();
    AMQPUri {
        scheme: if encrypted { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: auth.map_or("guest", |auth| &auth.user).to_owned(),
                password: auth.map_or("guest", |auth| auth.password.expose()).to_owned(),
            },
            host: config.host.clone(),
            port: config.port.unwrap_or(if encrypted { 5671 } else { 5672 }),
        },
        vhost: given(config.vhost.as_ref()).unwrap_or("/").to_owned(),
        query: AMQPQueryString { heartbeat: Some(30), ..AMQPQueryString::default() },
    }
}

fn tls(config: &Config) -> Result<OwnedTLSConfig, Fault> {
    let Some(tls) = &config.tls else { return Ok(OwnedTLSConfig::default()) };
    let certificate = given(tls.client_cert.as_ref());
    let identity = match (certificate, given_secret(tls.client_key.as_ref())) {
        (Some(pem), Some(key)) => Some(OwnedIdentity::PKCS8 { pem: pem.into(), key: key.into() }),
        (None, None) => None,
        _ => return Err(Fault::new("amqp.tls: client_cert and client_key belong together")),
    };
    Ok(OwnedTLSConfig { identity, cert_chain: given(tls.ca_cert.as_ref()).map(str::to_owned) })
}

fn is_missing(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
        }
        _ => false,
    }
}

/// A broker that does not believe a certificate may close the connection before its reason is read.
fn unconnected(config: &Config, error: &Error) -> Fault {
    let Fault(text) = words(error);
    let encrypted = config.schema.as_deref() == Some("amqps");
    let shows = config.tls.as_ref().is_some_and(|tls| given(tls.client_cert.as_ref()).is_some());
    match error.kind() {
        ErrorKind::IOError(error)
            if encrypted && error.kind() == std::io::ErrorKind::ConnectionReset =>
        {
            let why =
                if shows { "refuse amqp.tls.client_cert" } else { "ask for a client certificate" };
            Fault(format!("{text}; the broker may {why}"))
        }
        _ => Fault(text),
    }
}

fn words(error: &Error) -> Fault {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Fault::new(error.get_message().to_string()),
        ErrorKind::IOError(error) => Fault(format!("the connection failed: {error}")),
        _ => Fault::new(error.to_string()),
    }
}

/// A header's value as text; a list or a table as JSON.
fn header(value: &AMQPValue) -> String {
    match json(value) {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn json(value: &AMQPValue) -> serde_json::Value {
    use serde_json::Value;
    match value {
        AMQPValue::Boolean(value) => (*value).into(),
        AMQPValue::ShortShortInt(value) => (*value).into(),
        AMQPValue::ShortShortUInt(value) => (*value).into(),
        AMQPValue::ShortInt(value) => (*value).into(),
        AMQPValue::ShortUInt(value) => (*value).into(),
        AMQPValue::LongInt(value) => (*value).into(),
        AMQPValue::LongUInt(value) => (*value).into(),
        AMQPValue::LongLongInt(value) => (*value).into(),
        AMQPValue::Float(value) => (*value).into(),
        AMQPValue::Double(value) => (*value).into(),
        AMQPValue::Timestamp(value) => (*value).into(),
        AMQPValue::DecimalValue(value) => {
            let digits = f64::from(value.value);
            (digits / 10f64.powi(value.scale.into())).into()
        }
        AMQPValue::ShortString(value) => value.as_str().into(),
        AMQPValue::LongString(value) => text_of(value.as_bytes()).into(),
        AMQPValue::ByteArray(value) => {
            base64::engine::general_purpose::STANDARD.encode(value.as_slice()).into()
        }
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(json).collect(),
        AMQPValue::FieldTable(table) => Value::Object(
            table.inner().iter().map(|(name, value)| (name.to_string(), json(value))).collect(),
        ),
        AMQPValue::Void => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: serde_json::Value) -> Config {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn addresses_take_any_character() {
        let auth = serde_json::json!({"user": "user@domain", "password": "p:ss/w ord#%"});
        let plain = address(&config(
            serde_json::json!({"host": "h", "queue": "q", "vhost": "a/b %", "auth": auth}),
        ));
        assert_eq!(plain.authority.userinfo.username, "user@domain");
        assert_eq!(plain.authority.userinfo.password, "p:ss/w ord#%");
        assert_eq!((plain.vhost.as_str(), plain.authority.port), ("a/b %", 5672));
        let bare =
            address(&config(serde_json::json!({"host": "h", "queue": "q", "schema": "amqps"})));
        assert_eq!((bare.vhost.as_str(), bare.authority.port), ("/", 5671));
        assert_eq!(bare.authority.userinfo.username, "guest");
    }

    #[test]
    fn names_that_are_too_long_are_told() {
        let long = "ö".repeat(128);
        for name in ["queue", "vhost", "exchange", "routing_key"] {
            let mut json = serde_json::json!({"host": "h", "queue": "q"});
            json[name] = long.as_str().into();
            let fault = check_names(&config(json)).unwrap_err();
            assert!(fault.0.starts_with(&format!("amqp.{name} has 256 bytes")), "{fault}");
        }
        check_names(&config(serde_json::json!({"host": "h", "queue": "q".repeat(255)}))).unwrap();
    }

    #[test]
    fn half_an_identity_is_refused() {
        let half = serde_json::json!({"host": "h", "queue": "q", "tls": {"client_cert": "c"}});
        assert!(tls(&config(half)).unwrap_err().0.contains("belong together"));
    }

    #[test]
    fn headers_of_every_type_become_text() {
        let mut table = FieldTable::default();
        table.insert("n".into(), AMQPValue::LongInt(5));
        for (value, expect) in [
            (AMQPValue::LongString("größe".into()), "größe"),
            (AMQPValue::Boolean(true), "true"),
            (AMQPValue::LongLongInt(-9_007_199_254_740_993), "-9007199254740993"),
            (AMQPValue::Double(1.5), "1.5"),
            (AMQPValue::ByteArray(vec![0xff, 0].into()), "/wA="),
            (
                AMQPValue::FieldArray(vec![AMQPValue::Boolean(false), AMQPValue::Void].into()),
                "[false,null]",
            ),
            (AMQPValue::FieldTable(table), "{\"n\":5}"),
            (AMQPValue::Void, ""),
        ] {
            assert_eq!(header(&value), expect);
        }
    }
}
