//! What is answered without a key.

use inlet_gateway::payload::query_value;
use inlet_gateway::providers;
use inlet_gateway::vault::VaultError;

use super::*;
use crate::patience::{ANSWER_WITHIN_MS, ask_all};
use crate::{backlog, key_check};

/// The catalogue of providers: the same for everybody, so it needs no key.
pub(crate) fn providers(query: &str, name: Option<&str>) -> Reply {
    match name {
        None => {
            let search = query_value(query, "q").unwrap_or_default();
            reply(&Answer::ok(200, "Providers fetched successfully", providers::list(&search)))
        }
        Some(name) => match providers::get(name) {
            Some(row) => reply(&Answer::ok(200, "Provider fetched successfully", row)),
            None => reply(&ApiError::not_found("provider not found").answer()),
        },
    }
}

/// `GET /healthz`: whether this Worker could take an event in, as it is configured.
pub(crate) async fn health(bindings: &Bindings) -> Reply {
    let key = match bindings.vault() {
        Ok(_) if key_check::fits(bindings).await == Some(false) => Some(VaultError::DoesNotOpen),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    let version = concat!("Inlet ", env!("CARGO_PKG_VERSION"));
    reply(&inlet_gateway::key_check::health(version, &bindings.faults, key.as_ref()))
}

/// `GET /healthz/events`: whether what is durable goes on.
pub(crate) async fn health_of_events(bindings: &Bindings) -> Reply {
    let now = now_ms();
    let shards = backlog::shards(now, bindings).await;
    let look = |shard| backlog::oldest_of_all(shard, now, bindings);
    let shards = ask_all(shards, (ANSWER_WITHIN_MS, "backlog_unreadable"), look).await;
    reply(&inlet_gateway::backlog::answer(&shards, now))
}

/// No such call.
pub(crate) fn no_call(allow: Option<&'static str>) -> Reply {
    match allow {
        None => reply(&ApiError::not_found("Resource not found").answer()),
        Some(allow) => {
            let mut reply = reply(&ApiError::no_method(allow).answer());
            reply.headers.push(("allow".into(), allow.to_owned()));
            reply
        }
    }
}
