//! The body of an API call, read field by field; a value of the wrong type is refused by the path of its field.
//!
//! Derived readers would do the same, but each of them brings its own copy of a JSON reader: together they were a tenth
//! of the Worker.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::api::{ApiError, asks_for_something};

/// Fields that name something: people read them in lists and logs, and some go out as headers.
const NAMES: [&str; 11] = [
    "name",
    "title",
    "label",
    "slug",
    "category",
    "tags",
    "owner_id",
    "event_type",
    "event_types",
    "companion",
    "app_id",
];

/// What a name must not hold, if it does: a line break or another control character, or a mark that turns the direction of the
/// text around it, so that people read another name than machines do.
pub fn line_fault(text: &str) -> Option<String> {
    let is_mark = |char: char| matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let at = text.chars().position(|char| char.is_control() || is_mark(char))?;
    let code = text.chars().nth(at).map_or(0, u32::from);
    Some(format!(
        "one line of text without control characters and marks of direction (character {} is U+{code:04X})",
        at + 1
    ))
}

/// Refuses a name that is no line of text.
pub fn check_line(field: &str, text: &str) -> Result<(), ApiError> {
    match line_fault(text) {
        None => Ok(()),
        Some(fault) => Err(ApiError::bad_request(format!("{field}:{fault}"))),
    }
}

/// The largest number of a field that may have any.
pub(crate) const ANY: u64 = i64::MAX as u64;

/// A type that the body of a call is read into.
pub trait FromFields: Sized {
    /// Whether it is always written by hand, and has no fields but those that are read: any other is a mistake, however it
    /// is spelt.
    const IS_CLOSED: bool = false;

    /// Takes out what is there. [`Fields::into_type`] calls it, and looks at what is left.
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError>;
}

