//! The companion as a process, between a gateway that does what a test says and librdkafka's own broker in memory.
//! Real brokers and the real gateway are in `tests/brokers`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failing test panics, in its helpers too"
)]

mod edge;
mod faults;
mod flow;
mod google;
mod process;
mod sqs;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use serde_json::{Value, json};
use std::time::Duration;

use edge::Edge;

/// A broker in memory with one topic.
struct Topic {
    cluster: MockCluster<'static, DefaultProducerContext>,
    name: String,
}

impl Topic {
    fn new(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", partitions, 1).unwrap();
        Self { cluster, name: "orders".to_owned() }
    }

    /// What the gateway says about the source.
    fn source(&self, uid: &str, version: &str) -> Value {
        json!({"uid": uid, "name": "orders", "version": version, "is_disabled": false, "workers": 1,
            "type": "kafka", "max_attempts": 3,
            "kafka": {"brokers": [self.cluster.bootstrap_servers()], "topic_name": self.name}})
    }

    /// Publishes these texts, in order, to one partition.
    fn publish(&self, partition: i32, texts: &[String]) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap_servers());
        config.set("message.max.bytes", "20000000");
        let producer: BaseProducer = config.create().unwrap();
        for text in texts {
            let record = BaseRecord::<(), _>::to(&self.name).payload(text).partition(partition);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("{{\"number\":{number}}}")).collect()
}

/// A gateway that knows one source.
fn edge_with(source: Value) -> Edge {
    let edge = Edge::start();
    edge.sources(json!([source]));
    edge
}
