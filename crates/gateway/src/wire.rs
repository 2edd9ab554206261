//! The envelope: an accepted event on its way, on a queue or in the journal.
//!
//! A format that another version of the Worker reads is a promise. The first byte names the version;
//! a new version decodes the one before it, because a deploy finds messages of the old one waiting. A Worker that is put back
//! finds those of the new one, and what it cannot read becomes a dead letter: so a form is read first, and written by the next version.

mod packs;

pub use packs::{Message, Pack};

use std::borrow::Cow;

use crate::json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Bodies longer than this travel through R2; the envelope then carries the object's key.
/// A queue message holds 128,000 bytes, and the headers need their share.
pub const INLINE_BODY_MAX_BYTES: usize = 120_000;
/// The largest envelope a queue takes: 128,000 bytes less what Cloudflare adds.
pub const ENVELOPE_MAX_BYTES: usize = 127_000;

/// The most bytes of all that an envelope carries beside the body, as it is written.
pub(crate) const META_MAX_BYTES: usize = 100 * 1024;
const VERSION: u8 = 1;
/// The first byte of a message of many envelopes: after it each of them, as it is alone, behind its length (4 bytes, little
/// endian). [`Message`] writes it, and `js/queue.mjs` of the edge. Its events may be of many projects, so whoever cannot read it
/// must not be asked to: a next form of it is read by one version before the next one writes it.
const MANY: u8 = 2;

/// The dedup claim that the router makes for an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Lower-case hex of SHA-256 over the length-framed parts.
    #[serde(rename = "k")]
    pub key: String,
    /// How long the key stays claimed, from the event's arrival.
    #[serde(rename = "w")]
    pub window_ms: u64,
    /// Among whose keys this one is: the event's source when there is none.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Whom an event is for, when its sender said so. Without a target it is for those who subscribed to its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// One endpoint, by its uid.
    #[serde(rename = "e")]
    Endpoint(String),
    /// The endpoint of a URL that the event named, by its uid: whatever types it is subscribed to.
    #[serde(rename = "u")]
    Url(String),
    /// All endpoints of an owner.
    #[serde(rename = "o")]
    Owner(String),
    /// Every subscription of the project.
    #[serde(rename = "a")]
    Everybody,
}

impl Target {
    /// The target as the API shows it.
    pub fn present(&self) -> serde_json::Value {
        match self {
            Self::Endpoint(id) => serde_json::json!({"type": "single", "endpoint_id": id}),
            Self::Url(id) => serde_json::json!({"type": "dynamic", "endpoint_id": id}),
            Self::Owner(id) => serde_json::json!({"type": "fanout", "owner_id": id}),
            Self::Everybody => serde_json::json!({"type": "broadcast"}),
        }
    }
}

/// What verification came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// `verified`, or `refused` where the source only observes.
    pub verdict: String,
    /// The label or uid of the secret that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Why it would have been refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The source was observing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
}

/// Where the bytes of an event are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Inline(Vec<u8>),
    /// An R2 object.
    Stored {
        key: String,
        len: u64,
    },
}

impl Body {
    /// Bytes of the body as it arrived.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stored { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An event between its acceptance and its place in the event store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub meta: Meta,
    pub body: Body,
}

/// All of an envelope but the body. The short names keep a queue message short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    #[serde(rename = "id")]
    pub event_id: String,
    #[serde(rename = "p")]
    pub project_id: String,
    #[serde(rename = "n")]
    pub shard: u32,
    #[serde(rename = "s")]
    pub source_id: String,
    #[serde(rename = "m")]
    pub mask_id: String,
    #[serde(rename = "t")]
    pub event_type: String,
    /// Unix milliseconds.
    #[serde(rename = "at")]
    pub received_at: u64,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(rename = "h", default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    #[serde(rename = "q", default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    #[serde(rename = "to", default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The id of the message that a broker delivered the event in.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub broker_message_id: Option<String>,
    /// What verification came to, where there was something to verify.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// What does not fit the JSON schema of a source that only warns.
    #[serde(rename = "x", default, skip_serializing_if = "Vec::is_empty")]
    pub schema_faults: Vec<String>,
    /// Whether the source had functions, which the router runs, when the event came in.
    #[serde(rename = "f", default, skip_serializing_if = "std::ops::Not::not")]
    pub has_functions: bool,
    /// What the event was before the functions of its source: see [`crate::made`].
    #[serde(skip)]
    pub arrived: Option<String>,
    /// Whether the row of the event holds what functions made before.
    #[serde(skip)]
    pub was_made: bool,
    /// Why a function of its source made nothing of it.
    #[serde(skip)]
    pub fault: Option<String>,
    /// Set when the envelope of a body that is an R2 object is encoded: its key and length.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(crate) stored: Option<(String, u64)>,
}

impl Meta {
    /// Among whose keys the event's claim is.
    pub fn claim_scope(&self) -> &str {
        let scope = self.claim.as_ref().and_then(|claim| claim.scope.as_deref());
        scope.unwrap_or(&self.source_id)
    }

