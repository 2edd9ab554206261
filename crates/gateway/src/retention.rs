//! What is removed because its time is over: whose, up to when, and which bodies go with it.

use serde::Deserialize;

use crate::ids;
use crate::meta_event::shadow_id;
use crate::project::Project;
use crate::sql::{self, Statement};
use crate::wire::body_key;

/// For how long a deleted project is looked after: queues keep what they hold for four days.
const FORGET_AFTER_MS: u64 = 5 * 86_400_000;

/// Whether nothing of a deleted project can come any more: what was on its way when it was deleted has come by then.
pub fn is_forgotten(deleted_at: u64, now_ms: u64) -> bool {
    deleted_at.saturating_add(FORGET_AFTER_MS) < now_ms
}

/// For how long after a subscription is deleted deliveries of it may be made: who routes had read of it, and clocks differ.
const GONE_FOR_MS: u64 = 86_400_000;

/// Before when a subscription of a project was deleted that no delivery can belong to any more. `oldest` is the first of the
/// project's deliveries: the uid of a delivery begins with the time of what it is made from, which came while there was the
/// subscription.
pub fn is_past_before(oldest: Option<&str>, now_ms: u64) -> u64 {
    let first = oldest.map_or(now_ms, |id| ids::time_of(id).unwrap_or_default());
    first.min(now_ms).saturating_sub(GONE_FOR_MS)
}

/// Projects that one run removes something of. With what an invocation asks besides, it is well below the 1,000 statements that D1
/// takes from one. <https://developers.cloudflare.com/d1/platform/limits/>
const PROJECTS_OF_RUN: usize = 50;
/// How often there is a run, in milliseconds.
const RUN_EVERY_MS: u64 = 60_000;

/// A project of which something may have to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub id: String,
    pub shard: u32,
    pub end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Rows with lower uids go.
    Cutoff(String),
    /// All of it goes: it was deleted then, Unix milliseconds.
    Deleted(u64),
}

/// A project that was deleted.
#[derive(Debug, Clone, Deserialize)]
pub struct Deleted {
    pub id: String,
    pub shard: u32,
    pub deleted_at: u64,
}

/// Whose rows have an end: projects, and those in their shadows.
pub fn ending(projects: &[Project], deleted: Vec<Deleted>, now_ms: u64) -> Vec<Ending> {
    let mut all = Vec::new();
    for project in projects {
        let Some(cutoff) = project.config.retention_policy.cutoff(now_ms) else { continue };
        let mut push =
            |id, end| all.push(Ending { id, shard: project.shard, end: End::Cutoff(end) });
        if project.config.meta_event.is_some() {
            push(shadow_id(&project.uid), cutoff.clone());
        }
        push(project.uid.clone(), cutoff);
    }
    all.extend(deleted.into_iter().map(|Deleted { id, shard, deleted_at }| Ending {
        id,
        shard,
        end: End::Deleted(deleted_at),
    }));
    all
}

/// Pairs of project and cutoff, of a shard.
pub fn cutoffs(ending: &[Ending], shard: u32) -> Vec<(&str, &str)> {
    let of_shard = ending.iter().filter(|one| one.shard == shard);
    let pairs = of_shard.filter_map(|one| match &one.end {
        End::Cutoff(cutoff) => Some((one.id.as_str(), cutoff.as_str())),
        End::Deleted(_) => None,
    });
    pairs.collect()
}

/// Whose turn it is now: a bounded number of those for whom there is something to do (`has_some`). Each minute another comes
/// first, and none that the minute before has left is passed by.
pub fn in_turn<T>(mut all: Vec<T>, now_ms: u64, has_some: impl FnMut(&T) -> bool) -> Vec<T> {
    let run = usize::try_from(now_ms / RUN_EVERY_MS).unwrap_or_default();
    let first = run.wrapping_mul(PROJECTS_OF_RUN).checked_rem(all.len()).unwrap_or_default();
    all.rotate_left(first);
    all.retain(has_some);
    all.truncate(PROJECTS_OF_RUN);
    all
}

/// What goes in bounded steps, bodies first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiring {
    Events,
    Copies,
    DeadLetters,
}

/// A row that goes.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Old {
    pub id: String,
    #[serde(default)]
    pub body_key: Option<String>,
    #[serde(default)]
    pub event_id: Option<String>,
}

impl Expiring {
    pub const ALL: [Self; 3] = [Self::Events, Self::Copies, Self::DeadLetters];

    /// The oldest of them before the uid `cutoff`, as [`Old`].
    pub fn list(self, project_id: &str, cutoff: &str) -> Statement {
        match self {
            Self::Events => sql::expired_events(project_id, cutoff),
            Self::Copies => sql::expired_duplicates(project_id, cutoff),
            Self::DeadLetters => sql::expired_dead_letters(project_id, cutoff),
        }
    }

    /// The bodies of one of them. A large body is stored before anybody knows that it came with a copy, or that its event cannot be
    /// routed. R2 does not mind a key that it has not.
    pub fn bodies(self, project_id: &str, old: Old) -> impl Iterator<Item = String> {
        let bodies = match self {
            Self::Copies => [Some(body_key(project_id, &old.id)), None],
            Self::Events | Self::DeadLetters => {
                [old.body_key, old.event_id.map(|id| body_key(project_id, &id))]
            }
        };
        bodies.into_iter().flatten()
    }

