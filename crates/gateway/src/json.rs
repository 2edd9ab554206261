//! Reads what we have written ourselves, and what the database answers: JSON texts into types with a derived reader.
//!
//! A derived reader of a struct takes objects, and lists of the fields in order, too, which nobody writes: a good part
//! of its code. [`Lean`] stands before the reader of JSON and never hands it a list in place of a struct, so that half
//! is not compiled in; the other half is the same code as ever.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Reads a JSON text.
#[inline(never)]
pub fn read<'de, T: Deserialize<'de>>(text: &'de str) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Lean(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// Reads a JSON text that came as bytes. There is one reader of JSON in the Worker, not one for bytes as well.
pub fn read_bytes<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> serde_json::Result<T> {
    read(std::str::from_utf8(bytes).map_err(serde_json::Error::custom)?)
}

/// The JSON text of an object, with more fields in it whose values are JSON texts already: they go in as they are written, where
/// a `Value` would sort their keys and round their numbers. The names are ours, and need no escape.
pub fn with_raw(fields: &serde_json::Value, raw: &[(&str, &str)]) -> String {
    let shown = fields.to_string();
    let more: usize = raw.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    // A large body is not copied more often than it has to be.
    let mut whole = String::with_capacity(shown.len() + more);
    whole.push_str(shown.strip_suffix('}').unwrap_or(&shown));
    for (name, value) in raw {
        let before = if whole == "{" { "\"" } else { ",\"" };
        for part in [before, name, "\":", value] {
            whole.push_str(part);
        }
    }
    whole.push('}');
    whole
}

/// A reader of JSON whose structs are objects.
struct Lean<D>(D);

macro_rules! as_it_is {
    ($($name:ident)*) => {$(
        #[inline]
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$name(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Lean<D> {
    type Error = D::Error;

    as_it_is! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_identifier
        deserialize_ignored_any
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Inner(visitor))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_seq(List(visitor))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, List(visitor))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Object(visitor))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Object(visitor))
    }

    // Texts that stay as they are written come through here, under a name that the reader below knows.
    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, visitor)
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, List(visitor))
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }
}

/// The visitor of an optional value.
struct Inner<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Inner<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    #[inline]
    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    #[inline]
    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Lean(deserializer))
    }
}

/// The visitor of a list.
struct List<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for List<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Parts(items))
    }
}

/// The visitor of an object.
struct Object<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Object<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Parts(entries))
    }
}

/// What a list or an object holds.
struct Parts<A>(A);

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Parts<A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Part(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Parts<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Part(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

struct Part<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Part<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Lean(deserializer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json, value::RawValue};
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Plain,
        Named(String),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Child {
        number: u64,
        #[serde(default)]
        more: Vec<Child>,
    }

    #[derive(Debug, Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
        kinds: Vec<Kind>,
        child: Option<Child>,
        none: Option<Child>,
        #[serde(default)]
        absent: Option<Child>,
        pairs: Vec<(String, Child)>,
        by_name: BTreeMap<String, Child>,
        fields: Map<String, Value>,
        any: Value,
        #[serde(borrow)]
        written: &'a RawValue,
    }

    #[test]
    fn everything_that_is_written_is_read() {
        let text = r#"{"name": "a", "kinds": ["plain", {"named": "n"}], "child": {"number": 1, "more": [{"number": 2}]},
            "none": null, "pairs": [["p", {"number": 3}]], "by_name": {"b": {"number": 4}}, "fields": {"f": [1, {"g": null}]},
            "any": {"x": [true]}, "written": [ 1.0 ], "unknown": {"y": [[]]}}"#;
        let whole: Whole<'_> = read(text).unwrap();
        let child = |number| Child { number, more: Vec::new() };
        assert_eq!(whole.name, "a");
        assert_eq!(whole.kinds, [Kind::Plain, Kind::Named("n".into())]);
        assert_eq!(whole.child, Some(Child { number: 1, more: vec![child(2)] }));
        assert!(whole.none.is_none() && whole.absent.is_none());
        assert_eq!(whole.pairs, [("p".to_owned(), child(3))]);
        assert_eq!(whole.by_name, BTreeMap::from([("b".to_owned(), child(4))]));
        assert_eq!(Value::Object(whole.fields), json!({"f": [1, {"g": null}]}));
        assert_eq!((whole.any, whole.written.get()), (json!({"x": [true]}), "[ 1.0 ]"));
    }

    #[test]
    fn raw_values_go_into_an_object_as_they_are_written() {
        let raw = [("c", r#"{"z": 1.0, "a": 12345678901234567890123}"#), ("d", "[]")];
        let text = with_raw(&json!({"b": "}", "e": {}}), &raw);
        let expect = r#"{"b":"}","e":{},"c":{"z": 1.0, "a": 12345678901234567890123},"d":[]}"#;
        assert_eq!(text, expect);
        assert_eq!(with_raw(&json!({}), &raw), format!(r#"{{"c":{},"d":[]}}"#, raw[0].1));
        assert_eq!(with_raw(&json!({"b": 1}), &[]), r#"{"b":1}"#);
    }

    #[test]
    fn what_is_wrong_is_an_error_with_its_place() {
        for (text, part) in [
            ("", "EOF"),
            ("[1]", "invalid type: sequence, expected struct Child at line 1"),
            (r#"{"number": "1"}"#, "expected u64 at line 1 column 14"),
            (r#"{"more": []}"#, "missing field `number`"),
            (r#"{"number": 1, "number": 1}"#, "duplicate field `number`"),
            (r#"{"number": 1} x"#, "trailing characters"),
        ] {
            let error = read::<Child>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(read_bytes::<Child>(b"{\"number\": \xff}").is_err());
        assert_eq!(read_bytes::<Child>(b"{\"number\": 7}").unwrap().number, 7);
    }
}
