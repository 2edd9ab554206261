//! Room in an isolate, for bodies in its memory and for work at one time: so much for all, and not all of it for one.

use std::collections::HashMap;
use std::hash::Hash;

use crate::api::ApiError;
use crate::rejection::RETRY_AFTER_S;

/// Bodies up to this size are read at once when they say how long they are, as long as half of the room is free.
pub const SMALL_BYTES: u64 = 64 * 1024;
/// Bodies up to this size are never counted: whoever wants to hold much memory with them needs very many connections.
pub const UNCOUNTED_BYTES: u64 = 8 * 1024;
/// How often a sender's pace is looked at, in milliseconds.
pub const PACE_MS: u32 = 3_000;
/// What has to come in that time while room is short.
const PACE_BYTES: u64 = 96 * 1024;

/// What is held, and by whom.
#[derive(Debug)]
pub struct Room {
    all_max: u64,
    one_max: u64,
    all: u64,
    by_holder: HashMap<String, u64>,
}

impl Room {
    /// Room for `all_max` bytes, of which one holder has at most `one_max`.
    pub fn new(all_max: u64, one_max: u64) -> Self {
        Self { all_max, one_max, all: 0, by_holder: HashMap::new() }
    }

    /// Makes a share of `holder` that is `own` bytes large one of `bytes`, and says whether there is room for it. The only
    /// body of all always has room, and so has the only body of a holder within what all may hold.
    pub fn grow(&mut self, holder: &str, own: u64, bytes: u64) -> bool {
        let others = self.all.saturating_sub(own);
        let of_holder = self.by_holder.get(holder).map_or(0, |held| held.saturating_sub(own));
        let fits = |held: u64, most: u64| held == 0 || held.saturating_add(bytes) <= most;
        if !fits(others, self.all_max) || !fits(of_holder, self.one_max) {
            return false;
        }
        self.all = others.saturating_add(bytes);
        self.by_holder.insert(holder.to_owned(), of_holder.saturating_add(bytes));
        true
    }

    /// Takes a place for `bytes` that are only announced. Once half is held there is none: what is there counts then, so that nobody
    /// holds the rest with what does not come.
    pub fn keep_place(&mut self, holder: &str, bytes: u64) -> bool {
        self.all.saturating_add(bytes) <= self.all_max / 2 && self.grow(holder, 0, bytes)
    }

    /// Gives a share of `bytes` back.
    pub fn give_back(&mut self, holder: &str, bytes: u64) {
        self.all = self.all.saturating_sub(bytes);
        if let Some(held) = self.by_holder.get_mut(holder) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                self.by_holder.remove(holder);
            }
        }
    }

    /// Whether a body of which `bytes` came in the last [`PACE_MS`] has to make room for others. A slow sender is
    /// borne with as long as there is room.
    pub fn is_too_slow(&self, bytes: u64) -> bool {
        bytes < PACE_BYTES && self.all_max / 2 < self.all
    }
}

/// Whose a body is that is used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    pub project: String,
    /// The endpoint that it goes to, if it goes to one.
    pub endpoint: Option<String>,
}

/// For how long a large body that found no room keeps smaller ones of its endpoint from it, at most, in milliseconds: until the calls have
/// ended that hold it, and it is tried again.
const TURN_MS: u64 = 150_000;

/// A large body of an endpoint that waits for room, since when, and for how long the smaller ones let it go first. Then they go for as long.
#[derive(Debug)]
struct Turn {
    bytes: u64,
    since: u64,
    ms: u64,
}

impl Turn {
    fn age(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.since)
    }

    fn is_on(&self, now_ms: u64) -> bool {
        self.age(now_ms) < self.ms
    }

    fn is_over(&self, now_ms: u64) -> bool {
        self.ms.saturating_mul(2) <= self.age(now_ms)
    }
}

