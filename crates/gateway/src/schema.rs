//! JSON schemas: what a payload has to look like.
//!
//! The part of [draft 2020-12](https://json-schema.org/draft/2020-12) that describes one document: a keyword that is not
//! known here is refused when the schema is saved, never passed over. Patterns have the syntax of a bounded engine, so no
//! payload takes long to check; the steps of a check are counted for the same reason.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

mod check;
mod format;
mod read;

use format::Format;

use crate::number::{Step, is_integer};
use crate::steps::Lazy;

/// Bytes of a schema, as it is written.
pub const SCHEMA_MAX_BYTES: usize = 65_536;

/// What is wrong, and where: a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {}: {what}", if at.is_empty() { "the root" } else { at.as_str() })]
pub struct Fault {
    pub at: String,
    pub what: String,
}

/// A schema that was read, ready to check payloads.
#[derive(Debug)]
pub struct Schema {
    nodes: Vec<Node>,
}

type Id = usize;

/// What all of a value has to pass; nothing at all where the schema is `true`.
type Node = Vec<Check>;

#[derive(Debug)]
enum Check {
    /// The schema `false`.
    Never,
    Type(Vec<Type>),
    OneOf(Vec<Value>),
    Minimum(Number),
    Maximum(Number),
    Above(Number),
    Below(Number),
    MultipleOf(Step),
    Length(Range),
    Pattern(Lazy),
    Format(Format),
    Items {
        first: Vec<Id>,
        rest: Option<Id>,
    },
    ItemCount(Range),
    UniqueItems,
    Contains {
        id: Id,
        range: Range,
    },
    Properties {
        named: BTreeMap<String, Id>,
        matching: Vec<(Lazy, Id)>,
        rest: Option<Id>,
    },
    PropertyCount(Range),
    PropertyNames(Id),
    Required(Vec<String>),
    RequiredWith(BTreeMap<String, Vec<String>>),
    All(Vec<Id>),
    Any(Vec<Id>),
    Exactly1(Vec<Id>),
    Not(Id),
    If {
        when: Id,
        then: Option<Id>,
        otherwise: Option<Id>,
    },
    Same(Id),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::String,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Integer, Value::Number(number)) => is_integer(number),
            (Self::Null, Value::Null)
            | (Self::Boolean, Value::Bool(_))
            | (Self::Number, Value::Number(_))
            | (Self::String, Value::String(_))
            | (Self::Array, Value::Array(_))
            | (Self::Object, Value::Object(_)) => true,
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Range {
    least: Option<u64>,
    most: Option<u64>,
}

impl Range {
    /// `None`: the count is in it.
    fn fault(self, count: u64, of: &str) -> Option<String> {
        match (self.least, self.most) {
            (Some(least), _) if count < least => Some(format!("must have at least {least} {of}")),
            (_, Some(most)) if most < count => Some(format!("must have at most {most} {of}")),
            _ => None,
        }
    }
}

impl Schema {
    /// Reads a schema that is to be saved. What it says that is not known here is a fault.
    pub fn read(root: &Value) -> Result<Self, Fault> {
        if SCHEMA_MAX_BYTES < root.to_string().len() {
            let what = format!("a schema has at most {SCHEMA_MAX_BYTES} bytes");
            return Err(Fault { at: String::new(), what });
        }
        Ok(Self { nodes: read::nodes(root, false)? })
    }

    /// Reads one that was saved. Its patterns are compiled when they are asked. `None`: it cannot be used any more.
    pub fn stored(root: &Value) -> Option<Self> {
        Some(Self { nodes: read::nodes(root, true).ok()? })
    }

    /// What is wrong with a payload: nothing, or the first few faults.
    pub fn check(&self, payload: &Value) -> Vec<Fault> {
        check::faults(self, payload)
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
