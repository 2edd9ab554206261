//! Keys that stand twice in one object. Readers differ in what becomes of them (the last counts, the first does, two
//! objects are merged), so in what asks for something they are a mistake, and are refused.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::ApiError;

/// JSON in which no object has a key twice.
struct Unique;

/// Says of a JSON text which key an object in it has twice, if any does.
pub(crate) fn check(text: &str) -> Result<(), ApiError> {
    match serde_json::from_str::<Unique>(text) {
        Err(error) if error.is_data() => Err(ApiError::bad_request(told(&error))),
        // The reader of the text says what else is wrong with it.
        _ => Ok(()),
    }
}

/// The error of a reader here, with its place.
fn told(error: &serde_json::Error) -> String {
    format!("body contains {error}")
}

fn twice<E: Error>(key: &str) -> E {
    let shown: String = key.chars().take(64).collect();
    E::custom(format_args!("the key {shown:?} twice in one object"))
}

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

macro_rules! passes {
    ($($name:ident: $of:ty),*) => {$(
        fn $name<E: Error>(self, _: $of) -> Result<Self, E> {
            Ok(self)
        }
    )*};
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    passes!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    // Numbers that are kept as they are written come as an object of one key.
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(twice(&key));
            }
            keys.insert(key);
            entries.next_value::<Self>()?;
        }
        Ok(self)
    }
}

/// The fields of an object, each as it is written. None is there twice; what stands in them is not looked at.
#[derive(Debug)]
pub(crate) struct RawFields<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = entries.next_entry::<String, &'de RawValue>()? {
                    fields.push(entry);
                }
                Ok(RawFields(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'a> RawFields<'a> {
    /// Refuses a field that is there twice.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let mut names = BTreeSet::new();
        match self.0.iter().find(|(name, _)| !names.insert(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let error: serde_json::Error = twice(name);
                Err(ApiError::bad_request(told(&error)))
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(have, _)| have == name).map(|(_, raw)| *raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_in_one_object_is_found_wherever_that_is() {
        for (text, expect) in [
            (
                r#"{"a": 1, "a": 1}"#,
                "body contains the key \"a\" twice in one object at line 1 column 12",
            ),
            (
                "{\"a\": {\"x\": 1},\n\"a\": {\"y\": 2}}",
                "body contains the key \"a\" twice in one object at line 2 column 3",
            ),
            (r#"[{"b": {"c": [0.5, {"d": 1, "\u0064": null}]}}]"#, "the key \"d\" twice"),
            (r#"{"a\nb": 1, "a\nb": 2}"#, "the key \"a\\nb\" twice"),
        ] {
            let message = check(text).unwrap_err().message;
            assert!(message.contains(expect), "{text}: {message}");
        }
        for text in [
            r#"{"a": {"a": 12345678901234567890123, "b": [{"a": -1.5e9}, {"a": true}]}, "A": null}"#,
            "[1, 1, \"a\", \"a\"]",
            "7",
            "{\"a\": 1, \"b\"",
            "{}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn of_fields_that_are_kept_as_written_only_the_names_are_looked_at() {
        let read = |text| serde_json::from_str::<RawFields<'_>>(text);
        let fields = read(r#"{"data": {"a": 1, "a": 2}, "b": 5.0}"#).unwrap();
        assert_eq!(fields.check(), Ok(()));
        assert_eq!(fields.get("data").unwrap().get(), r#"{"a": 1, "a": 2}"#);
        assert!(fields.get("none").is_none());
        let message = read(r#"{"b": 1, "b": 1}"#).unwrap().check().unwrap_err().message;
        assert_eq!(message, "body contains the key \"b\" twice in one object");
        assert!(read("[1]").is_err());
    }
}
