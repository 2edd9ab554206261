//! What the readers of the API read: every field and parameter, by asking the readers themselves.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::fields::{Fields, FromFields, Kind};

/// What a field of a reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    Plain(Kind),
    /// An object that another reader reads, by the name of its type.
    Object(&'static str),
    Objects(&'static str),
}

/// The readers that were asked, by the names of their types, with their fields in the order they are read in.
pub type Readers = BTreeMap<&'static str, Vec<(String, Read)>>;

/// Hands itself to a reader in place of a body, and notes what it asks for.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Rc<RefCell<Readers>>, Rc<RefCell<BTreeMap<&'static str, &'static str>>>);

impl Recorder {
    /// Asks a reader, and those that it asks.
    pub fn ask<T: FromFields>(&self) {
        let name = short_name::<T>();
        let full = type_name::<T>();
        let known = *self.1.borrow_mut().entry(name).or_insert(full);
        assert_eq!(known, full, "two readers have one name, and would be one schema");
        if self.0.borrow().contains_key(name) {
            return;
        }
        self.0.borrow_mut().insert(name, Vec::new());
        if let Ok(mut fields) = Fields::of(String::new(), Value::Object(Map::new())) {
            fields.recorder = Some((name, self.clone()));
            // Nothing is there, so some readers end in an error; all of them have read everything by then.
            T::from_fields(&mut fields).ok();
        }
    }

    pub fn readers(&self) -> Readers {
        self.0.borrow().clone()
    }

    pub(crate) fn note(&self, of: &'static str, field: &str, kind: Kind) {
        self.push(of, field, Read::Plain(kind));
    }

    pub(crate) fn note_object<T: FromFields>(&self, of: &'static str, field: &str, several: bool) {
        let name = short_name::<T>();
        self.push(of, field, if several { Read::Objects(name) } else { Read::Object(name) });
        self.ask::<T>();
    }

    fn push(&self, of: &'static str, field: &str, read: Read) {
        let mut readers = self.0.borrow_mut();
        let fields = readers.entry(of).or_default();
        if !fields.iter().any(|(have, _)| have == field) {
            fields.push((field.to_owned(), read));
        }
    }
}

/// `SourceInput` of `inlet_gateway::source::SourceInput`.
pub(super) fn short_name<T>() -> &'static str {
    let name = type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}

thread_local! {
    static PARAMETERS: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes that a parameter of a query was asked for.
pub(crate) fn note_parameter(name: &str) {
    PARAMETERS.with_borrow_mut(|names| {
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
    });
}

/// The parameters that `read` asks for.
pub fn parameters(read: impl FnOnce()) -> BTreeSet<String> {
    PARAMETERS.with_borrow_mut(BTreeSet::clear);
    read();
    PARAMETERS.with_borrow_mut(std::mem::take)
}
