//! Each broker as a test needs it: a place of its own, and a way to publish there.

use std::collections::HashMap;
use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::MessageAttributeValue;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What is published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    /// What the broker orders by.
    pub(crate) key: Option<String>,
    /// Where publishers choose it (AMQP).
    pub(crate) id: Option<String>,
}

impl Record {
    pub(crate) fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }
}

/// A topic, queue or subscription that nobody else uses.
pub(crate) struct Place {
    /// `pub_sub` of a source that reads it.
    pub(crate) pub_sub: Value,
    pub(crate) name: String,
}

pub(crate) trait Server: Copy + Send + Sync + 'static {
    /// As `scripts/brokers.sh` calls it.
    const NAME: &'static str;
    /// What stands in the env file.
    const VARIABLE: &'static str;
    /// The largest message it takes.
    const LARGEST: usize = 10_000_000;
    /// Whether what was published outlives a restart.
    const KEEPS: bool;

    fn place(self) -> Place {
        let place = self.named(&unique());
        self.make(&place);
        place
    }

    /// What a source says of a place of this name.
    fn named(self, name: &str) -> Place;
    /// Makes what a place stands for, at the broker.
    fn make(self, place: &Place);
    /// Publishes in this order, and waits until the broker has it.
    fn publish(self, place: &Place, records: &[Record]);
    /// `pub_sub` with credentials that are wrong, or none if the broker asks for none.
    fn wrong_credentials(self, place: &Place) -> Option<Value>;
    /// What a source says of `place` at an address where nobody answers.
    fn unreachable(self, place: &Place) -> Value;
}

pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("inlet-{now:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A variable of the environment, or of the env file.
pub(crate) fn variable(name: &str) -> Option<String> {
    static FILE: OnceLock<HashMap<String, String>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let home = std::env::var("BROKERS_HOME").map_or_else(
            |_| inlet_tests::repository().join(".inlet/brokers"),
            std::path::PathBuf::from,
        );
        let text = std::fs::read_to_string(home.join("env")).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.replace('\\', ""))).collect()
    });
    std::env::var(name).ok().or_else(|| file.get(name).cloned()).filter(|value| !value.is_empty())
}

/// Runs what is asynchronous in a test that is not.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap()).block_on(future)
}

fn address<S: Server>() -> String {
    variable(S::VARIABLE).expect("the broker is there")
}

#[derive(Clone, Copy)]
pub(crate) struct Kafka;

impl Kafka {
    pub(crate) fn topic(name: &str, partitions: i32) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address::<Self>());
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1))
            .set("max.message.bytes", "20000000");
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        for result in wait(admin.create_topics([&topic], &options)).unwrap() {
            result.unwrap();
        }
    }
}

impl Kafka {
    /// Publishes a key without a value.
    pub(crate) fn tombstone(place: &Place, key: &str) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address::<Self>());
        let producer: BaseProducer = config.create().unwrap();
        let record = BaseRecord::<str, [u8]>::to(&place.name).key(key);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(Duration::from_secs(30)).unwrap();
    }
}

impl Server for Kafka {
    const NAME: &'static str = "kafka";
    const VARIABLE: &'static str = "INLET_TEST_KAFKA";
    const KEEPS: bool = true;

    fn named(self, name: &str) -> Place {
        let kafka = json!({"brokers": [address::<Self>()], "topic_name": name});
        Place {
            pub_sub: json!({"type": "kafka", "workers": 1, "kafka": kafka}),
            name: name.to_owned(),
        }
    }

    fn make(self, place: &Place) {
        Self::topic(&place.name, 2);
    }

    fn publish(self, place: &Place, records: &[Record]) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address::<Self>()).set("message.max.bytes", "20000000");
        config.set("linger.ms", "5").set("enable.idempotence", "true");
        let producer: BaseProducer = config.create().unwrap();
        for record in records {
            let mut headers = OwnedHeaders::new();
            for (name, value) in &record.headers {
                headers = headers.insert(Header { key: name, value: Some(value) });
            }
            let mut next = BaseRecord::to(&place.name).payload(&record.body).headers(headers);
            next.key = record.key.as_deref();
            while let Err((_, refused)) = producer.send(next) {
                next = refused;
                producer.poll(Duration::from_millis(50));
            }
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    fn wrong_credentials(self, place: &Place) -> Option<Value> {
        let mut pub_sub = place.pub_sub.clone();
        pub_sub["kafka"]["brokers"] = json!([variable("INLET_TEST_KAFKA_SASL")?]);
        pub_sub["kafka"]["auth"] =
            json!({"type": "scram", "hash": "SHA256", "username": "alice", "password": "wrong"});
        Some(pub_sub)
    }

    fn unreachable(self, place: &Place) -> Value {
        let mut pub_sub = place.pub_sub.clone();
        pub_sub["kafka"]["brokers"] = json!(["127.0.0.1:9"]);
        pub_sub
    }
}

