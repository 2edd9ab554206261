//! The companion between real brokers and the real gateway: one suite, one line a broker.
//!
//! Brokers are found by the variables that `scripts/brokers.sh up` writes into `.inlet/brokers/env`. One that is missing is told
//! with `SKIPPED-BROKER <name>: <why>`; if `REQUIRE_BROKERS` names it, its tests fail instead.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failing test panics, in its helpers too"
)]

mod cases;
mod faults;
mod filtered;
mod odd;
mod own;
mod servers;
mod trust;
mod world;

use servers::{Kafka, PubSub, RabbitMq, Sqs};

/// Every case for every broker, each as a test of its own: `rabbitmq::single_basic_delivery`.
macro_rules! suite {
    ($($name:ident: $server:expr;)*) => {$(
        mod $name {
            use super::*;
            cases::for_each_case!($server);
        }
    )*};
}

suite! {
    kafka: Kafka;
    rabbitmq: RabbitMq;
    sqs: Sqs;
    pubsub: PubSub;
}
