//! What the companion is told by its environment.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::log::Level;

/// Checked settings. Every variable that is wrong is named at once, not one a restart.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `INLET_URL`: where the gateway is, e.g. `https://hooks.example.com`.
    pub(crate) url: Url,
    /// `INLET_CONSUMER_KEY`: one key, or several with commas between them.
    pub(crate) keys: Vec<Key>,
    /// `INLET_METRICS_ADDR`: where Prometheus may ask.
    pub(crate) metrics: Option<SocketAddr>,
    /// `INLET_LOG`
    pub(crate) log: Level,
    /// `INLET_SHUTDOWN_SECONDS`: how long what is under way may take when the companion is told to stop.
    pub(crate) shutdown: Duration,
    /// `INLET_MAX_BACKOFF_SECONDS`: the longest wait between two tries.
    pub(crate) max_backoff: Duration,
    /// `INLET_GZIP`: whether batches are compressed. By default, unless the gateway is on this machine.
    pub(crate) gzip: bool,
    /// `INLET_MACHINE_CREDENTIALS`: whether sources without credentials use those of this machine. By default, if there is
    /// one key: those of several are of several projects, which may be of several people.
    pub(crate) machine_credentials: bool,
}

/// A consumer key. It cannot be printed.
#[derive(Clone)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[error("the settings have {} fault(s):\n  {}", .0.len(), .0.join("\n  "))]
pub(crate) struct InvalidSettings(Vec<String>);

