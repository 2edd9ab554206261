//! Structured logs: one JSON object a line. A line may hold ids, labels and counts; never a body, a
//! header's value or a secret. (`x-request-id` is an id, by which its sender wants to find a call.)

use std::cell::Cell;

use inlet_gateway::log_line::line;
use serde_json::Value;
use worker::{console_error, console_log};

thread_local! {
    static DEBUG: Cell<bool> = const { Cell::new(false) };
}

/// `debug` also logs every accepted event and every delivery that went well.
pub(crate) fn set_debug(is_debug: bool) {
    DEBUG.set(is_debug);
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
