//! Structured logs: one JSON object a line. A line may hold ids, labels and counts; never a body, a
//! header's value or a secret.

use std::cell::Cell;

use serde_json::{Value, json};
use worker::{console_error, console_log};

thread_local! {
    static DEBUG: Cell<bool> = const { Cell::new(false) };
}

/// `LOG_LEVEL`: `debug` also logs every accepted event and every delivery that went well.
pub(crate) fn set_level(level: &str) {
    DEBUG.set(level.eq_ignore_ascii_case("debug"));
}

/// What is normal, and happens with every event.
pub(crate) fn debug(event: &str, fields: impl FnOnce() -> Value) {
    if DEBUG.get() {
        console_log!("{}", line("debug", event, fields()));
    }
}

/// What an operator may want to know.
pub(crate) fn info(event: &str, fields: Value) {
    console_log!("{}", line("info", event, fields));
}

/// What somebody has to mend.
pub(crate) fn error(event: &str, fields: Value) {
    console_error!("{}", line("error", event, fields));
}

fn line(level: &str, event: &str, mut fields: Value) -> Value {
    if let Some(object) = fields.as_object_mut() {
        object.insert("level".into(), level.into());
        object.insert("event".into(), event.into());
        return fields;
    }
    json!({"level": level, "event": event, "detail": fields})
}
