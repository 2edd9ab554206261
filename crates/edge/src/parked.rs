//! Events that lack something to be routed: parked, so that nobody waits behind them, and tried again by the sweep.

use inlet_gateway::parked::Waited;
use inlet_gateway::sql;
use inlet_gateway::turns::Turns;
use inlet_gateway::wire::{Envelope, Text};
use serde::Deserialize;
use serde_json::json;
use worker::Result;

use crate::bindings::Bindings;
use crate::{chance, router};

const PLACE: &str = "table of parked events";
/// Bulks of parked events that one sweep takes, as long as some of them go on.
const ROUNDS_MAX: usize = 20;

/// Parks an event: for this reason, until then. When this has run, it is durable here.
pub(crate) async fn park(
    envelope: &Envelope,
    waited: Waited,
    until: (&str, u64),
    bindings: &Bindings,
) -> Result<()> {
    let (meta, body) = envelope.to_row();
    let of = &envelope.meta;
    let of = (of.project_id.as_str(), of.event_id.as_str(), of.source_id.as_str());
    let statement = sql::park_event(of, meta, (body.text, body.is_base64), waited, until);
    bindings.events(envelope.meta.shard)?.run(&statement).await
}

#[derive(Deserialize)]
struct Row {
    project_id: String,
    event_id: String,
    meta: String,
    body: String,
    is_base64: u8,
    tries: u32,
    gone: u32,
    since: u64,
}

/// Routes what is due again, until nothing is, or until none of a bulk goes on. Where a function is stopped, other sources' events
/// go first.
pub(crate) async fn route_due(shard: u32, bindings: &Bindings) -> Result<()> {
    let events = bindings.events(shard)?;
    let mut turns = Turns::default();
    for _ in bindings.rounds(ROUNDS_MAX) {
        if bindings.burnt.is_all() {
            break;
        }
        let due = sql::parked_due(chance::now_ms(), turns.passed_over());
        let rows: Vec<Row> = events.rows(&due).await?;
        if rows.is_empty() {
            if turns.take_back() {
                continue;
            }
            break;
        }
        turns.begin();
        let mut envelopes = Vec::with_capacity(rows.len());
        let mut settled: Vec<(String, String, u32)> = Vec::new();
        for row in rows {
            let text = Text { text: row.body.into(), is_base64: row.is_base64 != 0 };
            match Envelope::from_row(&row.meta, &text) {
                Ok(some) => {
                    let waited = Waited { tries: row.tries, gone: row.gone, since: row.since };
                    for one in &some {
                        turns.take(&one.meta, waited);
                    }
                    envelopes.extend(some);
                }
                Err(error) => {
                    let payload = format!("{}\n{}", row.meta, text.text);
                    let at = (PLACE, &*format!("{}/{}", row.project_id, row.event_id));
                    router::bury(at, &error.to_string(), payload.as_bytes(), bindings).await?;
                    settled.push((row.project_id, row.event_id, row.tries));
                }
            }
        }
        let done = router::store_all(shard, &envelopes, &mut turns, None, bindings).await;
        settled.extend(envelopes.into_iter().zip(done).filter_map(|(envelope, done)| {
            let meta = envelope.meta;
            let waited = turns.settled(&meta).filter(|_| done)?;
            Some((meta.project_id, meta.event_id, waited.tries))
        }));
        // What was parked once more has another number of tries, and stays.
        let went_on = !settled.is_empty() && events.has(&sql::unpark(json!(settled))).await?;
        if !turns.goes_on(went_on) {
            break;
        }
    }
    Ok(())
}
