//! Which fetched keys are believed, and how often their hosts may be asked.
//!
//! Who asks is a stranger: a request makes us fetch before its signature is known to be wrong. So what it can cause is
//! bounded for each document, source and host, and a host that fails is left alone for a while. Each source has a share of
//! its own: who floods one stops that one at most, and only for keys that nobody has had lately. So has each project, however many
//! sources it has.

use std::collections::HashMap;

/// How long a fetched document is believed.
const FRESH_MS: u64 = 3_600_000;
/// Providers rotate: a document in which no key fits is fetched again when it is older than this, and no sooner.
const REFETCH_MS: u64 = 60_000;
/// After the first failure; doubled with each that follows.
const WAIT_FIRST_MS: u64 = 1000;
const WAIT_MAX_MS: u64 = 60_000;
/// While somebody has waited so long for an answer, nobody else asks the same.
const HANGS_MS: u64 = 1000;
/// A request that has waited longer is gone: a fetch takes five seconds at most, and a sender that hangs up ends it.
const GONE_MS: u64 = 10_000;
/// A request may name a key that does not exist, and each name is a document of its own.
const HOST_ASKED_MAX: u32 = 60;
/// What one source may ask for in a window that is not known here. A source with ten addresses of keys asks for them all.
const SOURCE_ASKED_MAX: u32 = 12;
/// The first few of a source are asked for though others have used up the host's, and so is what was known; up to
/// [`HOST_ASKED_LAST`]. Of these a project has no more than it leaves to the others.
const SOURCE_ASKED_FIRST: u32 = 3;
const HOST_ASKED_LAST: u32 = 240;
const WINDOW_MS: u64 = 60_000;
const SOURCES_MAX: usize = 1_000;
/// Documents of which something is known: that they were there, or failed.
const DOCUMENTS_MAX: usize = 5_000;
/// What those take that are held.
const BYTES_MAX: usize = 4 * 1024 * 1024;
const HOSTS_MAX: usize = 200;

/// What is to be done for a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// `is_stale`: it may be fetched again, should no key in it fit.
    Have { bytes: Vec<u8>, is_stale: bool },
    /// Fetch it, then say how it went: [`KeyCache::fetched`].
    Ask,
    /// Not now: it has failed lately, or somebody waits for it already. The sender is to come again.
    Wait,
    /// Not now: too much was asked for that is not known.
    TooMany,
}

#[derive(Debug, Default)]
struct Entry {
    document: Option<(Vec<u8>, u64)>,
    /// Whether it was ever fetched, though it may have made room for others.
    is_known: bool,
    used_at: u64,
    /// Since when somebody waits for an answer.
    asked_at: Option<u64>,
    failures: u32,
    /// Until when nobody asks.
    rests_until: u64,
}

#[derive(Debug)]
struct Window {
    began: u64,
    asked: u32,
}

/// The documents of one isolate.
#[derive(Debug, Default)]
pub struct KeyCache {
    entries: HashMap<String, Entry>,
    hosts: HashMap<String, Window>,
    sources: HashMap<String, Window>,
    /// What each project has asked of each host.
    projects: HashMap<String, Window>,
}

impl KeyCache {
    /// Looks for the document of a URL, and the body that is posted there, if any, for a request to a source of a project.
    /// `fresh`: no key in what is there has fitted.
    pub fn look(
        &mut self,
        (project, source): (&str, &str),
        (url, body): (&str, Option<&str>),
        fresh: bool,
        now: u64,
    ) -> Look {
        let mut known = self.entries.get_mut(&name(url, body));
        if let Some(entry) = &mut known {
            entry.used_at = now;
        }
        let may_ask = known.as_ref().is_none_or(|entry| entry.may_be_asked_for(now));
        let was_known = known.as_ref().is_some_and(|entry| entry.is_known);
        if let Some((bytes, read_at)) = known.as_ref().and_then(|entry| entry.document.as_ref()) {
            let age = now.saturating_sub(*read_at);
            let is_stale = REFETCH_MS < age && may_ask;
            if age < FRESH_MS && !(fresh && is_stale) {
                return Look::Have { bytes: bytes.clone(), is_stale };
            }
        }
        if !may_ask {
            return Look::Wait;
        }
        let of_source = window(&mut self.sources, SOURCES_MAX, source, now);
        let of_host = window(&mut self.hosts, HOSTS_MAX, host(url), now);
        let comes_first = was_known || of_source.asked < SOURCE_ASKED_FIRST;
        let host_max = if comes_first { HOST_ASKED_LAST } else { HOST_ASKED_MAX };
        let at_host = format!("{project}\n{}", host(url));
        let of_project = window(&mut self.projects, SOURCES_MAX, &at_host, now);
        let left = HOST_ASKED_LAST.saturating_sub(of_host.asked);
        let has_had_its_share = SOURCE_ASKED_MAX <= of_source.asked || left <= of_project.asked;
        if host_max <= of_host.asked || (!was_known && has_had_its_share) {
            return Look::TooMany;
        }
        of_host.asked += 1;
        of_source.asked += u32::from(!was_known);
        of_project.asked += u32::from(!was_known);
        if let Some(entry) = known {
            let since = entry.asked_at.filter(|since| now.saturating_sub(*since) < GONE_MS);
            entry.asked_at = since.or(Some(now));
        } else {
            self.make_room(now);
            let entry = Entry { asked_at: Some(now), used_at: now, ..Entry::default() };
            self.entries.insert(name(url, body), entry);
        }
        Look::Ask
    }

