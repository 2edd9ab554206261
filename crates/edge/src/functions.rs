//! The functions of sources that take requests, run by the router: once for an event, before anybody's filter looks at it.

use std::borrow::Cow;

use inlet_gateway::made::{OfSource, body_input, failed, headers_input, made};
use inlet_gateway::parked::Lack;
use inlet_gateway::sql::{self, TRANSACTION_BYTES};
use inlet_gateway::transform::{Burnt, INPUT_MAX_BYTES, input_too_large};
use inlet_gateway::turns::Turns;
use inlet_gateway::wire::{Body, Envelope, Meta};
use worker::Result;

use crate::bindings::Bindings;
use crate::bodies::{self, Asker, Found, no_room, unavailable};
use crate::transform;

/// The functions of some events' sources. `stopped`: the event on which a function was stopped last, and what it lacks. No function
/// is run on that event a second time.
#[derive(Default)]
pub(crate) struct Functions {
    own: Vec<OfSource>,
    stopped: Option<(String, Lack)>,
}

impl Functions {
    /// Those that are to be run on an event.
    fn of(&self, meta: &Meta) -> Option<&OfSource> {
        self.own.iter().find(|own| {
            meta.has_functions
                && own.project_id == meta.project_id
                && own.source_id == meta.source_id
        })
    }

    /// Whether an event has to come again, because functions have `burnt` what there is for them in this invocation.
    pub(crate) fn are_spent(&self, meta: &Meta, burnt: &Burnt) -> bool {
        burnt.is_all() && self.of(meta).is_some()
    }
}

/// The functions of the sources of events.
pub(crate) async fn of(envelopes: &[Envelope], bindings: &Bindings) -> Result<Functions> {
    let mut sources: Vec<(&str, &str)> = envelopes
        .iter()
        .filter(|one| one.meta.has_functions)
        .map(|one| (one.meta.project_id.as_str(), one.meta.source_id.as_str()))
        .collect();
    if sources.is_empty() {
        return Ok(Functions::default());
    }
    sources.sort_unstable();
    sources.dedup();
    let own = bindings.db()?.rows(&sql::functions_of(&sources)).await?;
    Ok(Functions { own, stopped: None })
}

/// Runs the functions of the events' sources, from the first event on, until one transaction is full, the functions have used
/// as much fuel as one run may, or an event lacks something. An event whose function failed comes back with its fault, and goes
/// to nobody. `Err`: what the first event lacks.
pub(crate) async fn apply<'e>(
    envelopes: &'e [Envelope],
    functions: &mut Functions,
    turns: &Turns,
    until_ms: u64,
    bindings: &Bindings,
) -> std::result::Result<Cow<'e, [Envelope]>, Lack> {
    if functions.own.is_empty() {
        return Ok(Cow::Borrowed(envelopes));
    }
    let mut all = Vec::with_capacity(envelopes.len());
    let (mut bytes, burnt) = (0, bindings.burnt.fuel());
    for envelope in envelopes {
        let meta = &envelope.meta;
        let own = functions.of(meta);
        let stopped = functions.stopped.as_ref().filter(|(id, _)| *id == meta.event_id);
        let one = match (own, stopped) {
            (None, _) => Ok(envelope.clone()),
            (Some(_), Some((_, lack))) => Err(lack.clone()),
            (Some(_), None) if turns.is_passed_over(meta) => Err(passed_over()),
            (Some(own), None) => {
                // Only the first waits for memory: the others go without it.
                let until_ms = if all.is_empty() { until_ms } else { 0 };
                let asker = Asker::router(&meta.project_id, until_ms);
                run(envelope, own, turns.waited(meta).is_some(), &asker, bindings).await
            }
        };
        let one = match one {
            Ok(one) => one,
            Err(lack) if all.is_empty() => return Err(lack),
            Err(lack) => {
                if matches!(lack, Lack::Stopped(_)) {
                    functions.stopped = Some((meta.event_id.clone(), lack));
                }
                break;
            }
        };
        bytes += one.weight();
        if !all.is_empty() && TRANSACTION_BYTES < bytes {
            break;
        }
        all.push(one);
        if bindings.burnt.fills_transaction(burnt) {
            break;
        }
    }
    Ok(Cow::Owned(all))
}

async fn run(
    envelope: &Envelope,
    own: &OfSource,
    is_again: bool,
    asker: &Asker,
    bindings: &Bindings,
) -> std::result::Result<Envelope, Lack> {
    let (mut body, burnt) = (None, &*bindings.burnt);
    if !own.body.is_empty() {
        let input = match input(envelope, asker, bindings).await? {
            Ok(input) => input,
            Err(why) => return Ok(failed(envelope, "body", &why)),
        };
        match transform::run(burnt, &own.source_id, &own.body, &input, is_again).await? {
            Ok(ran) => body = Some(ran.output),
            Err(fault) => return Ok(failed(envelope, "body", &fault.message)),
        }
    }
    let mut headers = None;
    if !own.header.is_empty() {
        let input = headers_input(&envelope.meta);
        match transform::run(burnt, &own.source_id, &own.header, &input, is_again).await? {
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
    asker: &Asker,
    bindings: &Bindings,
) -> std::result::Result<std::result::Result<String, String>, Lack> {
    let key = match &envelope.body {
        Body::Inline(bytes) => return Ok(body_input(envelope.meta.content_type.as_deref(), bytes)),
        Body::Stored { key, .. } => key,
    };
    let most = INPUT_MAX_BYTES as u64;
    match bodies::find(key, most, asker, bindings).await.map_err(unavailable)? {
        Found::Bytes(bytes, _loan) => Ok(body_input(envelope.meta.content_type.as_deref(), &bytes)),
        Found::TooLarge(_) => Ok(Err(input_too_large())),
        Found::NoRoom => Err(unavailable(no_room())),
        Found::Gone => Err(Lack::Gone),
    }
}

/// What an event lacks that others of its source are in the way of.
fn passed_over() -> Lack {
    Lack::Turn("the source's function was stopped on another event just now".to_owned(), 0)
}
