//! What only one broker has.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inlet_gateway::batch::Batch;
use inlet_tests::{Answer, Endpoint, poll_until};
use serde_json::{Value, json};

use lapin::options::{
    BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};

use crate::servers::{Kafka, Place, RabbitMq, Record, Server, Sqs, unique, variable, wait};
use crate::world::{Companion, World, is_there, script, shared, skipped, uid};

/// The source with another `pub_sub`.
pub(crate) fn change<S: Server>(world: &World<'_, S>, pub_sub: &Value) {
    let body = json!({"name": S::NAME, "type": "pub_sub", "pub_sub": pub_sub});
    world.project.put(&format!("/sources/{}", uid(&world.source)), &body).expect(202);
}

pub(crate) fn pem(name: &str) -> String {
    let folder = variable("INLET_TEST_TLS").expect("certificates");
    std::fs::read_to_string(std::path::Path::new(&folder).join(name)).unwrap()
}

#[test]
fn kafka_speaks_every_kind_of_tls_and_password() {
    if !is_there::<Kafka>() {
        return;
    }
    let (Some(sasl), Some(sasl_tls), Some(tls), Some(mtls)) = (
        variable("INLET_TEST_KAFKA_SASL"),
        variable("INLET_TEST_KAFKA_SASL_TLS"),
        variable("INLET_TEST_KAFKA_TLS"),
        variable("INLET_TEST_KAFKA_MTLS"),
    ) else {
        skipped::<Kafka>("TLS and passwords, because it is not ours");
        return;
    };
    let world = World::new(Kafka);
    let plain = json!({"type": "plain", "username": "alice", "password": "secret-1"});
    let scram = |hash: &str| json!({"type": "scram", "hash": hash, "username": "alice", "password": "secret-1"});
    let ca = json!({"enabled": true, "ca_cert": pem("ca.pem")});
    let client = json!({"enabled": true, "ca_cert": pem("ca.pem"), "client_cert": pem("client.pem"),
        "client_key": pem("client.key")});
    let ways = [
        json!({"brokers": [sasl], "auth": plain}),
        json!({"brokers": [sasl], "auth": scram("SHA256")}),
        json!({"brokers": [sasl_tls], "auth": scram("SHA512"), "tls": ca}),
        json!({"brokers": [tls], "tls": ca}),
        json!({"brokers": [mtls], "tls": client}),
    ];
    let _companion = world.companion();
    for (n, way) in (0..).zip(ways) {
        let mut pub_sub = world.place.pub_sub.clone();
        pub_sub["kafka"].as_object_mut().unwrap().extend(way.as_object().unwrap().clone());
        change(&world, &pub_sub);
        world.publish(&world.numbers(n..n + 1));
        let count = usize::try_from(n).unwrap() + 1;
        assert_eq!(world.wait_for_numbers(count).len(), count, "{}", way["brokers"]);
    }
}

#[test]
fn kafka_credentials_are_revoked_and_restored() {
    if !is_there::<Kafka>() {
        return;
    }
    let Some(sasl) = variable("INLET_TEST_KAFKA_SASL") else {
        skipped::<Kafka>("passwords, because it is not ours");
        return;
    };
    let world = World::new(Kafka);
    let user = unique();
    script(&["kafka-scram", &user, "first-1"]);
    let mut pub_sub = world.place.pub_sub.clone();
    pub_sub["kafka"]["brokers"] = json!([sasl]);
    pub_sub["kafka"]["auth"] =
        json!({"type": "scram", "hash": "SHA512", "username": user, "password": "first-1"});
    change(&world, &pub_sub);
    world.publish(&world.numbers(0..3));
    let companion = world.companion();
    world.wait_for_numbers(3);
    companion.stop();
    script(&["kafka-scram", &user, ""]);
    world.publish(&world.numbers(3..6));
    let _second = world.companion();
    let status = world.status("that it fails", |status| status["state"] == "failing");
    let message = status["error"]["message"].as_str().unwrap();
    assert!(message.to_lowercase().contains("authentication"), "{message}");
    script(&["kafka-scram", &user, "first-1"]);
    assert_eq!(world.wait_for_numbers(6).len(), 6);
}

