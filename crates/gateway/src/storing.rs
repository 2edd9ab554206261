//! How a batch of events gets into the store although some of them may not: which transactions are tried, what is buried, and
//! what has to come again. The shell does what [`Storing::step`] says, and tells what came of it.

use std::collections::BTreeMap;
use std::ops::Range;

/// What a transaction that failed says about what it held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is in what was to be stored, and will be the same the next time.
    Event(String),
    /// It may be in that, or in the store.
    Unclear(String),
    /// It passes: nobody's event is to blame.
    Passing(String),
}

/// What [`silent`] ends with.
const SILENT: &str = "does not answer";

/// The fault of a store that has taken longer than we wait.
pub fn silent(store: &str) -> String {
    format!("{store} {SILENT}")
}

impl Fault {
    /// Reads what the database says.
    pub fn of_store(message: String) -> Self {
        let says = |signs: &[&str]| signs.iter().any(|sign| message.contains(sign));
        if says(&[
            "SQLITE_TOOBIG",
            "too big",
            "too large",
            "SQLITE_CONSTRAINT",
            "SQLITE_MISMATCH",
            "malformed JSON",
        ]) {
            return Self::Event(message);
        }
        // <https://developers.cloudflare.com/d1/observability/debug-d1/>
        if says(&[
            "Network connection lost",
            "client disconnected",
            "Internal error",
            "transient issue",
            "overloaded",
            "Too many requests queued",
            "because its code was updated",
            "exceeded timeout",
            // It may still come to its end.
            SILENT,
            "SQLITE_BUSY",
            "SQLITE_FULL",
        ]) {
            return Self::Passing(message);
        }
        Self::Unclear(message)
    }

    pub fn message(&self) -> &str {
        match self {
            Self::Event(message) | Self::Unclear(message) | Self::Passing(message) => message,
        }
    }
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Store events from the first of these on, as many of them as one transaction takes.
    Store(Range<usize>),
    /// Give this event up, with the reason.
    Bury(usize, String),
    End,
}

#[derive(Debug)]
enum State {
    /// From the first event to the last.
    Forward,
    /// The one at hand is given up, for this reason.
    Burying(String),
    /// Two in a row have failed alone: is it the store?
    Probing,
    /// The one that was to tell is given up itself.
    BuryingProbe(String),
    /// Those that failed alone while others were stored are tried once more.
    Again,
    /// One of them is given up.
    BuryingAgain(String),
}

/// A transaction that fails is halved until the one at fault is alone. If the fault is in what it holds, or if it fails again
/// after others have been stored, it is buried. If two in a row fail alone, and the last of all does, too, it is the store, and
/// all wait. What cannot be had right now is nobody's fault: that event is parked, and says nothing about the store.
#[derive(Debug)]
pub struct Storing {
    done: Vec<bool>,
    /// Where the way forward is, and where it ends: events that were to tell whether it is the store may be settled already.
    at: usize,
    end: usize,
    state: State,
    /// Events that no transaction can hold.
    unroutable: BTreeMap<usize, String>,
    suspects: Vec<usize>,
    size: usize,
    failures_in_a_row: usize,
    /// The first of them.
    row_from: usize,
    works: bool,
}

impl Storing {
    pub fn new(events: usize, unroutable: BTreeMap<usize, String>) -> Self {
        Self {
            done: vec![false; events],
            at: 0,
            end: events,
            state: State::Forward,
            unroutable,
            suspects: Vec::new(),
            size: usize::MAX,
            failures_in_a_row: 0,
            row_from: 0,
            works: false,
        }
    }

