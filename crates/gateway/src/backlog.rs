//! How long what is durable has waited to go on, and from when on that is somebody's business.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Answer;

/// How long events may wait to be routed before companions are asked to wait, too: a broker is a better place for it.
const COMPANIONS_WAIT_MS: u64 = 30_000;
/// How long events may wait to be routed before the shard is said to stand still.
const EVENTS_MAX_MS: u64 = 120_000;
/// How long deliveries may wait past the time at which the sweep looks at them. It comes every minute.
const DELIVERIES_MAX_MS: u64 = 300_000;

/// What the runtime says of a queue.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Queued {
    /// How many messages wait.
    pub count: Option<f64>,
    /// When the oldest of them was sent, in milliseconds since 1970.
    pub oldest_at: Option<f64>,
}

impl Queued {
    /// Since when the oldest message waits. `None`: there is none, or it is not known.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time, above 0")]
    pub fn since(self) -> Option<u64> {
        let oldest_at = self.oldest_at.filter(|at| 0.0 < *at)?;
        (self.count != Some(0.0)).then_some(oldest_at as u64)
    }
}

/// What waits longest in a shard, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
pub struct Oldest {
    /// When the oldest event arrived that waits in a journal.
    pub event_at: Option<u64>,
    /// When the oldest message came that waits in the ingest queue, where that was asked and can be told.
    #[serde(default)]
    pub queued_at: Option<u64>,
    /// When the oldest event was parked because it lacks something.
    pub parked_at: Option<u64>,
    /// When the sweep was due to look after a delivery.
    pub look_at: Option<u64>,
    /// Since when the oldest delivery that could be made waits to be taken up, as far as it was asked.
    #[serde(default)]
    pub due_at: Option<u64>,
}

/// For how long what has waited since `at` has done so.
fn waits_ms(at: Option<u64>, now_ms: u64) -> u64 {
    at.map_or(0, |at| now_ms.saturating_sub(at))
}

impl Oldest {
    pub(crate) fn event_waits_ms(self, now_ms: u64) -> u64 {
        waits_ms(self.event_at, now_ms).max(waits_ms(self.queued_at, now_ms))
    }

    pub(crate) fn delivery_waits_ms(self, now_ms: u64) -> u64 {
        waits_ms(self.look_at, now_ms)
    }

    /// For how many seconds the oldest event has waited, when companions should hand in no more. That is the journal's, which
    /// goes on in its order: of a queue one message may fail for an hour while all others go on.
    pub fn holds_companions(self, now_ms: u64) -> Option<u64> {
        let waits = waits_ms(self.event_at, now_ms);
        (COMPANIONS_WAIT_MS < waits).then_some(waits / 1000)
    }

    fn is_stuck(self, now_ms: u64) -> bool {
        EVENTS_MAX_MS < self.event_waits_ms(now_ms)
            || DELIVERIES_MAX_MS < self.delivery_waits_ms(now_ms)
    }
}

/// The answer of `GET /healthz/events`: 200 while what is durable goes on in all shards, else 503. A shard that could not be
/// read is `None`. What waits in a queue of deliveries or of dead letters cannot be seen from here: Cloudflare's metrics show it.
pub fn answer(shards: &[(u32, Option<Oldest>)], now_ms: u64) -> Answer {
    let shown: Vec<Value> = shards
        .iter()
        .map(|(shard, oldest)| {
            let state = match oldest {
                None => "unreadable",
                Some(oldest) if oldest.is_stuck(now_ms) => "waiting",
                Some(_) => "ok",
            };
            json!({
                "shard": shard,
                "state": state,
                "events_wait_ms": oldest.map(|oldest| oldest.event_waits_ms(now_ms)),
                // One source's function that rests is enough for it, so it says nothing about the shard.
                "set_aside_wait_ms": oldest.map(|oldest| waits_ms(oldest.parked_at, now_ms)),
                "deliveries_wait_ms": oldest.map(|oldest| {
                    oldest.delivery_waits_ms(now_ms).max(waits_ms(oldest.due_at, now_ms))
                }),
            })
        })
        .collect();
    let is_well = shown.iter().all(|shard| shard["state"] == "ok");
    let data = json!({"shards": shown});
    if is_well {
        return Answer::ok(200, "What is durable goes on", data);
    }
    let text = "events or deliveries wait, or a shard cannot be read: see `shards`, and the log for `not_drained`, `not_routed_yet` and `not_swept`";
    let body = json!({"status": false, "message": text, "data": data});
    Answer { status: 503, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_does_not_say_what_waits_in_it_raises_no_alarm() {
        let since = |count, oldest_at| Queued { count, oldest_at }.since();
        assert_eq!(since(Some(2.0), Some(1_795_885_094_098.0)), Some(1_795_885_094_098));
        assert_eq!(since(None, Some(7.0)), Some(7));
        for (count, oldest_at) in
            [(None, None), (Some(2.0), None), (Some(2.0), Some(0.0)), (Some(0.0), Some(7.0))]
        {
            assert_eq!(since(count, oldest_at), None, "{count:?} {oldest_at:?}");
        }
        let told: Queued = serde_json::from_str(r#"{"oldest_at":null}"#).unwrap();
        assert_eq!(told.since(), None);
    }

    #[test]
    fn a_shard_is_well_until_something_waits_too_long() {
        let now = 1_000_000_000;
        let at = |ms: u64| Some(now - ms);
        let none = Oldest::default();
        let cases = [
            (Some(Oldest::default()), 200, "ok", None),
            (
                Some(Oldest {
                    event_at: at(30_000),
                    look_at: at(300_000),
                    parked_at: at(120_000),
                    due_at: at(900_000),
                    queued_at: at(120_000),
                }),
                200,
                "ok",
                None,
            ),
            (Some(Oldest { event_at: at(30_001), ..none }), 200, "ok", Some(30)),
            (Some(Oldest { event_at: at(120_001), ..none }), 503, "waiting", Some(120)),
            (Some(Oldest { queued_at: at(120_001), ..none }), 503, "waiting", None),
            (Some(Oldest { look_at: at(300_001), ..none }), 503, "waiting", None),
            (Some(Oldest { parked_at: at(120_001), ..none }), 200, "ok", None),
            // The clock of another isolate may be a little ahead.
            (
                Some(Oldest { event_at: Some(now + 5), look_at: Some(now + 9), ..none }),
                200,
                "ok",
                None,
            ),
            (None, 503, "unreadable", None),
        ];
        for (oldest, status, state, holds) in cases {
            let well = (0, Some(Oldest::default()));
            let answer = answer(&[well, (1, oldest)], now);
            assert_eq!(answer.status, status, "{oldest:?}");
            assert_eq!(answer.body["status"], status == 200);
            assert_eq!(answer.body["data"]["shards"][1]["state"], state, "{oldest:?}");
            assert_eq!(answer.body["data"]["shards"][0]["state"], "ok");
            assert_eq!(oldest.and_then(|oldest| oldest.holds_companions(now)), holds);
        }
    }
}