    /// Until when the event's claim holds, in Unix milliseconds.
    pub fn claim_until(&self) -> Option<u64> {
        self.claim.as_ref().map(|claim| self.received_at.saturating_add(claim.window_ms))
    }

    /// What the event's row says of its verification, and of its JSON schema where that only warns.
    pub fn verification_json(&self) -> Option<String> {
        let mut shown = match &self.verification {
            Some(made) => serde_json::json!(made),
            None if self.schema_faults.is_empty() => return None,
            None => serde_json::json!({"verdict": "not_asked"}),
        };
        if let Some(fields) = shown.as_object_mut().filter(|_| !self.schema_faults.is_empty()) {
            fields.insert("schema_faults".into(), serde_json::json!(self.schema_faults));
        }
        Some(shown.to_string())
    }

    /// Whether the fields, as they are written, take at most `most` bytes. Nearly always that shows without writing them.
    pub fn fits(&self, most: usize) -> bool {
        self.encoded_len_max() <= most
            || serde_json::to_string(self).is_ok_and(|text| text.len() <= most)
    }

    /// No fewer bytes than the fields take as they are written: six for each byte of a text that may be long (`\u0000`), and
    /// enough for all others with their names.
    fn encoded_len_max(&self) -> usize {
        let long =
            [&self.event_type, &self.query, &self.project_id, &self.source_id, &self.mask_id];
        let long = long.into_iter().chain(&self.content_type).chain(&self.broker_message_id);
        let long = long.chain(self.claim.iter().filter_map(|claim| claim.scope.as_ref()));
        let texts = self
            .verification
            .iter()
            .flat_map(|made| [Some(&made.verdict), made.secret.as_ref(), made.reason.as_ref()]);
        let target = self.target.iter().map(|target| match target {
            Target::Endpoint(id) | Target::Url(id) | Target::Owner(id) => id.len(),
            Target::Everybody => 0,
        });
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 2);
        let faults = self.schema_faults.iter().map(|fault| fault.len() + 3);
        let bytes: usize = long
            .chain(texts.flatten())
            .map(String::len)
            .chain(target)
            .chain(headers)
            .chain(faults)
            .sum();
        1_024 + 6 * bytes
    }
}

/// Why bytes are no envelope. They go to the dead letters, as they are, with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEnvelope {
    #[error("the message is empty")]
    Empty,
    #[error("envelope version {0} is not known to this version of Inlet")]
    Version(u8),
    #[error("the envelope ends early")]
    Truncated,
    #[error("the envelope's fields are damaged: {0}")]
    Damaged(String),
}