#[derive(Clone, Copy)]
pub(crate) struct RabbitMq;

impl RabbitMq {
    pub(crate) async fn connect() -> Connection {
        let url = format!("amqp://guest:guest@{}/%2f", address::<Self>());
        Connection::connect(&url, ConnectionProperties::default()).await.unwrap()
    }

    /// `amqp` of a source, with these fields.
    pub(crate) fn config(queue: &str, more: Value) -> Value {
        let address = address::<Self>();
        let (host, port) = address.rsplit_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        let mut amqp = json!({"schema": "amqp", "host": host, "port": port, "queue": queue, "vhost": "/",
            "auth": {"user": "guest", "password": "guest"}});
        if let (Value::Object(amqp), Value::Object(more)) = (&mut amqp, more) {
            amqp.extend(more);
        }
        json!({"type": "amqp", "workers": 1, "amqp": amqp})
    }

    pub(crate) async fn publish_to(exchange: &str, key: &str, records: &[Record]) {
        let connection = Self::connect().await;
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await.unwrap();
        let mut confirms = Vec::new();
        for record in records {
            let mut table = FieldTable::default();
            for (name, value) in &record.headers {
                table.insert(name.as_str().into(), AMQPValue::LongString(value.as_str().into()));
            }
            let id = record.id.clone().unwrap_or_else(unique);
            let properties = BasicProperties::default()
                .with_headers(table)
                .with_delivery_mode(2)
                .with_message_id(id.as_str().into());
            let options = BasicPublishOptions::default();
            let sent = channel.basic_publish(
                exchange.into(),
                key.into(),
                options,
                &record.body,
                properties,
            );
            confirms.push(sent.await.unwrap());
        }
        for confirm in confirms {
            confirm.await.unwrap();
        }
        connection.close(200, "done".into()).await.unwrap();
    }
}

impl Server for RabbitMq {
    const NAME: &'static str = "rabbitmq";
    const VARIABLE: &'static str = "INLET_TEST_AMQP";
    const KEEPS: bool = true;

    fn named(self, name: &str) -> Place {
        Place { pub_sub: Self::config(name, json!({})), name: name.to_owned() }
    }

    fn make(self, place: &Place) {
        wait(async {
            let connection = Self::connect().await;
            let channel = connection.create_channel().await.unwrap();
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            let name = place.name.as_str().into();
            channel.queue_declare(name, durable, FieldTable::default()).await.unwrap();
            connection.close(200, "done".into()).await.unwrap();
        });
    }

    fn publish(self, place: &Place, records: &[Record]) {
        wait(Self::publish_to("", &place.name, records));
    }

    fn wrong_credentials(self, place: &Place) -> Option<Value> {
        let auth = json!({"auth": {"user": "guest", "password": "wrong"}});
        Some(Self::config(&place.name, auth))
    }

    fn unreachable(self, place: &Place) -> Value {
        Self::config(&place.name, json!({"port": 9}))
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Sqs;

impl Sqs {
    pub(crate) fn client() -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(address::<Self>());
        aws_sdk_sqs::Client::from_conf(config.build())
    }
}

impl Server for Sqs {
    const NAME: &'static str = "sqs";
    const VARIABLE: &'static str = "INLET_TEST_SQS";
    const LARGEST: usize = 250_000;
    const KEEPS: bool = false;

    fn named(self, name: &str) -> Place {
        // Every place is a FIFO queue: what holds there holds for a standard one, and order besides.
        let name = format!("{}.fifo", name.trim_end_matches(".fifo"));
        let sqs = json!({"queue_name": name, "default_region": "eu-west-1", "access_key_id": "test",
            "secret_key": "test", "endpoint": address::<Self>()});
        Place { pub_sub: json!({"type": "sqs", "workers": 1, "sqs": sqs}), name }
    }

