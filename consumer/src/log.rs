//! One line of JSON for each thing that happened. Never a payload, never a secret.

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) enum Level {
    Error = 0,
    Warn = 1,
    Info = 2,
    Debug = 3,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

impl Level {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

pub(crate) fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn line(level: Level, message: &str, fields: Value) -> String {
    let mut line = json!({"at": now_ms(), "level": level.name(), "message": message});
    if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
        line.extend(fields);
    }
    format!("{line}\n")
}

/// Writes a line to stderr. `fields` is an object.
pub(crate) fn log(level: Level, message: &str, fields: Value) {
    if level as u8 <= LEVEL.load(Ordering::Relaxed) {
        // A log that cannot be written has nobody to be told.
        std::io::stderr().lock().write_all(line(level, message, fields).as_bytes()).ok();
    }
}

pub(crate) fn error(message: &str, fields: Value) {
    log(Level::Error, message, fields);
}

pub(crate) fn warn(message: &str, fields: Value) {
    log(Level::Warn, message, fields);
}

pub(crate) fn info(message: &str, fields: Value) {
    log(Level::Info, message, fields);
}

pub(crate) fn debug(message: &str, fields: Value) {
    log(Level::Debug, message, fields);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object() {
        let line = line(Level::Warn, "two\nlines", json!({"source": "a\"b"}));
        assert_eq!(line.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["level"], &value["source"]), (&json!("warn"), &json!("a\"b")));
        assert_eq!(value["message"], "two\nlines");
    }
}