impl Settings {
    /// `lookup` is the environment in `main` and a table in tests.
    pub(crate) fn from_lookup(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidSettings> {
        let mut faults = Vec::new();
        let given = |name: &str| {
            lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let mut truth = |name: &str, default: bool| match given(name).as_deref() {
            None => default,
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(other) => {
                faults.push(format!("{name}: {other} is neither true nor false"));
                default
            }
        };
        let plain_allowed = truth("INLET_ALLOW_HTTP", false);
        let gzip = given("INLET_GZIP").map(|_| truth("INLET_GZIP", true));
        let lends = "INLET_MACHINE_CREDENTIALS";
        let machine_credentials = given(lends).map(|_| truth(lends, false));
        let mut seconds = |name: &str, default: u64| {
            let value = given(name).map_or(Ok(default), |text| text.parse());
            let value = value.ok().filter(|value| (1..=3600).contains(value));
            Duration::from_secs(value.unwrap_or_else(|| {
                faults.push(format!("{name}: a number of seconds from 1 to 3600"));
                default
            }))
        };
        let shutdown = seconds("INLET_SHUTDOWN_SECONDS", 25);
        let max_backoff = seconds("INLET_MAX_BACKOFF_SECONDS", 30);

        let url = given("INLET_URL").map_or_else(
            || Err("INLET_URL is not set; e.g. http://127.0.0.1:8787".to_owned()),
            |value| gateway(&value, plain_allowed),
        );
        let keys: Vec<Key> = given("INLET_CONSUMER_KEY")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .map(|key| Key(key.to_owned()))
            .collect();
        if keys.is_empty() {
            faults.push(
                "INLET_CONSUMER_KEY is not set; several keys have commas between them".to_owned(),
            );
        } else if keys.iter().any(|key| !key.0.bytes().all(|byte| byte.is_ascii_graphic())) {
            faults.push("INLET_CONSUMER_KEY: a key has characters that no key has".to_owned());
        }
        let metrics = given("INLET_METRICS_ADDR").map(|text| text.parse());
        if let Some(Err(_)) = metrics {
            faults
                .push("INLET_METRICS_ADDR: an address and a port, e.g. 127.0.0.1:9464".to_owned());
        }
        let log = given("INLET_LOG").map_or(Some(Level::Info), |text| Level::parse(&text));
        if log.is_none() {
            faults.push("INLET_LOG: one of error, warn, info, debug".to_owned());
        }
        match url {
            Ok(url) if faults.is_empty() => Ok(Self {
                gzip: gzip.unwrap_or(!is_loopback(&url)),
                url,
                machine_credentials: machine_credentials.unwrap_or(keys.len() == 1),
                keys,
                metrics: metrics.and_then(Result::ok),
                log: log.unwrap_or(Level::Info),
                shutdown,
                max_backoff,
            }),
            Ok(_) => Err(InvalidSettings(faults)),
            Err(fault) => {
                faults.insert(0, fault);
                Err(InvalidSettings(faults))
            }
        }
    }
}

fn gateway(value: &str, plain_allowed: bool) -> Result<Url, String> {
    let mut url = Url::parse(value).map_err(|error| format!("INLET_URL: {value}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("INLET_URL: {value} is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "INLET_URL: it has a user or a password in it; a key is all it takes".to_owned()
        );
    }
    if url.scheme() == "http" && !is_loopback(&url) && !plain_allowed {
        return Err(format!(
            "INLET_URL: {value} would carry the credentials of brokers in clear text; use https, or set \
             INLET_ALLOW_HTTP=true if the way there is private"
        ));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let lookup = |name: &str| {
            let found = pairs.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::from_lookup(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn good_settings_are_read_and_keys_are_never_printed() {
        let read = settings(&[
            ("INLET_URL", "https://hooks.example.com/base"),
            ("INLET_CONSUMER_KEY", "first, two,"),
            ("INLET_METRICS_ADDR", "127.0.0.1:9464"),
            ("INLET_LOG", "debug"),
        ])
        .unwrap();
        assert_eq!(read.keys.iter().map(Key::expose).collect::<Vec<_>>(), ["first", "two"]);
        assert_eq!(read.url.join("consumer/v1").unwrap().path(), "/base/consumer/v1");
        assert!(read.gzip && !read.machine_credentials, "two projects share no credentials");
        assert_eq!(read.metrics.map(|address| address.port()), Some(9464));
        assert!(!format!("{read:?}").contains("two"));
        let here = [("INLET_URL", "http://127.0.0.1:1"), ("INLET_CONSUMER_KEY", "k")];
        let here = settings(&here).unwrap();
        assert!(!here.gzip && here.machine_credentials);
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let error = settings(&[("INLET_CONSUMER_KEY", " , ")]).unwrap_err();
        assert_eq!(
            error,
            "the settings have 2 fault(s):\n  INLET_URL is not set; e.g. http://127.0.0.1:8787\n  \
             INLET_CONSUMER_KEY is not set; several keys have commas between them"
        );
        let error = settings(&[
            ("INLET_URL", "ftp://x"),
            ("INLET_CONSUMER_KEY", "k"),
            ("INLET_LOG", "loud"),
            ("INLET_METRICS_ADDR", "9464"),
            ("INLET_GZIP", "maybe"),
            ("INLET_SHUTDOWN_SECONDS", "0"),
        ])
        .unwrap_err();
        for name in ["not an http", "INLET_LOG", "METRICS_ADDR", "INLET_GZIP", "SHUTDOWN_SECONDS"] {
            assert!(error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn clear_text_is_for_this_machine_or_for_who_insists() {
        let with = |url: &str, allow: &str| {
            let pairs =
                [("INLET_URL", url), ("INLET_CONSUMER_KEY", "k"), ("INLET_ALLOW_HTTP", allow)];
            settings(&pairs).map(|_| ())
        };
        for local in ["http://127.0.0.1:8787", "http://localhost", "http://[::1]:1", "https://a.b"]
        {
            assert_eq!(with(local, ""), Ok(()), "{local}");
        }
        for remote in ["http://10.0.0.1", "http://hooks.example.com", "http://localhost.example"] {
            assert!(with(remote, "").unwrap_err().contains("clear text"), "{remote}");
            assert_eq!(with(remote, "true"), Ok(()));
        }
        assert!(with("https://u:p@a.b", "").unwrap_err().contains("a key is all it takes"));
    }
}
