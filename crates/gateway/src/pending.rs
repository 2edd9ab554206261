//! Events that are durable and not routed yet: where they are looked for, and what is shown of them.

use serde_json::json;

use crate::api::ApiError;
use crate::event::StoredEvent;
use crate::ids;
use crate::wire::{Body, Envelope, Target, Text};

/// For how long after its acceptance an event that is not there is waited for: a router takes a second or two.
const RECENT_MS: u64 = 60_000;
/// How far the clocks of two isolates may differ.
const SKEW_MS: u64 = 5_000;
/// The pauses between the looks at the store, in milliseconds: just over two seconds in all.
pub const PAUSES_MS: [u64; 6] = [50, 100, 200, 400, 600, 750];
/// When a replay may be asked for again.
pub const AGAIN_S: u64 = 2;

/// Whether an id can be one that was just given out. All others are looked up once.
pub fn is_recent(id: &str, now_ms: u64) -> bool {
    let time = ids::time_of(id);
    time.is_some_and(|at| at <= now_ms + SKEW_MS && now_ms <= at.saturating_add(RECENT_MS))
}

/// Whether an id can be one that was given out at all, so that it is worth a look at the journal.
pub fn is_possible(id: &str, now_ms: u64) -> bool {
    ids::time_of(id).is_some_and(|at| at <= now_ms + SKEW_MS)
}

/// The refusal of a call that needs an event's deliveries before they are made.
pub fn not_routed(event: &StoredEvent) -> ApiError {
    let why = event.waits_for();
    let text = why.map_or("try again in a moment".to_owned(), |why| format!("it {why}"));
    ApiError::new(409, format!("the event is stored and not routed yet: {text}"))
}

/// The refusal of a replay of what was dropped as a copy.
pub fn is_copy(original: &str) -> ApiError {
    ApiError::bad_request(format!(
        "this event was dropped as a copy of {original}: replay that one"
    ))
}

/// One event out of the rows of the journal that hold its id. A body or a header may hold it, too.
pub fn find<'r>(
    rows: impl IntoIterator<Item = (&'r str, Text<'r>)>,
    project_id: &str,
    id: &str,
) -> Option<Envelope> {
    let envelopes =
        rows.into_iter().filter_map(|(meta, text)| Envelope::from_row(meta, &text).ok());
    let is_it = |one: &Envelope| one.meta.event_id == id && one.meta.project_id == project_id;
    envelopes.flatten().find(is_it)
}

impl StoredEvent {
    /// An event of the journal, as it will stand in the store.
    pub fn pending(envelope: Envelope) -> Self {
        let Envelope { meta, body } = envelope;
        let verification = meta.verification_json();
        let (body, is_base64, body_key) = match body {
            Body::Stored { key, .. } => (String::new(), 0, Some(key)),
            Body::Inline(bytes) => {
                let text = Text::from_vec(bytes);
                (text.text.into_owned(), u8::from(text.is_base64), None)
            }
        };
        Self {
            project_id: meta.project_id,
            id: meta.event_id,
            source_id: meta.source_id,
            mask_id: meta.mask_id,
            event_type: meta.event_type,
            received_at: meta.received_at,
            content_type: meta.content_type,
            headers: json!(meta.headers).to_string(),
            query: meta.query,
            idempotency_key: meta.claim.map(|claim| claim.key),
            body,
            is_base64,
            body_key,
            status: "Pending".into(),
            failure_reason: String::new(),
            verification,
            target: meta.target.map(|target| json!(target).to_string()),
            broker_message_id: meta.broker_message_id,
            arrived: None,
            endpoints: Some("[]".into()),
        }
    }

    /// Why the event is not routed, where it is parked.
    pub fn waits_for(&self) -> Option<&str> {
        Some(&*self.failure_reason).filter(|why| self.status == "Pending" && !why.is_empty())
    }

    /// Whether the event is for one of these endpoints by its address alone, whatever subscriptions say.
    pub fn is_addressed_to(&self, endpoints: &[String]) -> bool {
        matches!(self.target(), Some(Target::Endpoint(id) | Target::Url(id)) if endpoints.contains(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Pack;
    use crate::wire::tests::envelope;

    const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    #[test]
    fn only_ids_of_the_last_minute_are_waited_for() {
        let at = ids::time_of(ID).unwrap();
        for (id, now, possible, recent) in [
            (ID, at, true, true),
            (ID, at - SKEW_MS, true, true),
            (ID, at - SKEW_MS - 1, false, false),
            (ID, at + RECENT_MS, true, true),
            (ID, at + RECENT_MS + 1, true, false),
            ("none", at, false, false),
            ("", at, false, false),
            (ID.split_at(1).1, at, false, false),
        ] {
            assert_eq!(
                (is_possible(id, now), is_recent(id, now)),
                (possible, recent),
                "{id} {now}"
            );
        }
    }

    #[test]
    fn an_event_is_found_among_others_and_only_in_its_project() {
        let mut pack = Pack::default();
        let mut wanted = envelope(Body::Inline(b"wanted".to_vec()));
        let mut other = envelope(Body::Inline(ID.as_bytes().to_vec()));
        wanted.meta.event_id = ID.into();
        other.meta.event_id = "other".into();
        other.meta.query = ID.into();
        let (meta, text) = other.to_row();
        assert!(pack.push(&other) && pack.push(&wanted));
        let (packed, bodies) = pack.into_row();
        let rows = || {
            [(meta.as_str(), text.clone()), ("damaged", text.clone()), (&packed, bodies.clone())]
        };
        let project = wanted.meta.project_id.clone();
        assert_eq!(find(rows(), &project, ID).as_ref(), Some(&wanted));
        assert_eq!(find(rows(), "another", ID), None);
        assert_eq!(find(rows(), &project, "none"), None);
    }

    #[test]
    fn what_waits_is_shown_as_it_will_be_stored() {
        let mut sent = envelope(Body::Inline(vec![0xff]));
        sent.meta.target = Some(Target::Endpoint("e".into()));
        let shown = StoredEvent::pending(sent.clone());
        assert_eq!(shown.inline_body(), Ok(vec![0xff]));
        assert_eq!(
            (shown.status.as_str(), shown.idempotency_key.as_deref()),
            ("Pending", Some("k"))
        );
        assert_eq!(
            (shown.headers(), shown.target()),
            (sent.meta.headers.clone(), sent.meta.target.clone())
        );
        assert!(shown.is_addressed_to(&["e".into()]) && !shown.is_addressed_to(&["f".into()]));
        sent.body = Body::Stored { key: "r2".into(), len: 9 };
        let mut stored = StoredEvent::pending(sent.clone());
        assert_eq!(
            (stored.inline_body(), stored.clone().take_inline_body()),
            (Err("r2"), Err("r2"))
        );
        for bytes in [vec![0xff], b"text".to_vec()] {
            sent.body = Body::Inline(bytes.clone());
            stored = StoredEvent::pending(sent.clone());
            assert_eq!(stored.take_inline_body(), Ok(bytes));
            assert_eq!(stored.body, "", "it is in memory once");
        }
    }
}
