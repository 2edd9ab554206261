#![doc = include_str!("../README.md")]
#![allow(clippy::doc_markdown, reason = "the names of companies and standards are no code")]

pub mod catalogue;
mod challenge;
mod custom;
mod describe;
mod diagnose;
mod ed25519;
mod encoding;
mod engine;
mod handshake;
mod hash;
pub mod json;
mod jwt;
mod keys;
mod message;
mod multipart;
mod naming;
#[cfg(feature = "native-crypto")]
pub mod native;
mod nfkd;
mod place;
mod provider;
mod public;
mod refused;
mod request;
pub mod scheme;
mod secret;
mod step;
mod syntax;
mod time;
mod uri;
mod user;
mod verifier;
mod x509;
mod xml;

pub use describe::Description;
pub use diagnose::{BodyForm, DIAGNOSED_MAX_BYTES, Finding, Others, Query, SecretForm, diagnose};
pub use encoding::Encoding;
pub use handshake::{
    Acknowledgement, Handshake, Question, acknowledge, confirmation, handshake, observed_handshake,
};
pub use hash::{Hash, digest, hmac};
pub use naming::{MULTIPLE, event_parts, event_type};
pub use place::{Keys, Location, Place, extract, extract_each};
pub use provider::{Confidence, Provider, SecretRule};
pub use refused::Refused;
pub use request::{Headers, Request, UnixTime};
pub use scheme::Integrity;
pub use secret::Secret;
pub use step::{Answer, Mac, Outcome, Pending, SignatureAlgorithm, SignatureCheck, Step};
pub use user::{Scheme, SchemeError, SchemeSpec};
pub use verifier::{Policy, Verified, Verifier};