#[test]
fn kafka_tombstones_and_repeated_headers_arrive() {
    if !is_there::<Kafka>() {
        return;
    }
    let mapping = json!({"mode": "raw", "event_type": "t", "broadcast": true});
    let world = World::of(Kafka, json!({"mapping": mapping}));
    world.project.subscription(
        json!({"name": "s", "endpoint_id": world.endpoint, "source_id": world.source["uid"]}),
    );
    world.publish(&[Record::new("value").header("x-many", "1").header("x-many", "2").key("k")]);
    Kafka::tombstone(&world.place, "k");
    let _companion = world.companion();
    let received = world.receiver.wait_for(2);
    let stored = world.project.stored_events();
    let headers: String = stored.iter().filter_map(|row| row["headers"].as_str()).collect();
    assert_eq!(headers.matches("x-many").count(), 2, "{headers}");
    let tombstone = received.iter().find(|one| one.body.is_empty()).expect("the tombstone");
    assert_eq!(tombstone.header("x-inlet-tombstone"), Some("true"));
    let value = received.iter().find(|one| !one.body.is_empty()).expect("the value");
    assert_eq!(value.header("x-many"), Some("1, 2"));
}

#[test]
fn rabbitmq_queues_are_bound_declared_and_left_as_they_are() {
    if !is_there::<RabbitMq>() {
        return;
    }
    let world = World::new(RabbitMq);
    let (exchange, dlx, fresh, quorum) = (unique(), unique(), unique(), unique());
    wait(async {
        let connection = RabbitMq::connect().await;
        let channel = connection.create_channel().await.unwrap();
        for name in [&exchange, &dlx] {
            let declared = channel.exchange_declare(
                name.as_str().into(),
                lapin::ExchangeKind::Fanout,
                ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() },
                FieldTable::default(),
            );
            declared.await.unwrap();
        }
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let dead = format!("{dlx}-queue");
        channel.queue_declare(dead.as_str().into(), durable, FieldTable::default()).await.unwrap();
        let bound = channel.queue_bind(
            dead.as_str().into(),
            dlx.as_str().into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.unwrap();
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(quorum.as_str().into(), durable, arguments).await.unwrap();
        connection.close(200, "done".into()).await.unwrap();
    });
    // Declared with its dead-letter exchange, bound to the exchange, and read.
    let more = json!({"exchange": exchange, "routing_key": "", "deadLetterExchange": dlx});
    change(&world, &RabbitMq::config(&fresh, more));
    let companion = world.companion();
    world.status("that it is connected", |status| status["state"] == "connected");
    wait(RabbitMq::publish_to(&exchange, "", &world.numbers(0..2)));
    wait(RabbitMq::publish_to(&exchange, "", &[Record::new("poison")]));
    world.wait_for_numbers(2);
    world.dead_letters(1);
    let dead = inlet_tests::poll_until("the message in the dead-letter queue", || {
        wait(async {
            let connection = RabbitMq::connect().await;
            let channel = connection.create_channel().await.unwrap();
            let queue = format!("{dlx}-queue");
            let got = channel
                .basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true })
                .await
                .unwrap();
            connection.close(200, "done".into()).await.unwrap();
            got.map(|got| got.delivery.data)
        })
    });
    assert_eq!(dead, b"poison");
    companion.stop();
    // A queue with other arguments than ours would have is read all the same.
    let place = Place { pub_sub: RabbitMq::config(&quorum, json!({})), name: quorum };
    change(&world, &place.pub_sub);
    RabbitMq.publish(&place, &world.numbers(2..4));
    let _second = world.companion();
    assert_eq!(world.wait_for_numbers(4).len(), 4);
}

