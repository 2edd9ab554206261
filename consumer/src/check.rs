//! `inlet-consumer check`: is everything there that the companion needs? In words.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;

use crate::edge::{Edge, Listed};
use crate::run::probe;
use crate::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(20);
/// How many brokers are asked at a time.
const AT_ONCE: usize = 16;

/// Lines to print, and whether all is well.
pub(crate) async fn check(settings: &Settings, say: impl Fn(&str)) -> bool {
    let mut well = true;
    let mut tell = |good: bool, text: String| {
        well &= good;
        say(&format!("{} {text}", if good { "ok  " } else { "BAD " }));
    };
    for (number, key) in (1..).zip(&settings.keys) {
        let edge = match Edge::new(settings, key) {
            Ok(edge) => edge,
            Err(error) => {
                tell(false, error);
                continue;
            }
        };
        if number == 1 {
            match edge.hello().await {
                Ok(version) => tell(true, format!("{version} at {}", settings.url)),
                Err(error) => {
                    tell(false, format!("{}: {error}", settings.url));
                    break;
                }
            }
        }
        let list = match edge.sources(None).await {
            Ok(Some(list)) => list,
            Ok(None) => continue,
            Err(error) => {
                tell(false, format!("key {number} of INLET_CONSUMER_KEY: {error}"));
                continue;
            }
        };
        let (count, project) = (list.sources.len(), &list.project_id);
        tell(true, format!("key {number}: project {project}, {count} source(s) to read"));
        // Many at a time, told in the order of the list.
        let mut checked = stream::iter(&list.sources)
            .map(|listed| one(listed, settings.machine_credentials))
            .buffered(AT_ONCE);
        while let Some((good, text)) = checked.next().await {
            tell(good, text);
        }
    }
    well
}

async fn one(listed: &Listed, lends: bool) -> (bool, String) {
    let source = match listed {
        Ok(source) => source,
        Err(unread) => {
            return (false, format!("{} ({}): {}", unread.name, unread.uid, unread.error));
        }
    };
    let (name, uid) = (&source.name, &source.uid);
    if source.is_disabled {
        return (true, format!("{name} ({uid}): disabled"));
    }
    match timeout(PATIENCE, probe(source, lends)).await {
        Ok(Ok(Some(lag))) => (true, format!("{name} ({uid}): reached, {lag} message(s) wait")),
        Ok(Ok(None)) => (true, format!("{name} ({uid}): reached")),
        Ok(Err(fault)) => (false, format!("{name} ({uid}): {fault}")),
        Err(_) => (false, format!("{name} ({uid}): no answer in {} s", PATIENCE.as_secs())),
    }
}
