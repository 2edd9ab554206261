//! What holds for every broker when something dies, goes away, or says no.

use std::time::Duration;

use inlet_tests::{Gateway, poll_until_within};
use serde_json::{Value, json};

use crate::servers::{Server, unique};
use crate::world::{Companion, World, alone, gateway, number, script, shared, skipped, uid};

/// Every number once, whatever the order.
#[track_caller]
fn all_of<S: Server>(world: &World<'_, S>, count: u64) {
    let mut numbers = world.wait_for_numbers(usize::try_from(count).unwrap());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "each once");
}

pub(crate) fn an_outage_of_the_gateway_loses_nothing<S: Server>(server: S) {
    let mut own = Gateway::builder().durability("journal").start();
    let (place, source, key, endpoint);
    {
        let world = World::with(server, &own, json!({}), shared::<S>());
        world.publish(&world.numbers(0..20));
        let companion = world.companion();
        world.wait_for_numbers(20);
        companion.stop();
        (source, key, endpoint) = (world.source.clone(), world.key.clone(), world.silent.clone());
        place = world.place;
    }
    let companion = {
        let url = own.url().to_owned();
        let companion = Companion::start(&url, &key);
        own.kill9();
        companion
    };
    server.publish(&place, &(20..60).map(|n| number(&endpoint, n)).collect::<Vec<_>>());
    own.restart();
    // It comes back at another port: a companion that was started there goes on.
    drop(companion);
    let _second = Companion::start(own.url(), &key);
    let count = || {
        let sql = "SELECT body FROM events WHERE source_id = ?1";
        let rows = own.sql("EVENTS_0", sql, &[source["uid"].clone()]);
        let mut numbers: Vec<u64> = rows
            .iter()
            .filter_map(|row| {
                serde_json::from_str::<Value>(row["body"].as_str()?).ok()?["n"].as_u64()
            })
            .collect();
        numbers.sort_unstable();
        numbers
    };
    poll_until_within(Duration::from_mins(1), || (count().len() >= 60).then_some(()));
    assert_eq!(count(), (0..60).collect::<Vec<_>>());
}

pub(crate) fn killed_at_any_moment_it_loses_nothing_and_doubles_nothing<S: Server>(server: S) {
    let world = World::new(server);
    let total = 800;
    // What a dead companion had of an SQS queue is hidden for half a minute, and holds back its group.
    let rounds = if S::NAME == "sqs" { 1 } else { 4 };
    let numbers = world.numbers(0..total);
    let mut seen = 0;
    for part in numbers.chunks(numbers.len() / rounds) {
        world.publish(part);
        let companion = world.companion();
        // Killed as soon as something of it is stored: in the middle of the rest.
        let progress = || (world.stored_numbers().len() > seen).then_some(());
        poll_until_within(Duration::from_mins(1), progress).expect("progress");
        companion.kill9();
        seen = world.stored_numbers().len();
    }
    let _last = world.companion();
    all_of(&world, total);
}

pub(crate) fn the_broker_restarts<S: Server>(server: S) {
    if std::env::var(S::VARIABLE).is_ok() {
        skipped::<S>("its restart, because it is not ours");
        return;
    }
    let world = World::with(server, gateway(), json!({}), alone::<S>());
    world.publish(&world.numbers(0..10));
    let _companion = world.companion();
    world.wait_for_numbers(10);
    script(&["stop", S::NAME]);
    let status = world.status("that it fails", |status| status["state"] == "failing");
    assert!(status["error"]["message"].as_str().is_some_and(|text| text.len() > 10), "{status}");
    script(&["start", S::NAME]);
    if !S::KEEPS {
        server.make(&world.place);
    }
    world.publish(&world.numbers(10..20));
    all_of(&world, 20);
    world.status("that it is connected", |status| status["state"] == "connected");
}