    /// What is to be done next. Places are those of the events that [`Self::new`] was told of, from 0.
    pub fn step(&mut self) -> Step {
        if matches!(self.state, State::Forward | State::Probing) && self.end <= self.at {
            self.state = State::Again;
        }
        if matches!(self.state, State::Forward) {
            if self.failures_in_a_row == 2 {
                self.state = State::Probing;
            } else if let Some(reason) = self.unroutable.remove(&self.at) {
                self.state = State::Burying(reason);
            }
        }
        if matches!(self.state, State::Probing)
            && let Some(reason) = self.unroutable.remove(&self.end.saturating_sub(1))
        {
            self.state = State::BuryingProbe(reason);
        }
        let suspect = self.suspects.last().filter(|_| self.works);
        match (&self.state, suspect) {
            (State::Forward, _) => {
                let end = self.unroutable.range(self.at..).next();
                let end = end.map_or(self.end, |(place, _)| self.end.min(*place));
                Step::Store(self.at..end.min(self.at.saturating_add(self.size)))
            }
            (State::Burying(reason), _) => Step::Bury(self.at, reason.clone()),
            (State::Probing, _) => Step::Store(self.end.saturating_sub(1)..self.end),
            (State::BuryingProbe(reason), _) => {
                Step::Bury(self.end.saturating_sub(1), reason.clone())
            }
            (State::Again, Some(place)) => Step::Store(*place..place + 1),
            (State::BuryingAgain(reason), Some(place)) => Step::Bury(*place, reason.clone()),
            (State::Again | State::BuryingAgain(_), None) => Step::End,
        }
    }

    /// So many events, from the first that the step named, are stored.
    pub fn stored(&mut self, count: usize) {
        self.works = true;
        match self.state {
            State::Forward => {
                self.settle(count, true);
                self.size = self.size.saturating_mul(2);
                self.failures_in_a_row = 0;
            }
            State::Probing => {
                self.failures_in_a_row = 0;
                self.state = State::Forward;
            }
            State::Again => self.settle_suspect(true),
            State::Burying(_) | State::BuryingProbe(_) | State::BuryingAgain(_) => {}
        }
    }

    /// The first that the step named lacks something; whether it is parked, so that it waits elsewhere.
    pub fn parked(&mut self, is_kept: bool) {
        match self.state {
            State::Forward => self.settle(1, is_kept),
            State::Probing => self.settle_probe(is_kept),
            State::Again => self.settle_suspect(is_kept),
            State::Burying(_) | State::BuryingProbe(_) | State::BuryingAgain(_) => {}
        }
    }

    /// So many events, from the first that the step named, have to come again.
    pub fn wait(&mut self, count: usize) {
        match self.state {
            State::Forward => self.settle(count, false),
            State::Probing => self.give_up(),
            State::Again => self.settle_suspect(false),
            State::Burying(_) | State::BuryingProbe(_) | State::BuryingAgain(_) => {}
        }
    }

    /// The transaction of so many events failed.
    pub fn failed(&mut self, count: usize, fault: Fault) {
        match (&self.state, fault) {
            (State::Forward, _) if 1 < count => self.size = count / 2,
            (State::Forward, Fault::Event(reason)) => {
                self.size = 1;
                self.state = State::Burying(reason);
            }
            (State::Forward, Fault::Unclear(_)) => {
                self.suspects.push(self.at);
                self.failed_alone();
            }
            (State::Forward, Fault::Passing(_)) => self.failed_alone(),
            (State::Probing, Fault::Event(reason)) => self.state = State::BuryingProbe(reason),
            (State::Probing, Fault::Unclear(_) | Fault::Passing(_)) => self.give_up(),
            (State::Again, Fault::Event(reason) | Fault::Unclear(reason)) => {
                self.state = State::BuryingAgain(reason);
            }
            (State::Again, Fault::Passing(_)) => self.settle_suspect(false),
            (State::Burying(_) | State::BuryingProbe(_) | State::BuryingAgain(_), _) => {}
        }
    }

    /// Whether what was to be buried is.
    pub fn buried(&mut self, is_kept: bool) {
        match self.state {
            State::Burying(_) => {
                self.state = State::Forward;
                if is_kept {
                    self.settle(1, true);
                } else {
                    self.failed_alone();
                }
            }
            State::BuryingProbe(_) => {
                self.state = State::Probing;
                self.settle_probe(is_kept);
            }
            State::BuryingAgain(_) => {
                self.state = State::Again;
                self.settle_suspect(is_kept);
            }
            State::Forward | State::Probing | State::Again => {}
        }
    }

