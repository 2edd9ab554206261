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
    /// Set when nothing is read, and only noted what would be: for the document of the API.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) recorder: Option<(&'static str, crate::document::Recorder)>,
}

/// What a field is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Flag,
    Texts,
    /// Any JSON: who reads it says more.
    Raw,
}

impl Fields {
    /// The fields of the object at `path`, which is empty for the body itself.
    pub fn of(path: String, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(object) => Ok(Self {
                path,
                object,
                #[cfg(not(target_arch = "wasm32"))]
                recorder: None,
            }),
            _ if path.is_empty() => Err(ApiError::bad_request(
                "body contains incorrect JSON type: an object is expected",
            )),
            _ => Err(wrong_type(&path)),
        }
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        self.read(name, Kind::Text, |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// The text under the first of two names that is there.
    pub fn either_text(&mut self, name: &str, older: &str) -> Result<Option<String>, ApiError> {
        Ok(self.text(name)?.or(self.text(older)?))
    }

    pub fn number(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        self.read(name, Kind::Number, |value| value.as_u64())
    }

    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.read(name, Kind::Flag, |value| value.as_bool())
    }

    pub fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        self.read(name, Kind::Texts, |value| match value {
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
        #[cfg(not(target_arch = "wasm32"))]
        if let Some((of, recorder)) = &self.recorder {
            recorder.note_object::<T>(of, name, false);
        }
        let path = self.path_of(name);
        match self.take(name) {
            Some(value) => Ok(Some(T::from_fields(Self::of(path, value)?)?)),
            None => Ok(None),
        }
    }

    pub fn objects<T: FromFields>(&mut self, name: &str) -> Result<Option<Vec<T>>, ApiError> {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some((of, recorder)) = &self.recorder {
            recorder.note_object::<T>(of, name, true);
        }
        let path = self.path_of(name);
        let items = match self.take(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wrong_type(&path)),
        };
        let read = |(index, item)| T::from_fields(Self::of(format!("{path}[{index}]"), item)?);
        items.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// An object of any fields.
    pub fn map(&mut self, name: &str) -> Result<Option<Map<String, Value>>, ApiError> {
        self.read(name, Kind::Raw, |value| match value {
            Value::Object(fields) => Some(fields),
            _ => None,
        })
    }

    /// Whether a field is there and `null`.
    pub fn is_null(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(Value::is_null)
    }

    /// A field as it is.
    pub fn raw(&mut self, name: &str) -> Option<Value> {
        self.note(name, Kind::Raw);
        self.take(name)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn note(&self, name: &str, kind: Kind) {
        if let Some((of, recorder)) = &self.recorder {
            recorder.note(of, name, kind);
        }
    }

    #[cfg(target_arch = "wasm32")]
    #[expect(clippy::unused_self, reason = "only the document of the API notes anything")]
    fn note(&self, _name: &str, _kind: Kind) {}

    /// What nobody has taken.
    pub fn rest(self) -> Map<String, Value> {
        self.object
    }

    fn read<T>(
        &mut self,
        name: &str,
        kind: Kind,
        as_type: impl Fn(Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        self.note(name, kind);
        match self.take(name) {
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