/// Room of which whoever has more finds less left, so that whoever comes new finds some: a project has at most as much as is
/// free besides. A project alone so has half of all, and of that an endpoint has at most as much as it leaves to the others of
/// its project.
#[derive(Debug)]
pub struct Shared {
    max: u64,
    all: u64,
    by_project: HashMap<String, u64>,
    by_endpoint: HashMap<Holder, u64>,
    turns: HashMap<Holder, Turn>,
}

impl Shared {
    /// Room for `max` bytes.
    pub fn new(max: u64) -> Self {
        let (by_project, by_endpoint, turns) = Default::default();
        Self { max, all: 0, by_project, by_endpoint, turns }
    }

    /// Takes `bytes` for `holder`, if there is room for them. One that is too large to find room beside a stream of small ones of its
    /// endpoint has its turn before they do.
    pub fn take(&mut self, holder: &Holder, bytes: u64, now_ms: u64) -> bool {
        let comes_first = |turn: &Turn| turn.is_on(now_ms) && bytes < turn.bytes;
        if self.turns.get(holder).is_some_and(comes_first) {
            return false;
        }
        if self.fits(holder, bytes) {
            self.hold(holder, bytes);
            if let Some(turn) = self.turns.get_mut(holder).filter(|turn| turn.is_on(now_ms)) {
                turn.ms = turn.age(now_ms);
            }
            return true;
        }
        if holder.endpoint.is_some() && self.max / 16 <= bytes {
            self.wait(holder, bytes, now_ms);
        }
        false
    }

    /// Notes a body that found no room.
    fn wait(&mut self, holder: &Holder, bytes: u64, now_ms: u64) {
        self.turns.retain(|_, turn| !turn.is_over(now_ms));
        let new = Turn { bytes, since: now_ms, ms: TURN_MS };
        let turn = self.turns.entry(holder.clone()).or_insert(new);
        turn.bytes = turn.bytes.max(bytes);
    }

    /// The only body of a project has all that is free, and however large it is it has room while others hold no more than half, which
    /// is what one of them may: it would never come to pass else. The only one of an endpoint has what its project may have.
    fn fits(&self, holder: &Holder, bytes: u64) -> bool {
        let of_project = self.by_project.get(&holder.project).copied().unwrap_or_default();
        let of_endpoint = self.by_endpoint.get(holder).copied().unwrap_or_default();
        let free = self.max.checked_sub(self.all.saturating_add(bytes));
        let left_to_endpoints = (self.max / 2).saturating_sub(of_project.saturating_add(bytes));
        if of_project == 0 {
            return self.all <= self.max / 2 || free.is_some();
        }
        free.is_some_and(|free| of_project.saturating_add(bytes) <= free)
            && (of_endpoint == 0 || of_endpoint.saturating_add(bytes) <= left_to_endpoints)
    }

    /// Makes a share of `own` bytes one of `bytes`, if there is room for them. If not, it stays as it is.
    pub fn grow(&mut self, holder: &Holder, own: u64, bytes: u64) -> bool {
        self.give_back(holder, own);
        let fits = self.fits(holder, bytes);
        self.hold(holder, if fits { bytes } else { own });
        fits
    }

    fn hold(&mut self, holder: &Holder, bytes: u64) {
        self.all = self.all.saturating_add(bytes);
        add(&mut self.by_project, &holder.project, bytes);
        if holder.endpoint.is_some() {
            add(&mut self.by_endpoint, holder, bytes);
        }
    }

    /// Gives `bytes` of them back.
    pub fn give_back(&mut self, holder: &Holder, bytes: u64) {
        self.all = self.all.saturating_sub(bytes);
        subtract(&mut self.by_project, &holder.project, bytes);
        subtract(&mut self.by_endpoint, holder, bytes);
    }
}

fn add<K: Clone + Eq + Hash>(held: &mut HashMap<K, u64>, key: &K, bytes: u64) {
    let own = held.entry(key.clone()).or_default();
    *own = own.saturating_add(bytes);
}

