//! Whom brokers believe, and whom they are believed: what is wrong is told in words, and nothing is lost meanwhile.

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use serde_json::{Value, json};

use crate::own::{change, pem};
use crate::servers::{Kafka, Place, RabbitMq, Server, Sqs, unique, variable, wait};
use crate::world::{Companion, World, is_there, skipped};

/// Each of these `pub_sub` fails with one of its words; with `right`, all that was published arrives.
#[track_caller]
fn told_until_right<S: Server>(
    world: &World<'_, S>,
    wrong: &[(Value, &[&str])],
    right: &Value,
    publish: impl Fn(u64),
) {
    // It never sees the source as it was made.
    change(world, &wrong[0].0);
    let _companion = world.companion();
    for (n, (pub_sub, words)) in (0..).zip(wrong) {
        change(world, pub_sub);
        publish(n);
        let said = |text: &str| words.iter().any(|word| text.to_lowercase().contains(word));
        let what = format!("one of {words:?}");
        let status = world.status(&what, |status| {
            let message = status["error"]["message"].as_str().unwrap_or_default();
            status["state"] == "failing" && said(message)
        });
        assert!(!status.to_string().contains("PRIVATE KEY"), "{status}");
        let checked = Companion::check(world.project.gateway.url(), &world.key);
        assert!(checked.contains("BAD") && said(&checked), "{checked}");
        assert!(world.stored_numbers().is_empty());
    }
    change(world, right);
    let mut numbers = world.wait_for_numbers(wrong.len());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..wrong.len() as u64).collect::<Vec<_>>());
    world.status("that it is connected", |status| status["state"] == "connected");
}

fn with(pub_sub: &Value, broker: &str, more: &Value) -> Value {
    let mut pub_sub = pub_sub.clone();
    let fields = pub_sub[broker].as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    pub_sub
}

/// `tls` with this CA, and this identity if any.
fn tls(ca: &str, identity: Option<&str>) -> Value {
    let mut tls = json!({"ca_cert": pem(ca)});
    if let Some(name) = identity {
        tls["client_cert"] = pem(&format!("{name}.pem")).into();
        tls["client_key"] = pem(&format!("{name}.key")).into();
    }
    tls
}

#[test]
fn rabbitmq_asks_for_a_certificate_and_shows_one() {
    if !is_there::<RabbitMq>() {
        return;
    }
    let Some(address) = variable("INLET_TEST_AMQPS") else {
        skipped::<RabbitMq>("certificates, because it is not ours");
        return;
    };
    let world = World::new(RabbitMq);
    let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let of = |tls: Value| {
        let more = json!({"schema": "amqps", "port": port, "tls": tls});
        with(&world.place.pub_sub, "amqp", &more)
    };
    told_until_right(
        &world,
        &[
            (of(tls("stranger.pem", Some("client"))), &["unknownissuer"]),
            (of(tls("ca.pem", None)), &["certificate"]),
            (of(tls("ca.pem", Some("stranger"))), &["certificate", "unknownca", "client_cert"]),
        ],
        &of(tls("ca.pem", Some("client"))),
        |n| world.publish(&world.numbers(n..n + 1)),
    );
}

#[test]
fn rabbitmq_is_believed_by_its_ca_alone() {
    if !is_there::<RabbitMq>() {
        return;
    }
    let Some(address) = variable("INLET_TEST_AMQPS_CA") else {
        skipped::<RabbitMq>("certificates, because it is not ours");
        return;
    };
    let world = World::new(RabbitMq);
    let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let of = |schema: &str, tls: Value| {
        let more = json!({"schema": schema, "port": port, "tls": tls});
        with(&world.place.pub_sub, "amqp", &more)
    };
    told_until_right(
        &world,
        &[
            (of("amqps", json!({})), &["unknownissuer"]),
            (of("amqps", tls("stranger.pem", None)), &["unknownissuer"]),
        ],
        &of("amqps", tls("ca.pem", None)),
        |n| world.publish(&world.numbers(n..n + 1)),
    );
}

#[test]
fn kafka_asks_for_a_certificate_and_shows_one() {
    if !is_there::<Kafka>() {
        return;
    }
    let Some(address) = variable("INLET_TEST_KAFKA_MTLS") else {
        skipped::<Kafka>("certificates, because it is not ours");
        return;
    };
    let world = World::new(Kafka);
    let of = |mut tls: Value| {
        tls["enabled"] = json!(true);
        with(&world.place.pub_sub, "kafka", &json!({"brokers": [address], "tls": tls}))
    };
    told_until_right(
        &world,
        &[
            (of(tls("stranger.pem", Some("client"))), &["certificate verify failed"]),
            (of(tls("ca.pem", None)), &["certificate"]),
            (of(tls("ca.pem", Some("stranger"))), &["certificate", "unknown ca"]),
        ],
        &of(tls("ca.pem", Some("client"))),
        |n| world.publish(&world.numbers(n..n + 1)),
    );
}

#[test]
fn sqs_credentials_are_asked_for() {
    if !is_there::<Sqs>() {
        return;
    }
    let pair = |name: &str| {
        let pair = variable(name)?;
        let (id, secret) = pair.split_once(':')?;
        Some((id.to_owned(), secret.to_owned()))
    };
    let (Some(endpoint), Some(reader), Some(nobody)) = (
        variable("INLET_TEST_SQS_AUTH"),
        pair("INLET_TEST_SQS_READER"),
        pair("INLET_TEST_SQS_NOBODY"),
    ) else {
        skipped::<Sqs>("credentials, because it is not ours");
        return;
    };
    let world = World::new(Sqs);
    let queue = unique();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new(&reader.0, &reader.1, None, None, "test"))
        .endpoint_url(&endpoint);
    let client = aws_sdk_sqs::Client::from_conf(config.build());
    let made = wait(client.create_queue().queue_name(&queue).send()).unwrap();
    let url = made.queue_url.unwrap();
    let place = Place { pub_sub: world.place.pub_sub.clone(), name: queue };
    let of = |id: &str, secret: &str| {
        let more = json!({"queue_name": place.name, "endpoint": endpoint, "access_key_id": id, "secret_key": secret});
        with(&place.pub_sub, "sqs", &more)
    };
    told_until_right(
        &world,
        &[
            (of(&reader.0, "not-the-secret"), &["signaturedoesnotmatch"]),
            (of("AKIANOBODYKNOWSME000", &reader.1), &["invalidclienttokenid"]),
            (of(&nobody.0, &nobody.1), &["accessdenied"]),
        ],
        &of(&reader.0, &reader.1),
        |n| {
            let body = String::from_utf8(world.numbers(n..n + 1).remove(0).body).unwrap();
            wait(client.send_message().queue_url(&url).message_body(body).send()).unwrap();
        },
    );
}
