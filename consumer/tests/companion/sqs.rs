//! What an SQS queue is asked while the gateway takes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use inlet_tests::{Answer, Endpoint};
use serde_json::{Value, json};

use crate::edge_with;
use crate::process::Companion;

#[test]
fn a_fifo_queue_is_polled_less_and_less_while_nothing_comes() {
    let polls = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&polls);
    let queue = Endpoint::responding(move |request| {
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        let first = json!({"Messages": [{"MessageId": "m", "ReceiptHandle": "r", "Body": "{}"}]});
        let (answer, seconds) = match request.header("x-amz-target").unwrap_or_default() {
            "AmazonSQS.ReceiveMessage" if own.fetch_add(1, Ordering::Relaxed) == 0 => (first, 0),
            "AmazonSQS.ReceiveMessage" => {
                (json!({}), asked["WaitTimeSeconds"].as_u64().unwrap_or_default())
            }
            "AmazonSQS.GetQueueAttributes" => (json!({}), 0),
            _ => (json!({"Successful": [], "Failed": []}), 0),
        };
        let answer = Answer::ok().body(answer.to_string()).after(Duration::from_secs(seconds));
        answer.header("Content-Type", "application/x-amz-json-1.0")
    });
    let edge = edge_with(
        json!({"uid": "s", "name": "orders", "version": "1", "is_disabled": false,
        "workers": 1, "type": "sqs", "max_attempts": 3, "sqs": {"queue_name": queue.url("/1/orders.fifo"),
        "default_region": "eu-west-1", "access_key_id": "a", "secret_key": "b", "endpoint": queue.url("")}}),
    );
    edge.book().refusals = vec![(503, Some(4))];
    let _companion = Companion::start(&edge.url());
    edge.wait_for(1);
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls <= 10, "{polls} polls in four seconds");
}
