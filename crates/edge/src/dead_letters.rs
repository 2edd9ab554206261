//! Keeping what is given up.

use inlet_gateway::dead_letter::DeadLetter;
use inlet_gateway::sql;
use serde::Deserialize;
use serde_json::{Value, json};
use worker::Result;

use crate::bindings::Bindings;
use crate::log;
use crate::patience::{DATABASE, PUT_WITHIN_MS, STORE, WRITE_WITHIN_MS, in_time};

#[derive(Deserialize)]
struct Kept {
    id: String,
    source_id: String,
    broker_message_id: Option<String>,
}

/// Keeps dead letters, large payloads in R2 first, and says under which ids: that of an earlier one where the same was
/// given up before.
pub(crate) async fn keep(
    letters: &[DeadLetter],
    shard: u32,
    bindings: &Bindings,
) -> Result<Vec<String>> {
    let events = bindings.events(shard)?;
    let mut ids: Vec<String> = letters.iter().map(|letter| letter.id.clone()).collect();
    let mut rest = letters.iter().zip(&mut ids).peekable();
    while rest.peek().is_some() {
        let (mut rows, mut places, mut bytes) = (Vec::<Value>::new(), Vec::new(), 0);
        while let Some((letter, id)) = rest.next_if(|(letter, _)| {
            rows.is_empty() || bytes + letter.weight() <= sql::PARAM_MAX_BYTES
        }) {
            if let Some((key, payload)) = letter.object() {
                let put = async { bindings.bodies()?.put(key, payload.to_vec()).execute().await };
                in_time(STORE, PUT_WITHIN_MS, put).await?;
            }
            bytes += letter.weight();
            rows.push(letter.row());
            places.push((letter, id));
        }
        let insert = sql::insert_dead_letters(json!(rows));
        let kept: Vec<Kept> = in_time(DATABASE, WRITE_WITHIN_MS, events.rows(&insert)).await?;
        for (letter, id) in places {
            // The reason is for the API: it may quote what came.
            let fields = json!({"id": id, "kind": letter.kind, "source_id": letter.source_id});
            log::error("dead_letter", fields);
            let earlier = kept.iter().find(|kept| {
                letter.is_kept_as(&kept.id, &kept.source_id, kept.broker_message_id.as_deref())
            });
            if let Some(earlier) = earlier.filter(|earlier| earlier.id != letter.id) {
                id.clone_from(&earlier.id);
                // No row names it.
                if let Some((key, _)) = letter.object() {
                    bindings.bodies()?.delete(key).await.ok();
                }
            }
        }
    }
    Ok(ids)
}
