//! What was given up.

use serde_json::Value;

use super::{NOW, PROJECT, SOURCE, delivery, events, shown};
use crate::batch::Message;
use crate::dead_letter::{self, DeadLetter};
use crate::deliver::Delivery;

/// A message of a broker, and a delivery, as they are shown whole.
pub(super) fn dead_letters() -> Vec<Value> {
    let message = Message {
        id: Some("orders-0-42".into()),
        headers: vec![("trace".into(), "abc".into())],
        key: Some("7".into()),
        at: Some(NOW),
        dead: None,
        headers_replaced: false,
        payload: std::borrow::Cow::Borrowed(br#"{"invoice":7}"#),
    };
    let reason = "event_type:please provide an event type";
    let letter = DeadLetter::of_message(
        &message,
        PROJECT,
        SOURCE,
        message.id.clone(),
        reason,
        "01KB0J7EA0DEAD1ETTEREXAMP1".into(),
        NOW,
    );
    let bare = Message { id: None, key: None, at: None, headers: Vec::new(), ..message.clone() };
    let bare = DeadLetter::of_message(
        &bare,
        PROJECT,
        SOURCE,
        None,
        reason,
        "01KB0J7EA0DEAD1ETTEREXAMP1".into(),
        NOW,
    );
    let names = [
        "id",
        "kind",
        "reason",
        "payload",
        "is_base64",
        "at",
        "project_id",
        "source_id",
        "event_id",
        "broker_message_id",
        "detail",
        "body_key",
        "length",
    ];
    let mut all: Vec<Value> = [letter, bare]
        .iter()
        .map(|letter| {
            let row = letter.row();
            let row: Value = names
                .iter()
                .zip(row.as_array().into_iter().flatten())
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let stored: dead_letter::Stored = serde_json::from_value(row).expect("a row");
            shown(stored.present_whole(&message.payload))
        })
        .collect();
    let mut failed =
        dead_letter::present_delivery(&Delivery { status: "Failure".into(), ..delivery() });
    failed["event"] = events().swap_remove(0);
    all.push(failed);
    all
}