#[test]
fn rabbitmq_check_asks_for_the_exchange_and_makes_nothing() {
    if !is_there::<RabbitMq>() {
        return;
    }
    let world = World::new(RabbitMq);
    let (queue, exchange) = (unique(), unique());
    change(&world, &RabbitMq::config(&queue, json!({"exchange": exchange, "routing_key": "k"})));
    let check = || Companion::check(world.project.gateway.url(), &world.key);
    let told = format!("the queue {queue} is to be bound to {exchange}: NOT_FOUND");
    let said = check();
    assert!(said.contains("BAD  rabbitmq") && said.contains(&told), "{said}");
    wait(async {
        let connection = RabbitMq::connect().await;
        let channel = connection.create_channel().await.unwrap();
        let declared = channel.exchange_declare(
            exchange.as_str().into(),
            lapin::ExchangeKind::Direct,
            ExchangeDeclareOptions::default(),
            FieldTable::default(),
        );
        declared.await.unwrap();
        connection.close(200, "done".into()).await.unwrap();
    });
    let said = check();
    assert!(said.contains("ok   rabbitmq"), "{said}");
    let made = wait(async {
        let connection = RabbitMq::connect().await;
        let channel = connection.create_channel().await.unwrap();
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await.is_ok()
    });
    assert!(!made, "check has declared the queue");
    // The companion does, and binds it.
    let _companion = world.companion();
    world.status("that it is connected", |status| status["state"] == "connected");
    wait(RabbitMq::publish_to(&exchange, "other", &world.numbers(0..1)));
    wait(RabbitMq::publish_to(&exchange, "k", &world.numbers(1..2)));
    assert_eq!(world.wait_for_numbers(1), [1]);
}

#[test]
fn rabbitmq_takes_any_character_revocation_and_tls() {
    if !is_there::<RabbitMq>() {
        return;
    }
    let Some(tls) = variable("INLET_TEST_AMQPS") else {
        skipped::<RabbitMq>("vhosts, users and TLS, because it is not ours");
        return;
    };
    let world = World::new(RabbitMq);
    let (user, vhost, password) =
        (format!("u@{}", unique()), format!("v/{} %", unique()), "p:ss/w ord#%");
    script(&["rabbitmqctl", "-q", "add_vhost", &vhost]);
    script(&["rabbitmqctl", "-q", "add_user", &user, password]);
    script(&["rabbitmqctl", "-q", "set_permissions", "-p", &vhost, &user, ".*", ".*", ".*"]);
    let queue = unique();
    let (_, port) = tls.rsplit_once(':').unwrap();
    let more = json!({"vhost": vhost, "auth": {"user": user, "password": password}, "schema": "amqps",
        "port": port.parse::<u16>().unwrap(), "tls": {"ca_cert": pem("ca.pem"),
        "client_cert": pem("client.pem"), "client_key": pem("client.key")}});
    change(&world, &RabbitMq::config(&queue, more));
    let _companion = world.companion();
    world.status("that it is connected", |status| status["state"] == "connected");
    script(&["rabbitmqctl", "-q", "change_password", &user, "another"]);
    script(&["rabbitmqctl", "-q", "close_all_connections", "--vhost", &vhost, "test"]);
    let status = world.status("that it fails", |status| {
        let message = status["error"]["message"].as_str().unwrap_or_default();
        status["state"] == "failing" && message.contains("ACCESS_REFUSED")
    });
    assert!(!status.to_string().contains("p:ss"), "{status}");
    script(&["rabbitmqctl", "-q", "change_password", &user, password]);
    world.status("that it is connected again", |status| status["state"] == "connected");
}

