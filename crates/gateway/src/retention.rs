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

/// Whose rows of a shard have an end, and the lowest uid that is kept: projects, and those in their shadows.
pub fn expiring(projects: &[Project], shard: u32, now_ms: u64) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for project in projects.iter().filter(|project| project.shard == shard) {
        let Some(cutoff) = project.config.retention_policy.cutoff(now_ms) else { continue };
        if project.config.meta_event.is_some() {
            all.push((shadow_id(&project.uid), cutoff.clone()));
        }
        all.push((project.uid.clone(), cutoff));
    }
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
        assert_eq!(
            expiring(&[kept, old.clone(), elsewhere, told], 0, now),
            [(old.uid, cutoff(2)), (shadow_id(&id), cutoff(1)), (id, cutoff(1))]
        );
        assert!(!is_forgotten(0, 5 * DAY_MS) && is_forgotten(0, 5 * DAY_MS + 1));
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
