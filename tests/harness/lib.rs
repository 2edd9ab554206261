//! The Worker as others see it: a gateway in workerd, endpoints that record what reaches them, and
//! the calls that users make. A test reads like the story it checks:
//!
//! ```no_run
//! use inlet_tests::{Endpoint, Gateway};
//! use serde_json::json;
//!
//! let gateway = Gateway::builder().durability("journal").start();
//! let endpoint = Endpoint::ok();
//! let project = gateway.project();
//! let source = project.source(json!({"name": "any", "type": "http", "verifier": {"type": "noop"}}));
//! project.route(&source, &endpoint);
//! project.ingest(&source, b"{}").expect(200);
//! endpoint.wait_for(1);
//! ```
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test harness fails by panicking, and says so on stderr"
)]

mod batch;
mod client;
mod documented;
mod endpoint;
mod gateway;
mod poll;
mod project;
mod wire;

pub use batch::{BrokerMessage, Companion, framed};
pub use client::{Call, Connection, Reply};
pub use endpoint::{Answer, Endpoint, Received};
pub use gateway::{Builder, ENCRYPTION_KEY, Gateway, ROOT_KEY, repository, scratch_folder, shard};
pub use poll::{DEADLINE, poll_until, poll_until_within};
pub use project::{Project, source_path, uid};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};

/// HMAC-SHA256, as raw bytes.
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// HMAC-SHA512, as raw bytes.
pub fn hmac_sha512(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha512>::new_from_slice(key).expect("any length is a key");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// What GitHub writes into `X-Hub-Signature-256`.
pub fn github_signature(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(hmac_sha256(secret.as_bytes(), body)))
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn unbase64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}