    /// Removes them up to `last`. `is_deleted`: their project is, so that their claims go whatever their time.
    pub fn remove(
        self,
        project_id: &str,
        last: &str,
        now_ms: u64,
        is_deleted: bool,
    ) -> Vec<Statement> {
        match self {
            Self::Events => sql::expire_events(project_id, last, now_ms, is_deleted),
            Self::Copies => vec![sql::expire_duplicates(project_id, last)],
            Self::DeadLetters => vec![sql::expire_dead_letters(project_id, last)],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::parse;
    use crate::ids::lowest;

    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn projects_and_their_shadows_expire_by_their_policy() {
        let project = |config: &str, shard: u32| {
            let body = format!(r#"{{"name":"p","type":"incoming","config":{config}}}"#);
            Project::create(parse(body.as_bytes()).unwrap(), shard, 0, &mut |b| b.fill(6)).unwrap()
        };
        let kept = project("{}", 0);
        let old = project(r#"{"retention_policy":{"policy":"48h"}}"#, 0);
        let elsewhere = project(r#"{"retention_policy":{"policy":"48h"}}"#, 1);
        let mut told = project(r#"{"retention_policy":{"policy":"24h"}}"#, 0);
        let events = json!({"is_enabled": false, "url": "", "secret": null, "event_type": [], "updated_at": 0});
        told.config.meta_event = Some(serde_json::from_value(events).unwrap());
        let now = 10 * DAY_MS;
        let cutoff = |days: u64| lowest(now - days * DAY_MS);
        let id = told.uid.clone();
        let deleted = Deleted { id: "d".into(), shard: 0, deleted_at: 5 };
        let ending = ending(&[kept, old.clone(), elsewhere.clone(), told], vec![deleted], now);
        let (shadow, [one, two]) = (shadow_id(&id), [1, 2].map(cutoff));
        let of_first = [(&*old.uid, &*two), (&*shadow, &*one), (&*id, &*one)];
        assert_eq!(cutoffs(&ending, 0), of_first);
        assert_eq!(cutoffs(&ending, 1), [(&*elsewhere.uid, &*two)]);
        assert_eq!(ending.last().map(|last| &last.end), Some(&End::Deleted(5)));
        assert!(!is_forgotten(0, 5 * DAY_MS) && is_forgotten(0, 5 * DAY_MS + 1));
    }

    #[test]
    fn each_has_its_turn_however_many_there_are() {
        let runs = |count: u32, minutes: u64, has_some: fn(&u32) -> bool| {
            let mut seen = std::collections::BTreeSet::new();
            for minute in 29_000_000..29_000_000 + minutes {
                let turn = in_turn((0..count).collect(), minute * RUN_EVERY_MS + 7, has_some);
                assert!(turn.len() <= PROJECTS_OF_RUN, "{count}");
                seen.extend(turn);
            }
            seen.len()
        };
        for (count, minutes, expect) in
            [(0, 1, 0), (50, 1, 50), (51, 1, 50), (51, 2, 51), (150, 3, 150), (1_001, 21, 1_001)]
        {
            assert_eq!(runs(count, minutes, |_| true), expect, "{count} in {minutes}");
        }
        // Those who have nothing are passed over, and take no turn.
        assert_eq!(runs(1_000, 1, |one| one % 20 == 0), 50);
        assert_eq!(runs(1_000, 20, |one| one % 4 == 0), 250);
        assert_eq!(in_turn(vec![1, 2], 0, |_| true), [1, 2]);
        assert_eq!(in_turn(vec![1, 2, 3], RUN_EVERY_MS, |_| true), [3, 1, 2]);
    }

    #[test]
    fn bodies_go_with_the_rows_that_name_them() {
        let old = |body_key: Option<&str>, event: Option<&str>| Old {
            id: "i".into(),
            body_key: body_key.map(Into::into),
            event_id: event.map(Into::into),
        };
        for (kind, old, expect) in [
            (Expiring::Events, old(Some("k"), None), vec!["k"]),
            (Expiring::Events, old(None, None), vec![]),
            (Expiring::Copies, old(None, None), vec!["events/p/i"]),
            (
                Expiring::DeadLetters,
                old(Some("dead/p/i"), Some("e")),
                vec!["dead/p/i", "events/p/e"],
            ),
        ] {
            assert_eq!(kind.bodies("p", old).collect::<Vec<_>>(), expect, "{kind:?}");
        }
    }

    #[test]
    fn a_deleted_subscription_is_past_when_the_first_delivery_is_younger() {
        let now = 100 * GONE_FOR_MS;
        assert_eq!(is_past_before(None, now), 99 * GONE_FOR_MS);
        let delivery = ids::lowest(7 * GONE_FOR_MS);
        assert_eq!(is_past_before(Some(&delivery), now), 6 * GONE_FOR_MS);
        let ahead = ids::lowest(now + 5);
        assert_eq!(is_past_before(Some(&ahead), now), 99 * GONE_FOR_MS);
        assert_eq!(is_past_before(Some("no uid"), now), 0, "what cannot be read is not young");
    }
}