fn subtract<K: Eq + Hash>(held: &mut HashMap<K, u64>, key: &K, bytes: u64) {
    if let Some(own) = held.get_mut(key) {
        *own = own.saturating_sub(bytes);
        if *own == 0 {
            held.remove(key);
        }
    }
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    TooLarge,
    /// There is no room for it now.
    Busy,
    /// It took longer than a body may. The line may be slow; the same body may come in time when it is sent again.
    Late,
    /// The sender broke off, or what came is not what it says it is.
    Broken,
}

impl Unread {
    /// What a caller of the API is told, and after how many seconds the same body may be sent again.
    pub fn told(self) -> (ApiError, Option<u64>) {
        let (status, text) = match self {
            Self::TooLarge => (413, "request body too large"),
            Self::Busy => (503, "the gateway holds too many large bodies right now, try again"),
            Self::Late => (503, "the request body took too long to arrive, try again"),
            Self::Broken => (400, "the request body could not be read"),
        };
        (ApiError::new(status, text), (status == 503).then_some(RETRY_AFTER_S))
    }
}

/// Places for work that goes on beside other work: the more one holder has, the fewer are left for it, so that whoever
/// comes new always finds one.
#[derive(Debug)]
pub struct Places {
    max: usize,
    all: usize,
    by_holder: HashMap<String, usize>,
}

impl Places {
    /// Places for `max` pieces of work at one time.
    pub fn new(max: usize) -> Self {
        Self { max, all: 0, by_holder: HashMap::new() }
    }

    /// Takes a place, if `holder` has fewer than are free.
    pub fn take(&mut self, holder: &str) -> bool {
        let own = self.by_holder.get(holder).copied().unwrap_or_default();
        if self.max.saturating_sub(self.all) <= own {
            return false;
        }
        self.all += 1;
        self.by_holder.insert(holder.to_owned(), own + 1);
        true
    }