    fn make_room(&mut self, now: u64) {
        if DOCUMENTS_MAX <= self.entries.len() {
            self.entries.retain(|_, entry| entry.matters(now));
        }
        if DOCUMENTS_MAX <= self.entries.len() {
            let longest = self.entries.iter().min_by_key(|(_, entry)| entry.used_at);
            if let Some(name) = longest.map(|(name, _)| name.clone()) {
                self.entries.remove(&name);
            }
        }
    }

    /// Lets go what was not used for longest, until the rest may be held. It stays known, so that it may be fetched again.
    fn hold_less(&mut self) {
        let mut held: usize = self.entries.values().map(Entry::bytes).sum();
        while BYTES_MAX < held {
            let documents = self.entries.values_mut().filter(|entry| entry.document.is_some());
            let Some(entry) = documents.min_by_key(|entry| entry.used_at) else { return };
            held = held.saturating_sub(entry.bytes());
            entry.document = None;
        }
    }

    /// Notes how a fetch that [`Look::Ask`] asked for went. `dice` is any number: it spreads the next tries of many isolates.
    pub fn fetched(
        &mut self,
        url: &str,
        body: Option<&str>,
        outcome: Option<&[u8]>,
        now: u64,
        dice: u64,
    ) {
        let entry = self.entries.entry(name(url, body)).or_default();
        entry.asked_at = None;
        if let Some(bytes) = outcome {
            (entry.document, entry.failures, entry.rests_until) =
                (Some((bytes.to_vec(), now)), 0, 0);
            (entry.is_known, entry.used_at) = (true, now);
            self.hold_less();
        } else {
            let wait = WAIT_FIRST_MS.saturating_mul(1 << entry.failures.min(16)).min(WAIT_MAX_MS);
            entry.failures = entry.failures.saturating_add(1);
            // Between half of it and all of it.
            entry.rests_until = now.saturating_add(wait / 2 + dice % (wait / 2 + 1));
        }
    }
}

impl Entry {
    fn may_be_asked_for(&self, now: u64) -> bool {
        let waited = self.asked_at.map(|since| now.saturating_sub(since));
        let hangs = waited.is_some_and(|waited| (HANGS_MS..GONE_MS).contains(&waited));
        self.rests_until <= now && !hangs
    }

    fn bytes(&self) -> usize {
        self.document.as_ref().map_or(0, |(bytes, _)| bytes.len())
    }

    fn matters(&self, now: u64) -> bool {
        (self.is_known && now.saturating_sub(self.used_at) < FRESH_MS) || now < self.rests_until
    }
}

fn name(url: &str, body: Option<&str>) -> String {
    format!("{url}\n{}", body.unwrap_or_default())
}

/// What stands before the path.
fn host(url: &str) -> &str {
    url.split('/').nth(2).unwrap_or(url)
}

