//! The functions of sources that take requests, run by the router: once for an event, before anybody's filter looks at it.

use std::borrow::Cow;

use inlet_gateway::made::{OfSource, body_input, failed, headers_input, made};
use inlet_gateway::sql::{self, TRANSACTION_BYTES};
use inlet_gateway::transform::INPUT_MAX_BYTES;
use inlet_gateway::wire::{Body, Envelope};
use worker::Result;

use crate::bindings::Bindings;
use crate::{body, chance, transform};

/// How long a batch waits for memory for the bodies that functions read.
const BODIES_WAIT_MS: u64 = 10_000;

/// The events as their functions make them: as many of them, from the first, as one transaction carries. One that a function
/// fails on says so, and goes to nobody. An error is ours, and all of them wait.
pub(crate) async fn apply<'e>(
    envelopes: &'e [Envelope],
    bindings: &Bindings,
) -> Result<Cow<'e, [Envelope]>> {
    let mut sources: Vec<(&str, &str)> = envelopes
        .iter()
        .filter(|one| one.meta.has_functions)
        .map(|one| (one.meta.project_id.as_str(), one.meta.source_id.as_str()))
        .collect();
    if sources.is_empty() {
        return Ok(Cow::Borrowed(envelopes));
    }
    sources.sort_unstable();
    sources.dedup();
    let functions: Vec<OfSource> = bindings.db()?.rows(&sql::functions_of(&sources)).await?;
    let mut all = Vec::with_capacity(envelopes.len());
    let mut bytes = 0;
    for envelope in envelopes {
        let meta = &envelope.meta;
        let own = functions.iter().find(|own| {
            meta.has_functions
                && own.project_id == meta.project_id
                && own.source_id == meta.source_id
        });
        let one = match own {
            Some(own) => run(envelope, own, bindings).await?,
            None => envelope.clone(),
        };
        bytes += one.weight();
        if !all.is_empty() && TRANSACTION_BYTES < bytes {
            break;
        }
        all.push(one);
    }
    Ok(Cow::Owned(all))
}

async fn run(envelope: &Envelope, own: &OfSource, bindings: &Bindings) -> Result<Envelope> {
    let mut body = None;
    if !own.body.is_empty() {
        let input = match input(envelope, bindings).await? {
            Ok(input) => input,
            Err(why) => return Ok(failed(envelope, "body", &why)),
        };
        match transform::run(&own.body, &input).await? {
            Ok(ran) => body = Some(ran.output),
            Err(fault) => return Ok(failed(envelope, "body", &fault.message)),
        }
    }
    let mut headers = None;
    if !own.header.is_empty() {
        match transform::run(&own.header, &headers_input(&envelope.meta)).await? {
            Ok(ran) => headers = Some(ran.output),
            Err(fault) => return Ok(failed(envelope, "header", &fault.message)),
        }
    }
    let made = made(envelope, body, headers.as_deref());
    Ok(made.unwrap_or_else(|why| failed(envelope, "header", &why)))
}

/// What the body function is given, or why it cannot be.
async fn input(
    envelope: &Envelope,
    bindings: &Bindings,
) -> Result<std::result::Result<String, String>> {
    let key = match &envelope.body {
        Body::Inline(bytes) => return Ok(body_input(&envelope.meta, bytes)),
        Body::Stored { key, .. } => key,
    };
    let Some(object) = bindings.bodies()?.get(key).execute().await? else {
        return Ok(Err("the event's body is gone from the store".into()));
    };
    if INPUT_MAX_BYTES as u64 <= object.size() {
        return Ok(Err(format!(
            "the payload is larger than {INPUT_MAX_BYTES} bytes, which is all that a function takes"
        )));
    }
    let share = body::share_until(object.size(), chance::now_ms() + BODIES_WAIT_MS).await;
    let Some(_share) = share else {
        return Err(worker::Error::RustError("no memory for the bodies right now".into()));
    };
    match object.body() {
        Some(body) => Ok(body_input(&envelope.meta, &body.bytes().await?)),
        None => Ok(Err("the event's body is gone from the store".into())),
    }
}
