//! What the Worker's variables say. A value that is not understood is never taken for a default in silence: the fault is
//! told by name, and what is taken in its place is what loses nothing and lets nobody in.

use std::borrow::Cow;

use url::Url;

/// A way in which an accepted event becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Queue,
    Journal,
}

impl Way {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Journal => "journal",
        }
    }
}

/// What can be set: the name of a variable, its default, and what it may be.
pub const VARIABLES: [(&str, &str, &str); 7] = [
    ("DURABILITY", "queue", "queue or journal"),
    ("ALLOW_PRIVATE_ENDPOINTS", "false", "true or false"),
    ("PUBLIC_URL", "", "empty, or a URL that begins with https:// or http://, without query"),
    ("LOCAL_QUEUE", "false", "true or false"),
    ("RETRY_SECONDS", "30", "a whole number from 0 to 43200"),
    ("LOG_LEVEL", "info", "info or debug"),
    ("SWEEP_AFTER_SECONDS", "60", "a whole number from 1 to 86400"),
];

/// The longest that a queue delays a message.
const RETRY_MAX_S: u32 = 43_200;
const SWEEP_MAX_S: u32 = 86_400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How an accepted event becomes durable first; the other way is the fallback.
    pub durability: Way,
    pub allow_private_endpoints: bool,
    /// Without a final slash; empty when the request's own origin is the public one.
    pub public_url: String,
    /// Milliseconds after which the sweep takes a bell for lost.
    pub sweep_after_ms: u64,
    /// Whether the queues are Miniflare's: in memory, and with one consumer at a time. Then bells are watched by the outbox,
    /// and dispatchers run on after their message is acknowledged, so that a slow endpoint does not hold up all others.
    pub local_queue: bool,
    /// Seconds until a queue message whose work failed is tried again.
    pub retry_s: u32,
    /// Whether every event and every delivery is logged, too.
    pub is_debug: bool,
}

impl Settings {
    /// `lookup` is the Worker's environment there, and a table in tests. The texts say what is wrong: which variable, and what
    /// it may be.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut given = Given { lookup, faults: Vec::new() };
        let durability = given.read("DURABILITY", |value| match value {
            "queue" => Some(Way::Queue),
            "journal" => Some(Way::Journal),
            _ => None,
        });
        let local_queue = given.read("LOCAL_QUEUE", truth);
        let settings = Self {
            // A row of the database is durable wherever the Worker runs; a queue is not.
            durability: durability.unwrap_or(Way::Journal),
            allow_private_endpoints: given.read("ALLOW_PRIVATE_ENDPOINTS", truth).unwrap_or(false),
            public_url: given.read_as_written("PUBLIC_URL", public_url).unwrap_or_default(),
            sweep_after_ms: given
                .read("SWEEP_AFTER_SECONDS", |value| number(value, 1, SWEEP_MAX_S))
                .map_or(60_000, |seconds| u64::from(seconds) * 1_000),
            local_queue: local_queue.unwrap_or(true),
            retry_s: given
                .read("RETRY_SECONDS", |value| number(value, 0, RETRY_MAX_S))
                .unwrap_or(30),
            is_debug: given
                .read("LOG_LEVEL", |value| match value {
                    "info" => Some(false),
                    "debug" => Some(true),
                    _ => None,
                })
                .unwrap_or(false),
        };
        (settings, given.faults)
    }

    /// The ways to durability, the better first. A local queue lives in memory: it is no fallback. A way that is left alone because it
    /// does not answer comes after one that does.
    pub fn ways(&self, rests: impl Fn(Way) -> bool) -> &'static [Way] {
        const QUEUE: &[Way] = &[Way::Queue, Way::Journal];
        const JOURNAL: &[Way] = &[Way::Journal, Way::Queue];
        let (ways, turned) = match (self.durability, self.local_queue) {
            (Way::Queue, _) => (QUEUE, JOURNAL),
            (Way::Journal, false) => (JOURNAL, QUEUE),
            (Way::Journal, true) => return &[Way::Journal],
        };
        let (first, second) = (self.durability, turned.first());
        let is_turned = rests(first) && second.is_some_and(|second| !rests(*second));
        if is_turned { turned } else { ways }
    }

    /// The URL of a request as its sender has it: some sign it.
    pub fn public_url_of<'u>(&self, url: &'u str) -> Cow<'u, str> {
        if self.public_url.is_empty() {
            return url.into();
        }
        format!("{}/{}", self.public_url, behind_origin(url)).into()
    }

    /// Where the gateway is reached, without a final slash, by whoever sends a request to `url`.
    pub fn origin_of<'a>(&'a self, url: &'a str) -> &'a str {
        if self.public_url.is_empty() {
            let origin = url.strip_suffix(behind_origin(url)).unwrap_or(url);
            origin.strip_suffix('/').unwrap_or(origin)
        } else {
            &self.public_url
        }
    }
}