/// The running window of `name`.
fn window<'w>(
    windows: &'w mut HashMap<String, Window>,
    most: usize,
    name: &str,
    now: u64,
) -> &'w mut Window {
    let is_over = |window: &Window| WINDOW_MS <= now.saturating_sub(window.began);
    if most <= windows.len() && !windows.contains_key(name) {
        windows.retain(|_, window| !is_over(window));
    }
    let window = windows.entry(name.to_owned()).or_insert(Window { began: now, asked: 0 });
    if is_over(window) {
        *window = Window { began: now, asked: 0 };
    }
    window
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://keys.example.com/jwks.json";
    const START: u64 = 1_700_000_000_000;

    #[test]
    fn a_document_is_fetched_once_an_hour() {
        let mut cache = KeyCache::default();
        assert_eq!(cache.look(("p", "s"), (URL, None), false, START), Look::Ask);
        cache.fetched(URL, None, Some(b"keys"), START, 0);
        let mut asked = 0;
        for minute in 1..=120 {
            let now = START + minute * 60_000;
            if cache.look(("p", "s"), (URL, None), false, now) == Look::Ask {
                asked += 1;
                cache.fetched(URL, None, Some(b"keys"), now, 0);
            }
        }
        assert_eq!(asked, 2);
    }

    #[test]
    fn a_key_that_is_not_in_it_makes_one_fetch_a_minute() {
        let mut cache = KeyCache::default();
        cache.fetched(URL, None, Some(b"keys"), START, 0);
        let mut asked = 0;
        for second in 0..600 {
            let now = START + second * 1000;
            // As a request with an unknown key id does: what is there first, then anew if that may help.
            if let Look::Have { is_stale: true, .. } =
                cache.look(("p", "s"), (URL, None), false, now)
            {
                assert_eq!(cache.look(("p", "s"), (URL, None), true, now), Look::Ask);
                cache.fetched(URL, None, Some(b"keys"), now, 0);
                asked += 1;
            }
        }
        assert_eq!(asked, 9);
    }

    #[test]
    fn a_host_that_fails_is_asked_less_and_less() {
        for dice in [0, u64::MAX] {
            let mut cache = KeyCache::default();
            let mut asked = Vec::new();
            for tenth in 0..3000 {
                let now = START + tenth * 100;
                match cache.look(("p", "s"), (URL, None), false, now) {
                    Look::Ask => {
                        asked.push(tenth / 10);
                        cache.fetched(URL, None, None, now, dice);
                    }
                    other => assert_eq!(other, Look::Wait),
                }
            }
            // Five minutes of ten requests a second.
            assert!((8..=17).contains(&asked.len()), "{asked:?}");
            assert_eq!(asked[0], 0);
            cache.fetched(URL, None, Some(b"keys"), START + 400_000, 0);
            assert!(matches!(
                cache.look(("p", "s"), (URL, None), false, START + 400_001),
                Look::Have { .. }
            ));
        }
    }

    #[test]
    fn a_known_key_outlives_a_refetch_that_fails() {
        let mut cache = KeyCache::default();
        cache.fetched(URL, None, Some(b"keys"), START, 0);
        let now = START + 2 * REFETCH_MS;
        assert_eq!(cache.look(("p", "s"), (URL, None), true, now), Look::Ask);
        cache.fetched(URL, None, None, now, 0);
        let have = Look::Have { bytes: b"keys".to_vec(), is_stale: false };
        assert_eq!(cache.look(("p", "s"), (URL, None), true, now + 1), have);
    }

    #[test]
    fn nobody_queues_behind_a_host_that_hangs() {
        let mut cache = KeyCache::default();
        assert_eq!(cache.look(("p", "s"), (URL, None), false, START), Look::Ask);
        assert_eq!(
            cache.look(("p", "s"), (URL, None), false, START + 10),
            Look::Ask,
            "a burst does not wait"
        );
        assert_eq!(cache.look(("p", "s"), (URL, None), false, START + HANGS_MS), Look::Wait);
        // Nobody ever said how that fetch went.
        assert_eq!(cache.look(("p", "s"), (URL, None), false, START + GONE_MS), Look::Ask);
        assert_eq!(
            cache.look(("p", "s"), (URL, None), false, START + GONE_MS + HANGS_MS),
            Look::Wait
        );
        cache.fetched(URL, None, Some(b"keys"), START + 20_000, 0);
        assert!(matches!(
            cache.look(("p", "s"), (URL, None), false, START + 20_000),
            Look::Have { .. }
        ));
    }

    /// Names a thousand keys that are not known, ten a second; how many of them are asked for.
    fn flood(cache: &mut KeyCache, (project, source): (&str, &str)) -> u32 {
        let mut asked = 0;
        for number in 0..1000 {
            let body = format!(r#"{{"key_id":"{project}/{source}/{number}"}}"#);
            let now = START + number * 10;
            match cache.look((project, source), (URL, Some(&body)), false, now) {
                Look::Ask => asked += 1,
                other => assert_eq!(other, Look::TooMany),
            }
            cache.fetched(URL, Some(&body), None, now, number);
        }
        asked
    }

    #[test]
    fn invented_key_ids_do_not_flood_their_host() {
        let mut cache = KeyCache::default();
        assert_eq!(flood(&mut cache, ("p", "one")), SOURCE_ASKED_MAX);
        let all: u32 = (0..100)
            .map(|number| flood(&mut cache, (&number.to_string(), &number.to_string())))
            .sum();
        assert!((HOST_ASKED_MAX..=HOST_ASKED_LAST).contains(&(SOURCE_ASKED_MAX + all)), "{all}");
        let other = "https://other.example.com/";
        assert_eq!(cache.look(("p", "new"), (other, None), false, START), Look::Ask);
        let later = START + WINDOW_MS;
        assert_eq!(cache.look(("p", "one"), (URL, Some("another")), false, later), Look::Ask);
        assert!(cache.entries.len() <= DOCUMENTS_MAX && cache.hosts.len() <= HOSTS_MAX);
    }

    #[test]
    fn who_floods_one_source_does_not_stop_another() {
        let mut cache = KeyCache::default();
        for number in 0..20 {
            flood(&mut cache, (&number.to_string(), &number.to_string()));
        }
        let now = START + 10_000;
        for number in 0..u64::from(SOURCE_ASKED_FIRST) {
            let body = number.to_string();
            assert_eq!(cache.look(("p", "theirs"), (URL, Some(&body)), false, now), Look::Ask);
        }
    }

    #[test]
    fn a_project_with_many_sources_leaves_another_its_fetches() {
        let mut cache = KeyCache::default();
        let all: u32 =
            (0..200).map(|number| flood(&mut cache, ("large", &number.to_string()))).sum();
        assert_eq!(all, HOST_ASKED_LAST / 2);
        let now = START + 10_000;
        for number in 0..u64::from(SOURCE_ASKED_FIRST) {
            let body = number.to_string();
            assert_eq!(cache.look(("small", "theirs"), (URL, Some(&body)), false, now), Look::Ask);
        }
        let others: u32 =
            (0..200).map(|number| flood(&mut cache, ("third", &number.to_string()))).sum();
        assert!(HOST_ASKED_LAST / 8 < others && all + others < HOST_ASKED_LAST, "{others}");
    }

    /// Many sources with a document each, of so many bytes, one request a second: how many of those were refused, and how many made us ask.
    fn many(sources: u64, bytes: usize) -> (usize, usize) {
        let mut cache = KeyCache::default();
        let (mut refused, mut asked) = (0, 0);
        for second in 0..120 {
            let now = START + second * 1_000;
            for number in 0..sources {
                let url = format!("https://h{}.example.com/{number}", number / 10);
                let source = number.to_string();
                match cache.look((&source, &source), (&url, None), false, now) {
                    Look::Ask => {
                        asked += 1;
                        cache.fetched(&url, None, Some(&vec![0; bytes]), now, 0);
                    }
                    Look::Have { .. } => {}
                    _ => refused += 1,
                }
            }
        }
        let held: usize = cache.entries.values().map(Entry::bytes).sum();
        assert!(held <= BYTES_MAX && cache.entries.len() <= DOCUMENTS_MAX);
        (refused, asked)
    }

    #[test]
    fn documents_in_use_do_not_drive_out_each_other() {
        assert_eq!(many(400, 5_000), (0, 400));
        // More than can be held: what makes room is fetched again, as something that is known.
        let (refused, asked) = many(44, 100_000);
        assert!((44..=44 * 120).contains(&asked) && refused < asked / 3, "{refused} {asked}");
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room_for_a_new_one() {
        let mut cache = KeyCache::default();
        for number in 0..=DOCUMENTS_MAX as u64 {
            cache.make_room(START + number);
            cache.fetched(&number.to_string(), None, Some(b"keys"), START + number, 0);
        }
        assert_eq!(cache.entries.len(), DOCUMENTS_MAX);
        assert!(!cache.entries.contains_key(&name("0", None)));
    }

    #[test]
    fn a_flood_does_not_stop_a_source_from_having_a_known_key_again() {
        let mut cache = KeyCache::default();
        cache.fetched(URL, None, Some(b"keys"), START - FRESH_MS, 0);
        flood(&mut cache, ("p", "one"));
        assert_eq!(cache.look(("p", "one"), (URL, None), false, START + 10_000), Look::Ask);
    }
}