#[test]
fn rabbitmq_messages_with_one_id_are_one_event() {
    if !is_there::<RabbitMq>() {
        return;
    }
    let world = World::new(RabbitMq);
    let copy =
        |n: u64| Record { id: Some("same".to_owned()), ..world.single("t", &json!({"n": n})) };
    world.publish(&[copy(1), copy(2)]);
    let companion = world.companion();
    assert_eq!(world.wait_for_numbers(1), [1]);
    world.publish(&[copy(3)]);
    world.publish(&world.numbers(4..5));
    assert_eq!(world.wait_for_numbers(2), [1, 4]);
    companion.stop();
}

/// A gateway whose only source is this, and what it says of a batch.
fn saying(source: Value, batch: impl Fn(&Batch<'_>) -> Answer + Send + Sync + 'static) -> Endpoint {
    let list = json!({"poll_seconds": 1, "project_id": "p", "max_message_bytes": 1_000_000, "sources": [source]});
    Endpoint::responding(move |request| match request.path.as_str() {
        "/consumer/v1/sources" => Answer::ok().body(list.to_string()),
        "/consumer/v1/batches" => batch(&Batch::read(&request.body).unwrap()),
        _ => Answer::status(204),
    })
}

#[test]
fn rabbitmq_has_back_what_is_not_durable_when_a_stop_comes_between() {
    const COUNT: usize = 100;
    if !is_there::<RabbitMq>() {
        return;
    }
    let _hold = shared::<RabbitMq>();
    let place = RabbitMq.place();
    let records: Vec<_> = (0..COUNT).map(|n| Record::new(n.to_string())).collect();
    RabbitMq.publish(&place, &records);
    let durable = Arc::new(Mutex::new(BTreeSet::new()));
    let (takes_all, is_asked) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut source = place.pub_sub.clone();
    source["amqp"]["prefetch"] = json!(COUNT);
    let more = json!({"uid": "s", "name": "s", "version": "1", "max_attempts": 10});
    source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let own = (Arc::clone(&durable), Arc::clone(&takes_all), Arc::clone(&is_asked));
    // Every other message cannot be taken now, and the answer comes when the stop is known.
    let gateway = saying(source, move |batch| {
        let (durable, takes_all, is_asked) = &own;
        let is_mixed = !takes_all.load(Ordering::Relaxed) && 2 < batch.messages.len();
        let mut durable = durable.lock().unwrap();
        let results = batch.messages.iter().zip(0..).map(|(message, place)| {
            if is_mixed && place % 2 == 0 {
                return json!({"status": "retry", "reason": "not now", "is_ours": true});
            }
            durable.insert(String::from_utf8_lossy(&message.payload).into_owned());
            json!({"status": "accepted", "event_id": "e"})
        });
        let body = json!({"results": results.collect::<Vec<_>>()}).to_string();
        let wait = if is_mixed { Duration::from_secs(1) } else { Duration::ZERO };
        is_asked.fetch_or(is_mixed, Ordering::Relaxed);
        Answer::ok().body(body).after(wait)
    });
    let first = Companion::start(&gateway.url(""), "key");
    poll_until("a batch", || is_asked.load(Ordering::Relaxed).then_some(()));
    first.stop();
    takes_all.store(true, Ordering::Relaxed);
    let _second = Companion::start(&gateway.url(""), "key");
    poll_until("all of them", || (durable.lock().unwrap().len() == COUNT).then_some(()));
}

#[test]
fn sqs_standard_queues_are_read_by_the_full() {
    if !is_there::<Sqs>() {
        return;
    }
    let world = World::new(Sqs);
    let name = unique();
    let mut pub_sub = world.place.pub_sub.clone();
    pub_sub["sqs"]["queue_name"] = json!(name);
    let place = Place { pub_sub, name };
    Sqs.make(&place);
    change(&world, &place.pub_sub);
    Sqs.publish(&place, &world.numbers(0..120));
    let companion = world.companion();
    let mut numbers = world.wait_for_numbers(120);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..120).collect::<Vec<_>>());
    world.status("no lag", |status| status["lag"] == 0);
    companion.stop();
}