impl Envelope {
    /// One version byte, the length of the fields (4 bytes, little endian), the fields as JSON, the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_head();
        bytes.extend(self.inline());
        bytes
    }

    /// As [`Envelope::encode`], all before the body: a caller that sends that after it need not copy it here.
    pub fn encode_head(&self) -> Vec<u8> {
        let meta = self.meta_json();
        let meta_len = u32::try_from(meta.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(5 + meta.len());
        bytes.push(VERSION);
        bytes.extend(meta_len.to_le_bytes());
        bytes.extend(meta.as_bytes());
        bytes
    }

    /// Reads what [`Envelope::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAnEnvelope> {
        let (version, rest) = bytes.split_first().ok_or(NotAnEnvelope::Empty)?;
        if *version != VERSION {
            return Err(NotAnEnvelope::Version(*version));
        }
        let (len, rest) = rest.split_first_chunk::<4>().ok_or(NotAnEnvelope::Truncated)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let (meta, body) = rest.split_at_checked(len).ok_or(NotAnEnvelope::Truncated)?;
        Self::from_parts(meta, body.to_vec())
    }

    /// Reads a message of the queue, which holds what [`Envelope::encode`] wrote, or many of that. What cannot be read does not keep
    /// the others from it; it comes with its own bytes.
    pub fn of_message(bytes: &[u8]) -> Vec<Result<Self, (NotAnEnvelope, &[u8])>> {
        let one = |bytes| Self::decode(bytes).map_err(|why| (why, bytes));
        let Some((&MANY, mut rest)) = bytes.split_first() else { return vec![one(bytes)] };
        let mut envelopes = Vec::new();
        while let Some((len, others)) = rest.split_first_chunk::<4>() {
            let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
            let Some((bytes, others)) = others.split_at_checked(len) else { break };
            envelopes.push(one(bytes));
            rest = others;
        }
        if !rest.is_empty() || envelopes.is_empty() {
            envelopes.push(Err((NotAnEnvelope::Truncated, rest)));
        }
        envelopes
    }

    /// The row of the journal: the fields, and the body as text.
    pub fn to_row(&self) -> (String, Text<'_>) {
        (self.meta_json(), Text::from_bytes(self.inline()))
    }

    /// Reads a row of the journal, which holds one envelope or [many](Pack).
    pub fn from_row(meta: &str, text: &Text<'_>) -> Result<Vec<Self>, NotAnEnvelope> {
        let body = text.to_bytes().ok_or_else(|| NotAnEnvelope::Damaged("body".into()))?;
        if !meta.starts_with('[') {
            return Ok(vec![Self::from_parts(meta.as_bytes(), body)?]);
        }
        let damaged = |error: serde_json::Error| NotAnEnvelope::Damaged(error.to_string());
        let metas: Vec<(usize, Meta)> = json::read(meta).map_err(damaged)?;
        let mut rest = body.as_slice();
        let mut envelopes = Vec::with_capacity(metas.len());
        for (len, meta) in metas {
            let (body, others) = rest.split_at_checked(len).ok_or(NotAnEnvelope::Truncated)?;
            rest = others;
            envelopes.push(Self::of(meta, body.to_vec()));
        }
        Ok(envelopes)
    }

    /// The envelopes of a row, each as far as it can be read, as of a [message](Self::of_message): what cannot be read keeps the
    /// others from nothing, and comes with why, and with the bytes that stand there of it.
    pub fn each_of_row(meta: &str, text: &Text<'_>) -> Vec<Result<Self, (NotAnEnvelope, Vec<u8>)>> {
        let why = match Self::from_row(meta, text) {
            Ok(all) => return all.into_iter().map(Ok).collect(),
            Err(why) => why,
        };
        let metas = serde_json::from_str::<Vec<(usize, &RawValue)>>(meta);
        let (Ok(metas), Some(body)) = (metas, text.to_bytes()) else {
            return vec![Err((why, format!("{meta}\n{}", text.text).into_bytes()))];
        };
        let mut rest = body.as_slice();
        let each = metas.into_iter().map(|(len, meta)| {
            let meta = meta.get().as_bytes();
            let Some((body, others)) = rest.split_at_checked(len) else {
                return Err((NotAnEnvelope::Truncated, meta.to_vec()));
            };
            rest = others;
            let damaged = |why| (why, [meta, b"\n", body].concat());
            Self::from_parts(meta, body.to_vec()).map_err(damaged)
        });
        each.collect()
    }

    fn from_parts(meta: &[u8], body: Vec<u8>) -> Result<Self, NotAnEnvelope> {
        let meta: Meta =
            json::read_bytes(meta).map_err(|error| NotAnEnvelope::Damaged(error.to_string()))?;
        Ok(Self::of(meta, body))
    }

    fn of(mut meta: Meta, body: Vec<u8>) -> Self {
        let body = match meta.stored.take() {
            Some((key, len)) => Body::Stored { key, len },
            None => Body::Inline(body),
        };
        Self { meta, body }
    }

    /// The bytes that come after the head: none when the body is in R2.
    pub fn inline(&self) -> &[u8] {
        match &self.body {
            Body::Inline(bytes) => bytes,
            Body::Stored { .. } => &[],
        }
    }

    fn meta_json(&self) -> String {
        let json = match &self.body {
            // Most bodies are inline, and then nothing has to be added.
            Body::Inline(_) => serde_json::to_string(&self.meta),
            Body::Stored { key, len } => {
                let stored = Some((key.clone(), *len));
                serde_json::to_string(&Meta { stored, ..self.meta.clone() })
            }
        };
        json.unwrap_or_default()
    }

    /// Whether the encoded envelope takes at most `most` bytes.
    pub fn fits(&self, most: usize) -> bool {
        let rest = most.checked_sub(5 + self.inline().len());
        rest.is_some_and(|rest| self.meta.fits(rest))
    }

    /// About as many bytes as the envelope takes in memory.
    pub fn weight(&self) -> u64 {
        let headers: usize =
            self.meta.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let body = if let Body::Inline(body) = &self.body { body.len() } else { 0 };
        let arrived = self.meta.arrived.as_ref().map_or(0, String::len);
        (headers + body + arrived + self.meta.query.len() + self.meta.event_type.len()) as u64
    }
}

/// Bytes in a D1 column. Text goes in as it is; what is not text, or holds a NUL (which ends a string
/// in places), goes in as base64. D1 hands a BLOB over as a list of numbers, 400 times slower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    pub text: Cow<'a, str>,
    pub is_base64: bool,
}

impl<'a> Text<'a> {
    /// The column of these bytes, borrowed where they are text as they are.
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Self { text: text.into(), is_base64: false },
            _ => Self { text: STANDARD.encode(bytes).into(), is_base64: true },
        }
    }

    /// The column of these bytes, which are not copied where they are text.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Self { text: text.into(), is_base64: false },
            Ok(text) => Self { text: STANDARD.encode(text).into(), is_base64: true },
            Err(error) => Self { text: STANDARD.encode(error.as_bytes()).into(), is_base64: true },
        }
    }

    /// `None` when the column was changed by somebody else and is not base64 any more.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        if self.is_base64 {
            STANDARD.decode(self.text.as_bytes()).ok()
        } else {
            Some(self.text.as_bytes().to_vec())
        }
    }
}

/// The R2 key of an event's body: by project and time, so that a project's old bodies list together.
pub fn body_key(project_id: &str, event_id: &str) -> String {
    format!("events/{project_id}/{event_id}")
}

#[cfg(test)]
pub(crate) mod tests;