/// What stands behind the origin of a request's URL, and the slash after it.
fn behind_origin(url: &str) -> &str {
    url.splitn(4, '/').nth(3).unwrap_or_default()
}

struct Given<L> {
    lookup: L,
    faults: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Given<L> {
    /// Reads a word or a number, in any case of its letters. `None`: it is not understood, and that has been noted.
    fn read<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.read_as_written(name, |value| read(&value.to_ascii_lowercase()))
    }

    fn read_as_written<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let variable = VARIABLES.iter().find(|variable| variable.0 == name);
        let (default, may_be) = variable.map_or(("", ""), |variable| (variable.1, variable.2));
        let given = (self.lookup)(name).unwrap_or_default();
        let value = match given.trim() {
            "" => default,
            value => value,
        };
        let read = read(value);
        if read.is_none() {
            // The value is not shown: it may be a secret that was put into the wrong place.
            self.faults.push(format!("{name} has to be {may_be}"));
        }
        read
    }
}

fn truth(value: &str) -> Option<bool> {
    value.parse().ok()
}

fn number(value: &str, least: u32, most: u32) -> Option<u32> {
    value.parse().ok().filter(|number| (least..=most).contains(number))
}

fn public_url(value: &str) -> Option<String> {
    if value.is_empty() {
        return Some(String::new());
    }
    let url = Url::parse(value).ok()?;
    let is_one = matches!(url.scheme(), "http" | "https")
        && value.contains("://")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none();
    is_one.then(|| value.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(vars: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let vars: HashMap<&str, &str> = vars.iter().copied().collect();
        Settings::from_lookup(|name| vars.get(name).map(|value| (*value).to_owned()))
    }

    fn well(vars: &[(&str, &str)]) -> Settings {
        let (settings, faults) = read(vars);
        assert!(faults.is_empty(), "{vars:?}: {faults:?}");
        settings
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let defaults = well(&[]);
        assert_eq!(
            defaults,
            Settings {
                durability: Way::Queue,
                allow_private_endpoints: false,
                public_url: String::new(),
                sweep_after_ms: 60_000,
                local_queue: false,
                retry_s: 30,
                is_debug: false,
            }
        );
        let empty = VARIABLES.map(|(name, ..)| (name, " "));
        assert_eq!(well(&empty), defaults);
        let same = VARIABLES.map(|(name, default, _)| (name, default));
        assert_eq!(well(&same), defaults);
    }

    #[test]
    fn case_and_space_around_a_value_make_no_difference() {
        for value in ["journal", "Journal", "JOURNAL", "journal ", "\tjournal\n"] {
            assert_eq!(well(&[("DURABILITY", value)]).durability, Way::Journal, "{value:?}");
        }
        let settings = well(&[
            ("ALLOW_PRIVATE_ENDPOINTS", "True"),
            ("LOCAL_QUEUE", "TRUE"),
            ("LOG_LEVEL", "Debug"),
            ("SWEEP_AFTER_SECONDS", " 2 "),
            ("RETRY_SECONDS", "0"),
        ]);
        assert!(settings.allow_private_endpoints && settings.local_queue && settings.is_debug);
        assert_eq!((settings.sweep_after_ms, settings.retry_s), (2_000, 0));
    }

    #[test]
    fn what_is_not_understood_is_told_by_name_and_never_taken_for_a_default_in_silence() {
        for (name, value) in [
            ("DURABILITY", "jornal"),
            ("DURABILITY", "queue,journal"),
            ("ALLOW_PRIVATE_ENDPOINTS", "yes"),
            ("ALLOW_PRIVATE_ENDPOINTS", "1"),
            ("LOCAL_QUEUE", "on"),
            ("LOG_LEVEL", "trace"),
            ("RETRY_SECONDS", "30s"),
            ("RETRY_SECONDS", "-1"),
            ("RETRY_SECONDS", "43201"),
            ("SWEEP_AFTER_SECONDS", "0"),
            ("SWEEP_AFTER_SECONDS", "1.5"),
            ("SWEEP_AFTER_SECONDS", "99999999999999999999"),
            ("PUBLIC_URL", "hooks.example.com"),
            ("PUBLIC_URL", "hooks.example.com:443"),
            ("PUBLIC_URL", "https:hooks.example.com"),
            ("PUBLIC_URL", "ftp://hooks.example.com"),
            ("PUBLIC_URL", "https://"),
            ("PUBLIC_URL", "https://hooks.example.com/?a=b"),
        ] {
            let (_, faults) = read(&[(name, value)]);
            let may_be = VARIABLES.iter().find(|variable| variable.0 == name).unwrap().2;
            assert_eq!(faults, [format!("{name} has to be {may_be}")], "{value}");
        }
        let all = VARIABLES.map(|(name, ..)| (name, "nonsense"));
        assert_eq!(read(&all).1.len(), VARIABLES.len(), "all are told at once");
    }

    #[test]
    fn an_event_is_never_kept_in_memory_alone_because_of_a_value_that_is_not_understood() {
        let ways = |vars: &[(&str, &str)]| read(vars).0.ways(|_| false);
        assert_eq!(ways(&[("DURABILITY", "x"), ("LOCAL_QUEUE", "true")]), [Way::Journal]);
        assert_eq!(ways(&[("DURABILITY", "x")]), [Way::Journal, Way::Queue]);
        assert_eq!(ways(&[("DURABILITY", "journal"), ("LOCAL_QUEUE", "x")]), [Way::Journal]);
        assert_eq!(ways(&[("DURABILITY", "queue")]), [Way::Queue, Way::Journal]);
        assert!(!read(&[("ALLOW_PRIVATE_ENDPOINTS", "x")]).0.allow_private_endpoints);
    }

    #[test]
    fn a_way_that_is_left_alone_comes_after_one_that_answers() {
        for (durability, first, second) in
            [("queue", Way::Queue, Way::Journal), ("journal", Way::Journal, Way::Queue)]
        {
            let settings = well(&[("DURABILITY", durability)]);
            assert_eq!(settings.ways(|way| way == first), [second, first]);
            assert_eq!(settings.ways(|way| way == second), [first, second]);
            assert_eq!(settings.ways(|_| true), [first, second]);
        }
        let local = well(&[("DURABILITY", "journal"), ("LOCAL_QUEUE", "true")]);
        assert_eq!(local.ways(|_| true), [Way::Journal], "never in memory alone");
    }

    #[test]
    fn a_public_url_is_a_whole_one() {
        for (value, expect) in [
            ("https://hooks.example.com", "https://hooks.example.com"),
            ("https://hooks.example.com//", "https://hooks.example.com"),
            ("http://127.0.0.1:8787/inlet/", "http://127.0.0.1:8787/inlet"),
        ] {
            assert_eq!(well(&[("PUBLIC_URL", value)]).public_url, expect);
        }
    }

    #[test]
    fn the_gateway_is_reached_where_it_is_said_to_be_or_where_requests_come_to() {
        let public = well(&[("PUBLIC_URL", "https://hooks.example.com/inlet/")]);
        for (url, path) in [
            ("http://127.0.0.1:8787/", ""),
            ("http://127.0.0.1:8787", ""),
            ("http://127.0.0.1:8787/ingest/abc", "ingest/abc"),
            ("http://127.0.0.1:8787/ingest/abc?at=a/b//c?d", "ingest/abc?at=a/b//c?d"),
            ("http://127.0.0.1:8787/?/", "?/"),
            ("http://127.0.0.1:8787//ingest//", "/ingest//"),
        ] {
            assert_eq!(well(&[]).origin_of(url), "http://127.0.0.1:8787", "{url}");
            assert_eq!(well(&[]).public_url_of(url), url);
            assert_eq!(public.origin_of(url), "https://hooks.example.com/inlet", "{url}");
            let expect = format!("https://hooks.example.com/inlet/{path}");
            assert_eq!(public.public_url_of(url), expect, "{url}");
        }
    }

    #[test]
    fn the_readme_and_the_configuration_name_the_same_variables_and_defaults() {
        let readme = include_str!("../../../README.md");
        let shown: Vec<(&str, &str)> = readme
            .lines()
            .skip_while(|line| *line != "| variable | default | |")
            .skip(2)
            .map_while(|line| {
                let mut cells = line.strip_prefix("| ")?.split(" | ");
                Some((cells.next()?, cells.next()?))
            })
            .filter(|(name, _)| !name.contains("ENCRYPTION_KEY"))
            .collect();
        let expect = VARIABLES.map(|(name, default, _)| {
            let default = match default {
                "" => "the request's origin".to_owned(),
                value => format!("`{value}`"),
            };
            (format!("`{name}`"), default)
        });
        let expect: Vec<(&str, &str)> =
            expect.iter().map(|(name, default)| (name.as_str(), default.as_str())).collect();
        assert_eq!(shown, expect);

        let config = include_str!("../../../wrangler.toml");
        let set: Vec<(&str, &str)> = config
            .lines()
            .skip_while(|line| *line != "[vars]")
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(" = "))
            .collect();
        assert!(!set.is_empty());
        for (name, value) in set {
            let variable = VARIABLES.iter().find(|variable| variable.0 == name);
            let default = variable.unwrap_or_else(|| panic!("{name} is not read")).1;
            assert_eq!(value, format!("\"{default}\""), "{name}");
        }

        let scripts = include_str!("../../../scripts/README.md");
        for name in ["DURABILITY", "PUBLIC_URL"] {
            assert!(scripts.contains(&format!("| `{name}` |")), "{name}");
        }
        assert!(scripts.contains("| `DURABILITY` | `journal` |"), "make dev has its own default");
        let dev = include_str!("../../../scripts/dev.mjs");
        assert!(dev.contains("process.env.DURABILITY || \"journal\""));
    }
}