    /// How many events, from the first on, are stored, parked or buried.
    pub fn settled(&self) -> usize {
        self.done.iter().take_while(|done| **done).count()
    }

    /// Of each event whether it is stored, parked or buried.
    pub fn into_done(self) -> Vec<bool> {
        self.done
    }

    fn failed_alone(&mut self) {
        if self.failures_in_a_row == 0 {
            self.row_from = self.at;
        }
        self.failures_in_a_row += 1;
        self.size = 1;
        self.settle(1, false);
    }

    fn settle(&mut self, count: usize, is_done: bool) {
        // Always on: a step that nothing came of would be asked for again for ever.
        let count = count.max(1);
        for done in self.done.iter_mut().skip(self.at).take(count) {
            *done = is_done;
        }
        self.at = self.at.saturating_add(count).min(self.done.len());
    }

    /// Another has to tell, if there is one.
    fn settle_probe(&mut self, is_done: bool) {
        let place = self.end.saturating_sub(1);
        match self.done.get_mut(place).filter(|_| is_done) {
            Some(done) => {
                *done = true;
                self.end = place;
            }
            None => self.give_up(),
        }
    }

    fn settle_suspect(&mut self, is_done: bool) {
        if let Some(place) = self.suspects.pop()
            && let Some(done) = self.done.get_mut(place)
        {
            *done = is_done;
        }
    }

    /// It is the store. What failed before something was stored is tried once more all the same.
    fn give_up(&mut self) {
        let from = self.row_from;
        self.suspects.retain(|place| *place < from);
        self.state = State::Again;
    }
}

/// Where the rows of a journal end among the events that were read from them.
#[derive(Debug, Default)]
pub struct Marks {
    /// The events up to the end of each row, and the row's number.
    ends: Vec<(usize, u64)>,
    marked: Option<u64>,
}

impl Marks {
    /// The next row, of this number: with it so many events have been read, those of the rows before it included.
    pub fn push(&mut self, events: usize, seq: u64) {
        self.ends.push((events, seq));
    }

    /// The row up to which the mark may move once so many events are settled, unless it stands there.
    pub fn behind(&self, settled: usize) -> Option<u64> {
        let count = self.ends.partition_point(|(end, _)| *end <= settled);
        let (_, seq) = count.checked_sub(1).and_then(|last| self.ends.get(last))?;
        (self.marked < Some(*seq)).then_some(*seq)
    }

    /// Whether nothing is left to be routed behind a row.
    pub fn end_with(&self, seq: u64) -> bool {
        self.ends.last().is_some_and(|(_, last)| *last == seq)
    }

