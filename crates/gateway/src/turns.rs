//! What a sweep knows while it tries parked events again: whose turn it is, so that no source's events wait for those
//! of another whose function is stopped.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::parked::{Lack, Waited};
use crate::wire::Meta;

/// A source, and its project.
type Whose = (String, String);

/// Empty where events come in for the first time.
#[derive(Debug, Default)]
pub struct Turns {
    /// How long those of the bulk at hand have waited, by their ids.
    waited: HashMap<String, Waited>,
    /// Those of them that stay as they are.
    stay: BTreeSet<String>,
    /// Sources whose function was stopped: the others go first.
    stopped: BTreeSet<Whose>,
    /// Sources whose function has no turn before the sweep ends.
    resting: BTreeSet<Whose>,
    /// Whether the bulk at hand has added to these.
    has_passed_over: bool,
}

fn whose(meta: &Meta) -> Whose {
    (meta.project_id.clone(), meta.source_id.clone())
}

impl Turns {
    /// Begins a bulk.
    pub fn begin(&mut self) {
        self.waited.clear();
        self.stay.clear();
        self.has_passed_over = false;
    }

    /// Takes an event into the bulk.
    pub fn take(&mut self, meta: &Meta, waited: Waited) {
        self.waited.insert(meta.event_id.clone(), waited);
    }

    /// `None`: it is tried for the first time.
    pub fn waited(&self, meta: &Meta) -> Option<Waited> {
        self.waited.get(&meta.event_id).copied()
    }

    /// Whether an event has to let others go first, since a function of its source was stopped just now.
    pub fn is_passed_over(&self, meta: &Meta) -> bool {
        let is_in = |all: &BTreeSet<Whose>| !all.is_empty() && all.contains(&whose(meta));
        self.waited(meta).is_some() && (is_in(&self.stopped) || is_in(&self.resting))
    }

    /// Notes what an event of the bulk lacks.
    pub fn note(&mut self, meta: &Meta, lack: &Lack) {
        if self.waited(meta).is_none() {
            return;
        }
        self.has_passed_over |= match lack {
            Lack::Stopped(_) => self.stopped.insert(whose(meta)),
            Lack::Turn(..) if !self.is_passed_over(meta) => self.resting.insert(whose(meta)),
            _ => false,
        };
    }

    /// Notes that an event of the bulk is left as it was parked.
    pub fn stays(&mut self, meta: &Meta) {
        self.stay.insert(meta.event_id.clone());
    }

    /// How long an event of the bulk had waited that is settled now, unless it stays.
    pub fn settled(&self, meta: &Meta) -> Option<Waited> {
        self.waited(meta).filter(|_| !self.stay.contains(&meta.event_id))
    }

    /// The sources that the next look passes over, as [`crate::sql::parked_due`] takes them.
    pub fn passed_over(&self) -> Value {
        json!(self.stopped.union(&self.resting).collect::<Vec<_>>())
    }

    /// Whether another bulk is worth a look, after one of which some went on, or none.
    pub fn goes_on(&self, went_on: bool) -> bool {
        went_on || self.has_passed_over
    }

    /// When nobody else is due: lets the sources come again whose function was stopped, and says whether there are any.
    pub fn take_back(&mut self) -> bool {
        self.stopped.retain(|source| !self.resting.contains(source));
        !std::mem::take(&mut self.stopped).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(event: &str, source: &str) -> Meta {
        let [event_id, source_id] = [event, source].map(str::to_owned);
        Meta { event_id, source_id, project_id: "p".into(), ..Meta::default() }
    }

    fn bulk(turns: &mut Turns, events: &[&Meta]) {
        turns.begin();
        for event in events {
            turns.take(event, Waited::not_yet(1));
        }
    }

    #[test]
    fn one_stop_lets_all_other_sources_go_first_and_then_its_own_comes_again() {
        let (stops, behind, other) = (meta("1", "a"), meta("2", "a"), meta("3", "b"));
        let mut turns = Turns::default();
        bulk(&mut turns, &[&stops, &behind, &other]);
        assert_eq!((turns.passed_over(), turns.goes_on(false)), (json!([]), false));
        turns.note(&stops, &Lack::Stopped("it rests".into()));
        assert!(turns.is_passed_over(&behind) && !turns.is_passed_over(&other));
        assert!(!turns.is_passed_over(&meta("9", "a")), "what comes in is nobody's bulk");
        turns.note(&behind, &Lack::Turn("it rests".into(), 0));
        turns.stays(&behind);
        assert_eq!(turns.settled(&behind), None);
        assert_eq!(turns.settled(&other), Some(Waited::not_yet(1)));
        assert!(turns.goes_on(false), "others may be behind them");
        assert_eq!(turns.passed_over(), json!([["p", "a"]]));

        bulk(&mut turns, &[]);
        assert!(!turns.goes_on(false) && turns.goes_on(true));
        assert!(turns.take_back() && !turns.take_back());
        bulk(&mut turns, &[&behind]);
        assert!(!turns.is_passed_over(&behind));
        assert_eq!(turns.settled(&behind), Some(Waited::not_yet(1)));
    }

    #[test]
    fn a_source_without_a_turn_does_not_come_again() {
        let (first, other) = (meta("1", "a"), meta("2", "b"));
        let mut turns = Turns::default();
        bulk(&mut turns, &[&first, &other]);
        turns.note(&first, &Lack::Turn("it rests".into(), 9));
        turns.note(&other, &Lack::Unavailable("no R2".into()));
        turns.note(&other, &Lack::Gone);
        assert!(turns.is_passed_over(&first) && turns.goes_on(false));
        assert!(!turns.take_back());
        assert_eq!(turns.passed_over(), json!([["p", "a"]]));
        turns.note(&meta("9", "c"), &Lack::Stopped("it rests".into()));
        assert_eq!(turns.passed_over(), json!([["p", "a"]]), "what comes in passes over nobody");
    }
}