    pub fn give_back(&mut self, holder: &str) {
        self.all = self.all.saturating_sub(1);
        if let Some(own) = self.by_holder.get_mut(holder) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_holder.remove(holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_again_as_it_is_is_no_fault_of_the_caller() {
        for (unread, status, seconds) in [
            (Unread::TooLarge, 413, None),
            (Unread::Broken, 400, None),
            (Unread::Busy, 503, Some(10)),
            (Unread::Late, 503, Some(10)),
        ] {
            let (error, after) = unread.told();
            assert_eq!((error.status, after), (status, seconds), "{unread:?}");
        }
    }

    #[test]
    fn one_holder_leaves_room_for_the_others() {
        let mut room = Room::new(24, 16);
        assert!(room.grow("a", 0, 10));
        assert!(room.grow("a", 10, 12), "its own share grows");
        assert!(!room.grow("a", 0, 5), "16 are all that one may hold");
        assert!(room.grow("a", 0, 4));
        assert!(room.grow("b", 0, 8));
        assert!(!room.grow("c", 0, 1), "24 are all that there is");
        room.give_back("b", 8);
        assert!(room.grow("c", 0, 8));
        for (holder, bytes) in [("a", 12), ("a", 4), ("c", 8)] {
            room.give_back(holder, bytes);
        }
        assert_eq!((room.all, room.by_holder.len()), (0, 0));
    }

    #[test]
    fn what_is_only_announced_leaves_half_of_the_room_to_what_comes() {
        const BYTES: u64 = 24 * 1024 * 1024;
        let mut room = Room::new(BYTES, 16 * 1024 * 1024);
        for stranger in 0..1_000 {
            room.keep_place(&(stranger % 2).to_string(), SMALL_BYTES);
        }
        assert_eq!(room.all, BYTES / 2);
        assert!((0..100).all(|_| room.grow("another", 0, 100_000)));
        assert!(!room.keep_place("a third", UNCOUNTED_BYTES + 1) && room.grow("a third", 0, 9_000));
        assert!(room.is_too_slow(0), "and who is slow goes");
    }

    #[test]
    fn a_body_alone_always_has_room() {
        let mut room = Room::new(24, 16);
        assert!(room.grow("a", 0, 100));
        assert!(!room.grow("b", 0, 1));
        room.give_back("a", 100);
        assert!(room.grow("b", 0, 20), "more than one may hold, as its only body");
        assert!(!room.grow("b", 0, 1));
        assert!(room.grow("a", 0, 4));
    }

    fn holder(project: &str, endpoint: &str) -> Holder {
        Holder { project: project.into(), endpoint: Some(endpoint.into()) }
    }

    /// How many bodies of that size find room.
    fn fill(room: &mut Shared, project: &str, endpoint: &str, bytes: u64) -> u64 {
        let holder = holder(project, endpoint);
        (0..room.max).take_while(|_| room.take(&holder, bytes, 0)).count() as u64
    }

    #[test]
    fn an_endpoint_leaves_room_for_its_project_and_a_project_for_the_others() {
        let mut room = Shared::new(80);
        assert_eq!(fill(&mut room, "a", "1", 1), 20);
        assert_eq!(fill(&mut room, "a", "2", 1), 10);
        assert_eq!(fill(&mut room, "a", "3", 1), 5);
        assert_eq!(fill(&mut room, "b", "4", 1), 20, "another project is not behind those");
        assert_eq!(fill(&mut room, "c", "5", 1), 12);
        assert_eq!(fill(&mut room, "a", "6", 1), 0, "what is left is for who comes new");
        assert_eq!(fill(&mut room, "d", "7", 1), 6);
        let read = Holder { project: "e".into(), endpoint: None };
        assert!(room.take(&read, 7, 0), "all that is left, as the only one of its project");
        assert!(!room.take(&holder("f", "8"), 1, 0), "80 are all that there is");
        room.give_back(&read, 7);
        assert!(room.take(&holder("f", "8"), 1, 0));
    }

    #[test]
    fn what_goes_to_no_endpoint_is_counted_for_its_project_alone() {
        let mut room = Shared::new(80);
        let read = Holder { project: "a".into(), endpoint: None };
        assert!(room.take(&read, 30, 0) && room.take(&read, 10, 0));
        assert!(!room.take(&read, 1, 0) && !room.take(&holder("a", "1"), 1, 0));
        assert!(room.take(&holder("b", "2"), 20, 0));
    }

    #[test]
    fn a_body_that_goes_out_alone_always_has_room() {
        let mut room = Shared::new(80);
        let (one, another) = (holder("a", "1"), holder("b", "2"));
        assert!(room.take(&one, 100, 0), "more than there is");
        assert!(!room.take(&another, 1, 0));
        room.give_back(&one, 50);
        assert!(!room.take(&one, 1, 0), "another of its endpoint");
        assert!(room.take(&another, 30, 0));
        room.give_back(&one, 50);
        assert!(room.take(&one, 50, 0));
        room.give_back(&another, 30);
        room.give_back(&one, 50);
        assert_eq!((room.all, room.by_project.len(), room.by_endpoint.len()), (0, 0, 0));

        assert_eq!(fill(&mut room, "a", "1", 1) + fill(&mut room, "a", "2", 1), 30);
        assert!(room.take(&another, 100, 0), "however much another project holds");
        assert!(!room.take(&holder("c", "3"), 100, 0));
    }

    /// An endpoint that answers after 1.5 s gets ten small bodies a second, as long as `for_s`, and one large that asks for a second of each
    /// four. When that one found room, and how many small ones did.
    fn large_among_small(large: u64, for_s: u64) -> (Option<u64>, usize) {
        let mut room = Shared::new(80);
        let to = holder("a", "1");
        let (mut held, mut small, mut found) = (Vec::new(), 0, None);
        for now in (0..for_s * 1_000).step_by(100) {
            held.retain(|&(until, bytes)| {
                let is_held = now < until;
                if !is_held {
                    room.give_back(&to, bytes);
                }
                is_held
            });
            if found.is_none() && now % 4_000 < 1_000 && room.take(&to, large, now) {
                found = Some(now);
                held.push((now + 1_500, large));
            }
            if room.take(&to, 1, now) {
                small += 1;
                held.push((now + 1_500, 1));
            }
        }
        (found, small)
    }

    #[test]
    fn a_large_body_has_its_turn_among_many_small_ones_of_its_endpoint() {
        for large in [6, 10, 20, 40] {
            let (found, small) = large_among_small(large, 60);
            assert!(found.is_some_and(|at| at < 10_000), "{large}: {found:?}");
            assert!(540 < small, "{large}: {small}");
        }
    }

    #[test]
    fn who_waits_for_its_turn_and_does_not_come_holds_up_the_small_ones_half_of_the_time() {
        let mut room = Shared::new(80);
        let (to, other) = (holder("a", "1"), holder("a", "2"));
        assert!(room.take(&to, 1, 0) && !room.take(&to, 30, 0));
        assert!(!room.take(&to, 1, 0) && room.take(&other, 1, 0), "its own endpoint's alone");
        assert!(!room.take(&to, 1, TURN_MS - 1) && room.take(&to, 1, TURN_MS));
        assert!(!room.take(&to, 30, TURN_MS) && room.take(&to, 1, 2 * TURN_MS - 1));
        assert!(!room.take(&to, 30, 2 * TURN_MS) && !room.take(&to, 1, 2 * TURN_MS));
        room.give_back(&to, 3);
        assert!(room.take(&to, 30, 2 * TURN_MS + 10), "and it has to wait no longer than others");

        let mut room = Shared::new(80);
        let router = Holder { project: "a".into(), endpoint: None };
        assert!(room.take(&router, 30, 0) && !room.take(&router, 30, 0));
        assert!(room.take(&router, 5, 0), "routers have no turns");
    }

    #[test]
    fn what_is_made_of_a_body_takes_the_room_that_it_needs() {
        let mut room = Shared::new(80);
        let (one, another) = (holder("a", "1"), holder("b", "2"));
        assert!(room.take(&one, 30, 0) && room.grow(&one, 30, 100), "the only body has room");
        assert!(!room.take(&another, 1, 0));
        room.give_back(&one, 100);
        assert!(room.take(&one, 1, 0) && room.take(&one, 10, 0) && !room.grow(&one, 1, 30));
        room.give_back(&one, 10);
        room.give_back(&one, 1);
        assert_eq!((room.all, room.by_project.len(), room.by_endpoint.len()), (0, 0, 0));
    }

    #[test]
    fn nobody_takes_the_last_places_from_who_comes_new() {
        let mut places = Places::new(8);
        let mut count = |holder: &str| {
            let mut taken = 0;
            while places.take(holder) {
                taken += 1;
            }
            taken
        };
        assert_eq!((count("a"), count("b"), count("c"), count("d")), (4, 2, 1, 1));
        assert_eq!((count("a"), count("e")), (0, 0));
        places.give_back("a");
        places.give_back("b");
        assert!(places.take("e") && !places.take("a"));
        for holder in ["a", "a", "a", "b", "c", "d", "e"] {
            places.give_back(holder);
        }
        assert_eq!((places.all, places.by_holder.len()), (0, 0));
    }

    #[test]
    fn the_slow_make_room_only_when_it_is_short() {
        let mut room = Room::new(24, 16);
        assert!(room.grow("a", 0, 12));
        assert!(!room.is_too_slow(0));
        assert!(room.grow("a", 12, 13));
        assert!(room.is_too_slow(0) && room.is_too_slow(PACE_BYTES - 1));
        assert!(!room.is_too_slow(PACE_BYTES));
    }
}
