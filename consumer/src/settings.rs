//! What the companion is told by its environment.

use std::fmt;

use url::Url;

/// Checked settings. Every variable that is wrong is named at once, not one a restart.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `INLET_URL`: where the gateway is, e.g. `https://hooks.example.com`.
    pub(crate) url: Url,
    /// `INLET_CONSUMER_KEY`: one key, or several with commas between them.
    pub(crate) keys: Vec<Key>,
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
        let url = match lookup("INLET_URL").filter(|value| !value.trim().is_empty()) {
            None => Err("INLET_URL is not set; e.g. http://127.0.0.1:8787".to_owned()),
            Some(value) => match Url::parse(value.trim()) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
                Ok(_) => Err(format!("INLET_URL: {value} is not an http or https URL")),
                Err(error) => Err(format!("INLET_URL: {value}: {error}")),
            },
        };
        let keys: Vec<Key> = lookup("INLET_CONSUMER_KEY")
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
        }
        match url {
            Ok(url) if faults.is_empty() => Ok(Self { url, keys }),
            Ok(_) => Err(InvalidSettings(faults)),
            Err(fault) => {
                faults.insert(0, fault);
                Err(InvalidSettings(faults))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, keys: &str) -> Result<Settings, String> {
        let lookup = |name: &str| match name {
            "INLET_URL" => Some(url.to_owned()),
            "INLET_CONSUMER_KEY" => Some(keys.to_owned()),
            _ => None,
        };
        Settings::from_lookup(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn good_settings_are_read_and_keys_are_never_printed() {
        let settings = settings("https://hooks.example.com", "first, two,").unwrap();
        assert_eq!(settings.keys.iter().map(Key::expose).collect::<Vec<_>>(), ["first", "two"]);
        assert!(!format!("{settings:?}").contains("two"));
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let error = settings("", " , ").unwrap_err();
        assert_eq!(
            error,
            "the settings have 2 fault(s):\n  INLET_URL is not set; e.g. http://127.0.0.1:8787\n  \
             INLET_CONSUMER_KEY is not set; several keys have commas between them"
        );
        assert!(
            settings("ftp://x", "k")
                .unwrap_err()
                .contains("INLET_URL: ftp://x is not an http or https URL")
        );
        assert!(settings("nonsense", "k").unwrap_err().contains("INLET_URL: nonsense"));
    }
}
