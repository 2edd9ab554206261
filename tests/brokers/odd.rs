//! What publishers may write and brokers take, though nobody expects it: it becomes an event or a dead letter, and holds up
//! nothing behind it.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use inlet_tests::poll_until;

use crate::servers::{Kafka, Record, Server, variable, wait};
use crate::world::{World, is_there, number};

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", variable(Kafka::VARIABLE).unwrap());
    config.set("message.max.bytes", "20000000");
    config
}

/// Publishes these to the first partition: body, length of a header, length of the key, time.
fn publish(topic: &str, records: &[(String, usize, usize, i64)]) {
    let producer: BaseProducer = config().create().unwrap();
    for (body, header, key, time) in records {
        let (header, key) = ("h".repeat(*header), "k".repeat(*key));
        let headers = OwnedHeaders::new().insert(Header { key: "x-long", value: Some(&header) });
        let record = BaseRecord::to(topic).payload(body).key(&key).headers(headers);
        let record = record.timestamp(*time).partition(0);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

#[test]
fn kafka_records_of_any_kind_hold_up_nobody() {
    if !is_there::<Kafka>() {
        return;
    }
    let world = World::new(Kafka);
    let body = |n: u64| String::from_utf8(number(&world.silent, n).body).unwrap();
    let now = 1_764_190_000_000;
    publish(
        &world.place.name,
        &[
            (body(0), 1, 1, -5),
            (body(1), 50_000, 1_000, now),
            (body(100), 3_000_000, 1, now),
            (body(101), 5_000_000, 1, now),
            (body(102), 1, 3_000_000, now),
            ("no event".to_owned(), 3_000_000, 1, now),
            (body(2), 1, 1, now),
        ],
    );
    let companion = world.companion();
    assert_eq!(world.wait_for_numbers(3), [0, 1, 2]);
    let letters = world.dead_letters(4);
    assert!(letters.iter().all(|one| one["reason"].as_str().is_some_and(|why| !why.is_empty())));
    world.status("all of it settled", |status| status["lag"] == 0);
    companion.stop();
}

#[test]
fn kafka_a_topic_made_anew_has_new_messages() {
    if !is_there::<Kafka>() {
        return;
    }
    let world = World::new(Kafka);
    let topic = &world.place.name;
    let made_anew = || {
        let admin: AdminClient<DefaultClientContext> = config().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        wait(admin.delete_topics(&[topic], &options)).unwrap().remove(0).unwrap();
        poll_until("the topic is gone", || {
            let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(5)).ok()?;
            (!metadata.topics().iter().any(|one| one.name() == topic)).then_some(())
        });
        Kafka::topic(topic, 2);
    };
    let published = |range: std::ops::Range<u64>, poison: &str| {
        world.publish(&world.numbers(range));
        world.publish(&[Record::new(poison).key("one")]);
    };
    published(0..5, "first");
    let companion = world.companion();
    world.wait_for_numbers(5);
    let first = world.dead_letters(1);
    // While nobody reads it, and then while somebody does.
    companion.stop();
    made_anew();
    published(5..10, "second");
    let _second = world.companion();
    world.wait_for_numbers(10);
    let both = world.dead_letters(2);
    assert_eq!(both[0]["uid"], first[0]["uid"]);
    assert_eq!(both[0]["broker_message_id"], both[1]["broker_message_id"]);
    made_anew();
    published(10..15, "third");
    let mut numbers = world.wait_for_numbers(15);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..15).collect::<Vec<_>>());
    world.dead_letters(3);
    world.status("all of it settled", |status| status["lag"] == 0);
}