pub(crate) fn two_companions_share_the_work<S: Server>(server: S) {
    let world = World::new(server);
    let keyed = |range: std::ops::Range<u64>| -> Vec<_> {
        let numbers = world.numbers(range);
        (0..).zip(numbers).map(|(n, record)| record.key(&format!("k{}", n % 7))).collect()
    };
    world.publish(&keyed(0..200));
    let first = world.companion();
    world.wait_for_numbers(50);
    let second = world.companion();
    world.publish(&keyed(200..400));
    world.wait_for_numbers(250);
    first.stop();
    world.publish(&keyed(400..500));
    all_of(&world, 500);
    drop(second);
}

pub(crate) fn a_key_that_is_deleted_stops_it<S: Server>(server: S) {
    let world = World::new(server);
    world.publish(&world.numbers(0..5));
    let first = world.companion();
    world.wait_for_numbers(5);
    let keys = world.project.get("/consumer-keys").expect(200).data();
    let keys = keys.as_array().or(keys["content"].as_array()).cloned().unwrap_or_default();
    for key in keys {
        world.project.delete(&format!("/consumer-keys/{}", uid(&key))).expect(200);
    }
    // The project's own calls still work; a companion with the old key gets nothing any more.
    let said = Companion::check(world.project.gateway.url(), &world.key);
    assert!(said.contains("BAD  key 1") && said.contains("refuses the consumer key"), "{said}");
    drop(first);
    world.publish(&world.numbers(5..9));
    let key = world.project.companion().key;
    let _second = Companion::start(world.project.gateway.url(), &key);
    all_of(&world, 9);
}

fn is_told<S: Server>(world: &World<'_, S>, pub_sub: &Value, words: &[&str]) {
    let body = json!({"name": S::NAME, "type": "pub_sub", "pub_sub": pub_sub});
    let path = format!("/sources/{}", uid(&world.source));
    world.project.put(&path, &body).expect(202);
    let _companion = world.companion();
    let status = world.status("why it fails", |status| {
        let message = status["error"]["message"].as_str().unwrap_or_default().to_lowercase();
        status["state"] == "failing" && words.iter().any(|word| message.contains(word))
    });
    let text = status.to_string();
    assert!(!text.contains("secret-1") && !text.contains("\"wrong\""), "{text}");
    let said = Companion::check(world.project.gateway.url(), &world.key);
    assert!(said.contains("BAD"), "{said}");
    // Once it is right, what waited comes.
    let body = json!({"name": S::NAME, "type": "pub_sub", "pub_sub": world.place.pub_sub});
    world.project.put(&path, &body).expect(202);
    world.publish(&world.numbers(0..3));
    all_of(world, 3);
}

pub(crate) fn wrong_credentials_are_told<S: Server>(server: S) {
    let world = World::new(server);
    match server.wrong_credentials(&world.place) {
        Some(wrong) => {
            is_told(&world, &wrong, &["access_refused", "authentication", "invalidclienttokenid"]);
        }
        None => skipped::<S>("wrong credentials, because it believes everybody"),
    }
}

pub(crate) fn unreachable_hosts_are_told<S: Server>(server: S) {
    let world = World::new(server);
    is_told(&world, &server.unreachable(&world.place), &["refused", "connect"]);
}

pub(crate) fn a_place_that_comes_later_is_waited_for<S: Server>(server: S) {
    let world = World::new(server);
    let later = server.named(&unique());
    let body = json!({"name": S::NAME, "type": "pub_sub", "pub_sub": later.pub_sub});
    world.project.put(&format!("/sources/{}", uid(&world.source)), &body).expect(202);
    let _companion = world.companion();
    if S::NAME == "rabbitmq" {
        // A queue that is not there is declared.
        world.status("that it is connected", |status| status["state"] == "connected");
    } else {
        world.status("what is missing", |status| status["state"] == "failing");
        server.make(&later);
    }
    server.publish(&later, &world.numbers(0..3));
    all_of(&world, 3);
}
