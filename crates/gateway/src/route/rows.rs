//! Rows on their way into a JSON parameter.

use serde::Serialize;

use crate::sql::{PARAM_MAX_BYTES, Statement};

/// A value of a row, where it stands.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum Cell<'a> {
    Text(&'a str),
    Number(u64),
    Null,
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Cell<'_> {
    fn from(is_so: bool) -> Self {
        Self::Number(u64::from(is_so))
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Rows as JSON texts, cut where one would become too long.
#[derive(Clone, Default)]
pub(super) struct Rows {
    full: Vec<String>,
    open: String,
}

impl Rows {
    /// One row.
    pub(super) fn of(row: &[Cell<'_>]) -> String {
        format!("[{}]", serde_json::to_string(row).unwrap_or_default())
    }

    pub(super) fn push(&mut self, row: &[Cell<'_>]) {
        let row = serde_json::to_string(row).unwrap_or_default();
        if PARAM_MAX_BYTES < self.open.len() + row.len() && !self.open.is_empty() {
            self.close();
        }
        self.open.push(if self.open.is_empty() { '[' } else { ',' });
        self.open.push_str(&row);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.open.push(']');
            self.full.push(std::mem::take(&mut self.open));
        }
    }

    pub(super) fn statements(mut self, make: impl Fn(String) -> Statement) -> Vec<Statement> {
        self.close();
        self.full.into_iter().map(make).collect()
    }
}