    fn make(self, place: &Place) {
        use aws_sdk_sqs::types::QueueAttributeName::FifoQueue;
        let mut call = Self::client().create_queue().queue_name(&place.name);
        if place.name.strip_suffix(".fifo").is_some() {
            call = call.attributes(FifoQueue, "true");
        }
        wait(call.send()).unwrap();
    }

    fn publish(self, place: &Place, records: &[Record]) {
        let client = Self::client();
        let url =
            wait(client.get_queue_url().queue_name(&place.name).send()).unwrap().queue_url.unwrap();
        for record in records {
            let mut call = client.send_message().queue_url(&url);
            call = call.message_body(String::from_utf8_lossy(&record.body));
            if place.name.strip_suffix(".fifo").is_some() {
                call = call.message_group_id(record.key.as_deref().unwrap_or("group"));
                call = call.message_deduplication_id(unique());
            }
            for (name, value) in &record.headers {
                let value =
                    MessageAttributeValue::builder().data_type("String").string_value(value);
                call = call.message_attributes(name, value.build().unwrap());
            }
            wait(call.send()).unwrap();
        }
    }

    /// Those of the moto that has users.
    fn wrong_credentials(self, place: &Place) -> Option<Value> {
        let mut pub_sub = place.pub_sub.clone();
        pub_sub["sqs"]["endpoint"] = json!(variable("INLET_TEST_SQS_AUTH")?);
        Some(pub_sub)
    }

    fn unreachable(self, place: &Place) -> Value {
        let mut pub_sub = place.pub_sub.clone();
        pub_sub["sqs"]["endpoint"] = json!("http://127.0.0.1:9");
        pub_sub
    }
}

#[derive(Clone, Copy)]
pub(crate) struct PubSub;

impl PubSub {
    fn call(method: reqwest::Method, path: &str, body: &Value) {
        let url = format!("http://{}/v1/projects/inlet-test{path}", address::<Self>());
        let request = reqwest::Client::new().request(method, url);
        let request = request.header("content-type", "application/json").body(body.to_string());
        wait(async {
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            assert!(status.is_success(), "{path}: {status} {text}");
        });
    }
}

impl Server for PubSub {
    const NAME: &'static str = "pubsub";
    const VARIABLE: &'static str = "INLET_TEST_PUBSUB";
    const LARGEST: usize = 9_000_000;
    const KEEPS: bool = false;

    fn named(self, name: &str) -> Place {
        let google = json!({"project_id": "inlet-test", "subscription_id": name,
            "emulator_host": address::<Self>()});
        Place {
            pub_sub: json!({"type": "google", "workers": 1, "google": google}),
            name: name.to_owned(),
        }
    }

    fn make(self, place: &Place) {
        let name = &place.name;
        let put = reqwest::Method::PUT;
        Self::call(put.clone(), &format!("/topics/{name}"), &json!({}));
        let body = json!({"topic": format!("projects/inlet-test/topics/{name}"),
            "ackDeadlineSeconds": 10, "enableMessageOrdering": true});
        Self::call(put, &format!("/subscriptions/{name}"), &body);
    }

    fn publish(self, place: &Place, records: &[Record]) {
        let path = format!("/topics/{}:publish", place.name);
        for chunk in records.chunks(500) {
            let messages = chunk.iter().map(|record| {
                let attributes: HashMap<_, _> = record.headers.iter().cloned().collect();
                let data = inlet_tests::base64(&record.body);
                let mut message = json!({"data": data, "attributes": attributes});
                if record.body.is_empty() {
                    message["attributes"]["empty"] = json!("yes");
                }
                if let Some(key) = &record.key {
                    message["orderingKey"] = json!(key);
                }
                message
            });
            let messages: Vec<Value> = messages.collect();
            Self::call(reqwest::Method::POST, &path, &json!({"messages": messages}));
        }
    }

    /// The emulator believes everybody.
    fn wrong_credentials(self, _: &Place) -> Option<Value> {
        None
    }

    fn unreachable(self, place: &Place) -> Value {
        let mut pub_sub = place.pub_sub.clone();
        pub_sub["google"]["emulator_host"] = json!("127.0.0.1:9");
        pub_sub
    }
}