    /// Notes that it has moved there.
    pub fn moved(&mut self, seq: u64) {
        self.marked = Some(seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the store makes of an event: `.` takes it, `?` and `!` fail as unclear and as the event's fault, `~` fails and
    /// passes, `w` waits for its body and `p` is parked for it, `x` fails unless it is the second time that it is tried alone.
    fn store(events: &str) -> (String, Vec<usize>, usize) {
        store_with(events, &BTreeMap::new(), true, 1_000)
    }

    /// Of each event `.` or `w` (waits), what was buried, and how many transactions were tried.
    fn store_with(
        events: &str,
        unroutable: &BTreeMap<usize, String>,
        keeps: bool,
        most: usize,
    ) -> (String, Vec<usize>, usize) {
        let events: Vec<char> = events.chars().collect();
        let mut storing = Storing::new(events.len(), unroutable.clone());
        let (mut buried, mut tried, mut seen) = (Vec::new(), 0, Vec::new());
        loop {
            assert!(tried < 1_000, "it ends");
            match storing.step() {
                Step::Store(range) => {
                    tried += 1;
                    let held = &events[range.start..range.end.min(range.start + most)];
                    let lacks = held.first().copied();
                    let held = held.split(|event| "wp".contains(*event)).next().unwrap();
                    let count = held.len();
                    let is_second = seen.contains(&range.start);
                    if count == 1 {
                        seen.push(range.start);
                    }
                    let fault = held.iter().find_map(|event| match event {
                        '?' => Some(Fault::Unclear("?".into())),
                        '!' => Some(Fault::Event("!".into())),
                        '~' => Some(Fault::Passing("~".into())),
                        'x' if !is_second => Some(Fault::Unclear("x".into())),
                        _ => None,
                    });
                    match fault {
                        _ if held.is_empty() && lacks == Some('p') => storing.parked(keeps),
                        _ if held.is_empty() => storing.wait(1),
                        None => storing.stored(count),
                        Some(fault) => storing.failed(count, fault),
                    }
                }
                Step::Bury(place, _) => {
                    if keeps {
                        buried.push(place);
                    }
                    storing.buried(keeps);
                }
                Step::End => break,
            }
        }
        buried.sort_unstable();
        let done = storing.into_done();
        (done.iter().map(|done| if *done { '.' } else { 'w' }).collect(), buried, tried)
    }

    #[test]
    fn what_is_at_fault_is_found_and_buried_alone() {
        assert_eq!(store(""), (String::new(), vec![], 0));
        assert_eq!(store("...."), ("....".into(), vec![], 1));
        assert_eq!(store_with("....", &BTreeMap::new(), true, 3).2, 2, "what fits");
        assert_eq!(store("..!.....").0, "........");
        assert_eq!(store("..!.....").1, [2]);
        assert_eq!(store("!!!!"), ("....".into(), vec![0, 1, 2, 3], 6), "each says so itself");
        assert_eq!(store("..?.."), (".....".into(), vec![2], store("..?..").2));
        assert_eq!(store("..x.."), (".....".into(), vec![], store("..x..").2), "a second try");
        assert_eq!(
            store_with("..!..", &BTreeMap::new(), false, 9).0,
            "..w..",
            "not kept, not gone"
        );
        assert_eq!(store("???.").1, [0, 1, 2], "the last tells events from the store");
    }

    #[test]
    fn an_outage_buries_nobody() {
        assert_eq!(store("????"), ("wwww".into(), vec![], 5));
        assert_eq!(store("?").0, "w");
        assert_eq!(store("??").1, [] as [usize; 0]);
        assert_eq!(store("~").0, "w");
        let (done, buried, _) = store("..~..~~");
        assert_eq!((done.as_str(), buried), ("..w..ww", vec![]), "while others are stored, too");
        // What came in before the store went away is stored.
        let (done, buried, _) = store_with("..????", &BTreeMap::new(), true, 2);
        assert_eq!((done.as_str(), buried), ("..wwww", vec![]));
    }

    #[test]
    fn what_waits_for_its_body_is_not_buried_and_holds_up_nobody() {
        assert_eq!(store("w..w.").0, "w..w.");
        assert_eq!(store("w..w.").1, [] as [usize; 0]);
        assert_eq!(store("wwww").0, "wwww");
        let (done, buried, _) = store(".?w??");
        assert_eq!((done.as_str(), buried), (".wwww", vec![]), "nor does it hide an outage");
        let (done, buried, _) = store("w?w.!");
        assert_eq!((done.as_str(), buried), ("w.w..", vec![1, 4]));
    }

    #[test]
    fn what_is_parked_is_settled_and_says_nothing_about_the_store() {
        assert_eq!(store("p..p."), (".....".into(), vec![], store("p..p.").2));
        assert_eq!(store_with("p..p.", &BTreeMap::new(), false, 9).0, "w..w.");
        assert_eq!(store("?p?p?"), ("w.www".into(), vec![], store("?p?p?").2), "an outage");
        assert_eq!(store("??.pp"), (".....".into(), vec![0, 1], store("??.pp").2));
        assert_eq!(store("??pp"), ("ww..".into(), vec![], store("??pp").2), "nobody tells");
        assert_eq!(store("??.!"), ("....".into(), vec![0, 1, 3], store("??.!").2));
        assert_eq!(store("??!!"), ("ww..".into(), vec![2, 3], store("??!!").2));
    }

    #[test]
    fn what_cannot_be_routed_is_buried_without_a_try() {
        let unroutable = BTreeMap::from([(0, "why".to_owned()), (2, "why".to_owned())]);
        assert_eq!(store_with("!.!.", &unroutable, true, 9), ("....".into(), vec![0, 2], 2));
        assert_eq!(store_with("!.!.", &unroutable, false, 9).0, "w.w.");
        let last = BTreeMap::from([(2, "why".to_owned())]);
        let (done, buried, _) = store_with("??!", &last, true, 9);
        assert_eq!((done.as_str(), buried), ("ww.", vec![2]), "nor does it tell of the store");
    }

    #[test]
    fn a_mark_moves_with_what_is_settled_and_never_into_a_row() {
        let mut marks = Marks::default();
        for (events, seq) in [(1, 5), (1, 6), (4, 9)] {
            marks.push(events, seq);
        }
        let moved = [0, 1, 1, 3, 4, 4].map(|settled| {
            let seq = marks.behind(settled)?;
            assert_eq!(marks.behind(settled), Some(seq), "it may fail to move");
            marks.moved(seq);
            Some((seq, marks.end_with(seq)))
        });
        assert_eq!(moved, [None, Some((6, false)), None, None, Some((9, true)), None]);
        let mut storing = Storing::new(3, BTreeMap::new());
        assert_eq!(storing.step(), Step::Store(0..3));
        storing.stored(1);
        storing.wait(1);
        storing.stored(1);
        assert_eq!((storing.settled(), storing.step()), (1, Step::End));
    }

    #[test]
    fn the_database_says_whose_fault_it_is() {
        let of = |message: &str| Fault::of_store(message.into());
        let fault = of("D1_ERROR: string or blob too big: SQLITE_TOOBIG");
        assert!(matches!(fault, Fault::Event(_)));
        assert!(matches!(of("D1_ERROR: Network connection lost."), Fault::Passing(_)));
        assert!(matches!(of(&silent("the database")), Fault::Passing(_)));
        assert!(matches!(
            of("D1 DB is overloaded. Requests queued for too long."),
            Fault::Passing(_)
        ));
        assert!(matches!(of("D1_ERROR: integer overflow"), Fault::Unclear(_)));
    }

    /// <https://developers.cloudflare.com/d1/observability/debug-d1/>
    #[test]
    fn what_d1_documents_buries_no_innocent_event() {
        for text in [
            "D1 DB reset because its code was updated.",
            "Internal error while starting up D1 DB storage caused object to be reset.",
            "Network connection lost.",
            "Internal error in D1 DB storage caused object to be reset.",
            "Cannot resolve D1 DB due to transient issue on remote node.",
            "Can't read from request stream because client disconnected.",
            "D1 DB storage operation exceeded timeout which caused object to be reset.",
            "D1 DB is overloaded. Requests queued for too long.",
            "D1 DB is overloaded. Too many requests queued.",
        ] {
            let fault = Fault::of_store(format!("D1_ERROR: {text}"));
            assert!(matches!(fault, Fault::Passing(_)), "{text}");
        }
        // The one event that takes D1 down each time is found: it fails twice alone, while others are stored. Whoever was
        // there when another took it down is stored in the second try.
        for text in [
            "D1 DB's isolate exceeded its memory limit and was reset.",
            "D1 DB exceeded its CPU time limit and was reset.",
        ] {
            let fault = Fault::of_store(format!("D1_ERROR: {text}"));
            assert!(matches!(fault, Fault::Unclear(_)), "{text}");
        }
        assert_eq!(store("..x..?").1, [5]);
    }
}
