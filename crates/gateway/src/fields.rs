//! The body of an API call, read field by field; a value of the wrong type is refused by the path of its field.
//!
//! Derived readers would do the same, but each of them brings its own copy of a JSON reader: together they were a tenth
//! of the Worker.

use serde_json::{Map, Value};

use crate::api::ApiError;

/// A type that the body of a call is read into.
pub trait FromFields: Sized {
    fn from_fields(fields: Fields) -> Result<Self, ApiError>;
}

/// A JSON object. Each field is taken out by the one who reads it; `null` is the same as absent.
#[derive(Debug)]
pub struct Fields {
    path: String,
    object: Map<String, Value>,
}

impl Fields {
    /// The fields of the object at `path`, which is empty for the body itself.
    pub fn of(path: String, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(object) => Ok(Self { path, object }),
            _ if path.is_empty() => Err(ApiError::bad_request(
                "body contains incorrect JSON type: an object is expected",
            )),
            _ => Err(wrong_type(&path)),
        }
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        self.read(name, |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// The text under the first of two names that is there.
    pub fn either_text(&mut self, name: &str, older: &str) -> Result<Option<String>, ApiError> {
        Ok(self.text(name)?.or(self.text(older)?))
    }

    pub fn number(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        self.read(name, |value| value.as_u64())
    }

    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.read(name, |value| value.as_bool())
    }

    pub fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        self.read(name, |value| match value {
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    pub fn object<T: FromFields>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let path = self.path_of(name);
        match self.raw(name) {
            Some(value) => Ok(Some(T::from_fields(Self::of(path, value)?)?)),
            None => Ok(None),
        }
    }

    pub fn objects<T: FromFields>(&mut self, name: &str) -> Result<Option<Vec<T>>, ApiError> {
        let path = self.path_of(name);
        let items = match self.raw(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wrong_type(&path)),
        };
        let read = |(index, item)| T::from_fields(Self::of(format!("{path}[{index}]"), item)?);
        items.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// A field as it is.
    pub fn raw(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// What nobody has taken.
    pub fn rest(self) -> Map<String, Value> {
        self.object
    }

    fn read<T>(
        &mut self,
        name: &str,
        as_type: impl Fn(Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        match self.raw(name) {
            Some(value) => as_type(value).map(Some).ok_or_else(|| wrong_type(&self.path_of(name))),
            None => Ok(None),
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

fn wrong_type(path: &str) -> ApiError {
    ApiError::bad_request(format!("body contains incorrect JSON type for field \"{path}\""))
}
