//! What becomes of the messages of a batch, before any of it is written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Verdict;
use crate::parked::Lack;
use crate::wire::{Envelope, Target};

/// Why a message is not an event, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Late {
    Dead(String),
    Retry(String),
    /// A function of its source gave no answer: perhaps because of what it was given.
    NotRun(String),
}

impl Late {
    /// Of a function of its source that was not run to its end. That the function rests is no fault of the message.
    pub fn of_function(lack: Lack) -> Self {
        match lack {
            Lack::Turn(why, _) => Self::Retry(why),
            Lack::Spent => Self::Retry(lack.to_string()),
            Lack::Stopped(why) => Self::NotRun(why),
            Lack::Gone | Lack::Unavailable(_) => {
                Self::NotRun("the function could not be run".to_owned())
            }
        }
    }

    pub fn outcome(self) -> Outcome {
        match self {
            Self::Dead(reason) => Outcome::Dead(reason),
            Self::Retry(reason) => Outcome::Done(Verdict::Retry { reason, is_ours: true }),
            Self::NotRun(reason) => Outcome::Done(Verdict::Retry { reason, is_ours: false }),
        }
    }
}

/// What becomes of a message, so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Ready(Box<Envelope>),
    Dead(String),
    Done(Verdict),
}

/// What the database is asked about the events of a batch: each once for all of them.
#[derive(Debug, Default)]
pub struct Asks<'a> {
    pub endpoints: BTreeSet<&'a str>,
    pub owners: BTreeSet<&'a str>,
    /// The keys of events, each with its scope.
    pub keys: Vec<Value>,
    /// At which place in the batch the event of each key is.
    pub places: Vec<usize>,
}

impl<'a> Asks<'a> {
    /// `replayed`: by place, another key that an event of the same message may have.
    pub fn of(outcomes: &'a [Outcome], replayed: &[Option<String>]) -> Self {
        let mut asks = Self::default();
        for (place, outcome) in outcomes.iter().enumerate() {
            let Outcome::Ready(envelope) = outcome else { continue };
            match &envelope.meta.target {
                Some(Target::Endpoint(id)) => {
                    asks.endpoints.insert(id.as_str());
                }
                Some(Target::Owner(id)) => {
                    asks.owners.insert(id.as_str());
                }
                Some(Target::Everybody | Target::Url(_)) | None => {}
            }
            if let Some(claim) = &envelope.meta.claim {
                let replayed = replayed.get(place).and_then(Option::as_ref);
                let replayed = replayed.filter(|_| claim.scope.is_none());
                for key in [Some(&claim.key), replayed].into_iter().flatten() {
                    asks.keys.push(json!([envelope.meta.claim_scope(), key]));
                    asks.places.push(place);
                }
            }
        }
        asks
    }
}

/// Ends the events whose target is not among the `known` (`endpoint` or `owner`, and its id), and those whose key another event
/// holds, by their places in the batch. A copy is one whatever it is for.
pub fn judge(
    outcomes: &mut [Outcome],
    known: &BTreeSet<(&str, &str)>,
    held: &BTreeMap<usize, String>,
) {
    for (place, outcome) in outcomes.iter_mut().enumerate() {
        let Outcome::Ready(envelope) = outcome else { continue };
        let missing = match &envelope.meta.target {
            Some(Target::Endpoint(id)) if !known.contains(&("endpoint", id)) => {
                Some(format!("endpoint not found: {id}"))
            }
            Some(Target::Owner(id)) if !known.contains(&("owner", id)) => {
                Some(format!("no endpoint has the owner {id}"))
            }
            _ => None,
        };
        if let Some(event_id) = held.get(&place) {
            *outcome = Outcome::Done(Verdict::Duplicate { event_id: event_id.clone() });
        } else if let Some(reason) = missing {
            *outcome = Outcome::Dead(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Body, Claim, Meta};

    fn ready(target: Target, key: Option<&str>) -> Outcome {
        let claim = |key: &str| Claim { key: key.to_owned(), window_ms: 1, scope: None };
        let meta = Meta {
            source_id: "s".into(),
            target: Some(target),
            claim: key.map(claim),
            ..Meta::default()
        };
        Outcome::Ready(Box::new(Envelope { meta, body: Body::Inline(Vec::new()) }))
    }

    fn outcomes() -> Vec<Outcome> {
        vec![
            Outcome::Dead("before".into()),
            ready(Target::Endpoint("a".into()), Some("k1")),
            ready(Target::Endpoint("b".into()), None),
            ready(Target::Endpoint("b".into()), Some("k2")),
            ready(Target::Owner("o".into()), None),
            ready(Target::Everybody, Some("k3")),
        ]
    }

    #[test]
    fn what_is_asked_is_asked_once_for_all() {
        let outcomes = outcomes();
        let asks = Asks::of(&outcomes, &[]);
        assert_eq!(asks.endpoints, BTreeSet::from(["a", "b"]));
        assert_eq!(asks.owners, BTreeSet::from(["o"]));
        assert_eq!(asks.keys, [json!(["s", "k1"]), json!(["s", "k2"]), json!(["s", "k3"])]);
        assert_eq!(asks.places, [1, 3, 5]);
        let replayed = [None, Some("r1".to_owned()), Some("r2".to_owned())];
        let asks = Asks::of(&outcomes, &replayed);
        assert_eq!(asks.keys.get(1), Some(&json!(["s", "r1"])));
        assert_eq!(asks.places, [1, 1, 3, 5]);
    }

    #[test]
    fn copies_and_events_for_nobody_end_and_the_others_go_on() {
        let mut all = outcomes();
        let held = BTreeMap::from([(3, "first".to_owned())]);
        judge(&mut all, &BTreeSet::from([("endpoint", "a"), ("owner", "b")]), &held);
        let mut left = all.into_iter();
        let mut next = || left.next().unwrap();
        assert_eq!(next(), Outcome::Dead("before".into()));
        assert!(matches!(next(), Outcome::Ready(_)));
        assert_eq!(next(), Outcome::Dead("endpoint not found: b".into()));
        let copy = Verdict::Duplicate { event_id: "first".into() };
        assert_eq!(next(), Outcome::Done(copy));
        assert_eq!(next(), Outcome::Dead("no endpoint has the owner o".into()));
        assert!(matches!(next(), Outcome::Ready(_)));
    }

    #[test]
    fn only_what_is_wrong_with_a_message_counts_against_it() {
        let is_ours = |late: Late| match late.outcome() {
            Outcome::Done(Verdict::Retry { is_ours, .. }) => Some(is_ours),
            _ => None,
        };
        assert_eq!(is_ours(Late::Retry("r".into())), Some(true));
        let rests = Late::of_function(Lack::Turn("rests".into(), 5));
        assert_eq!(is_ours(rests), Some(true), "it was not even tried");
        assert_eq!(is_ours(Late::of_function(Lack::Stopped("stopped".into()))), Some(false));
        assert_eq!(is_ours(Late::NotRun("r".into())), Some(false));
        assert_eq!(Late::Dead("r".into()).outcome(), Outcome::Dead("r".into()));
    }
}