/// A JSON object. Each field is taken out by the one who reads it; `null` is the same as absent.
#[derive(Debug)]
pub struct Fields {
    path: String,
    object: Map<String, Value>,
    /// The fields that were asked for, and whether they were there.
    asked: Vec<(String, bool)>,
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
                asked: Vec::new(),
                #[cfg(not(target_arch = "wasm32"))]
                recorder: None,
            }),
            _ if path.is_empty() => Err(ApiError::bad_request(
                "body contains incorrect JSON type: an object is expected",
            )),
            _ => Err(wrong_type(&path)),
        }
    }

    /// Reads all of it. What nobody has taken must be no slip: what it says would have no effect.
    pub fn into_type<T: FromFields>(mut self) -> Result<T, ApiError> {
        let read = T::from_fields(&mut self)?;
        self.check_spelling()?;
        if T::IS_CLOSED {
            self.check_all_taken()?;
        }
        Ok(read)
    }

    /// The text under `name`; `None` when it is absent. Refuses another type, and in a field that is a name what
    /// [`check_line`] refuses.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let text = self.any_text(name)?;
        self.check_name(name, text.as_slice())?;
        Ok(text)
    }

    /// The text under `name`, as [`Self::text`], but whatever it holds: for who says what is wrong with it in a way of its own.
    pub fn any_text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        self.read(name, Kind::Text, |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// The text under the first of two names that is there.
    pub fn either_text(&mut self, name: &str, older: &str) -> Result<Option<String>, ApiError> {
        Ok(self.text(name)?.or(self.text(older)?))
    }

    /// A whole number. `within` is what is said of one that is negative, too large or has a fraction; who reads it looks whether
    /// others fit.
    pub fn number(
        &mut self,
        name: &str,
        within: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        self.note(name, Kind::Number);
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| match value {
            Value::Number(_) => {
                let (least, most) = (within.start(), within.end());
                let path = self.path_of(name);
                ApiError::bad_request(format!(
                    "{path}:a whole number from {least} to {most}, in digits alone"
                ))
            }
            _ => wrong_type(&self.path_of(name)),
        })
    }

    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.read(name, Kind::Flag, |value| value.as_bool())
    }

    pub fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let texts = self.read(name, Kind::Texts, |value| match value {
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
            _ => None,
        })?;
        self.check_name(name, texts.as_deref().unwrap_or_default())?;
        Ok(texts)
    }

    fn check_name(&self, name: &str, texts: &[String]) -> Result<(), ApiError> {
        if NAMES.contains(&name) {
            let path = self.path_of(name);
            texts.iter().try_for_each(|text| check_line(&path, text))?;
        }
        Ok(())
    }

    pub fn object<T: FromFields>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some((of, recorder)) = &self.recorder {
            recorder.note_object::<T>(of, name, false);
        }
        let path = self.path_of(name);
        match self.take(name) {
            Some(value) => Ok(Some(Self::of(path, value)?.into_type()?)),
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
        let read = |(index, item)| Self::of(format!("{path}[{index}]"), item)?.into_type();
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

    /// Takes a field for absent that asks for nothing.
    pub fn drop_empty(&mut self, name: &str) {
        if self.object.get(name).is_some_and(|value| !asks_for_something(value)) {
            self.object.remove(name);
        }
    }

    /// A field as it is.
    pub fn raw(&mut self, name: &str) -> Option<Value> {
        self.note(name, Kind::Raw);
        self.take(name)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let taken = self.object.remove(name);
        self.asked.push((name.to_owned(), taken.is_some()));
        taken.filter(|value| !value.is_null())
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

    /// Refuses a field that nobody has taken and that is nearly one of those that were asked for and are not there. Others are
    /// let be, because clients send back what they were shown.
    pub fn check_spelling(&self) -> Result<(), ApiError> {
        let absent = || self.asked.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name);
        for given in self.object.keys() {
            if let Some(meant) = absent().find(|asked| is_slip(given, asked)) {
                let path = self.path_of(given);
                return Err(ApiError::bad_request(format!(
                    "{path}:unknown field: did you mean {meant}?"
                )));
            }
        }
        Ok(())
    }

    /// Refuses whatever nobody has taken, unless it asks for nothing.
    fn check_all_taken(&self) -> Result<(), ApiError> {
        let Some((given, _)) = self.object.iter().find(|(_, value)| asks_for_something(value))
        else {
            return Ok(());
        };
        let mut known: Vec<&str> = self.asked.iter().map(|(name, _)| name.as_str()).collect();
        known.sort_unstable();
        known.dedup();
        Err(ApiError::bad_request(format!(
            "{}:unknown field: what is read here is {}",
            self.path_of(given),
            known.join(", ")
        )))
    }

    /// What nobody has taken, when nothing of it is a slip.
    pub fn checked_rest(&mut self) -> Result<Map<String, Value>, ApiError> {
        self.check_spelling()?;
        Ok(self.rest())
    }

    /// What nobody has taken.
    pub fn rest(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.object)
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

/// What answers show and nobody reads: no slips, although they look like some.
const SHOWN: &[&str] = &["secrets"];

/// Whether `given` is `meant` with other separators or case, or with a letter or two wrong.
fn is_slip(given: &str, meant: &str) -> bool {
    let plain = |name: &str| name.replace(['_', '-', ' '], "").to_ascii_lowercase().into_bytes();
    let (given_plain, meant_plain) = (plain(given), plain(meant));
    let most = match meant_plain.len() {
        0..=3 => 0,
        4..=8 => 1,
        _ => 2,
    };
    !SHOWN.contains(&given)
        && given_plain.len().abs_diff(meant_plain.len()) <= most
        && slips(&given_plain, &meant_plain, most)
}

/// Whether `most` letters that are wrong, missing, too many or swapped lie between two names.
fn slips(a: &[u8], b: &[u8], most: usize) -> bool {
    match (a, b) {
        ([x, a @ ..], [y, b @ ..]) if x == y => slips(a, b, most),
        ([], []) => true,
        _ if most == 0 => false,
        _ => {
            let (a_next, b_next) = (a.get(1..), b.get(1..));
            let swapped = matches!((a, b), ([one, two, ..], [first, second, ..]) if (one, two) == (second, first))
                && slips(a.get(2..).unwrap_or_default(), b.get(2..).unwrap_or_default(), most - 1);
            swapped
                || a_next.is_some_and(|a_next| slips(a_next, b, most - 1))
                || b_next.is_some_and(|b_next| slips(a, b_next, most - 1))
                || a_next.zip(b_next).is_some_and(|(a, b)| slips(a, b, most - 1))
        }
    }
}

fn wrong_type(path: &str) -> ApiError {
    ApiError::bad_request(format!("body contains incorrect JSON type for field \"{path}\""))
}

#[cfg(test)]
mod tests;
