//! Bells: who is told of which deliveries, and when.

use serde::{Deserialize, Serialize};

use crate::deliver::{BELL_DELAY_MAX_MS, Delivery};
use crate::meta_event::project_of_shadow;

/// One bell: deliveries of one endpoint, so that a slow endpoint holds up nobody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bell {
    pub shard: u32,
    pub endpoint_id: String,
    /// Pairs of project and delivery.
    pub deliveries: Vec<(String, String)>,
}

/// Deliveries that one bell names at most: as many calls as a Worker may have open at once.
pub(super) const BELL_DELIVERIES: usize = 6;

/// A delivery that is to be rung for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Waiting {
    pub project_id: String,
    pub id: String,
    pub endpoint_id: String,
}

impl From<&Delivery> for Waiting {
    fn from(delivery: &Delivery) -> Self {
        Self {
            project_id: delivery.project_id.clone(),
            id: delivery.id.clone(),
            endpoint_id: delivery.endpoint_id.clone(),
        }
    }
}

/// Groups deliveries into bells.
pub fn bells(shard: u32, mut waiting: Vec<Waiting>) -> Vec<Bell> {
    waiting.sort_by(|a, b| (&a.endpoint_id, &a.id).cmp(&(&b.endpoint_id, &b.id)));
    let mut bells: Vec<Bell> = Vec::new();
    for Waiting { project_id, id, endpoint_id } in waiting {
        match bells.last_mut() {
            Some(bell)
                if bell.endpoint_id == endpoint_id && bell.deliveries.len() < BELL_DELIVERIES =>
            {
                bell.deliveries.push((project_id, id));
            }
            _ => bells.push(Bell { shard, endpoint_id, deliveries: vec![(project_id, id)] }),
        }
    }
    bells
}

/// Bells for one endpoint from which on what is known of it is asked before they are rung.
const CROWD_BELLS: usize = 5;

/// Parts bells into those of endpoints that have many, each endpoint's together, and all others. Meta events have an endpoint of
/// another kind, and are not many.
pub fn crowds(rung: Vec<Bell>) -> (Vec<Vec<Bell>>, Vec<Bell>) {
    let (mut crowds, mut others) = (Vec::new(), Vec::new());
    for of_one in rung.chunk_by(|a, b| a.endpoint_id == b.endpoint_id) {
        let project = of_one.first().and_then(|bell| bell.deliveries.first());
        let is_own = project.is_some_and(|(id, _)| project_of_shadow(id).is_none());
        if is_own && CROWD_BELLS <= of_one.len() {
            crowds.push(of_one.to_vec());
        } else {
            others.extend_from_slice(of_one);
        }
    }
    (crowds, others)
}

/// A delivery that waits until `due_at`, Unix milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub struct Held {
    pub project_id: String,
    pub id: String,
    pub endpoint_id: String,
    pub due_at: u64,
}

/// Bells for what waits, with the milliseconds until they are due: what is due in the same second is rung for together, and what is
/// later than a queue can tell is left to the sweep.
pub fn bells_when_due(shard: u32, mut held: Vec<Held>, now_ms: u64) -> Vec<(u64, Vec<Bell>)> {
    let pause = |held: &Held| held.due_at.saturating_sub(now_ms);
    held.retain(|held| pause(held) <= BELL_DELAY_MAX_MS);
    held.sort_by_key(|held| held.due_at);
    let seconds = held.chunk_by(|a, b| pause(a).div_ceil(1000) == pause(b).div_ceil(1000));
    let rung = seconds.filter_map(|some| {
        let waiting = some.iter().map(|held| Waiting {
            project_id: held.project_id.clone(),
            id: held.id.clone(),
            endpoint_id: held.endpoint_id.clone(),
        });
        Some((pause(some.first()?), bells(shard, waiting.collect())))
    });
    rung.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta_event::shadow_id;

    #[test]
    fn only_the_bells_of_an_endpoint_with_many_are_a_crowd() {
        let waiting = |project: &str, endpoint: &str, count: usize| -> Vec<_> {
            let one = |n| Waiting {
                project_id: project.to_owned(),
                id: format!("{endpoint}{n:03}"),
                endpoint_id: endpoint.to_owned(),
            };
            (0..count).map(one).collect()
        };
        let few = (CROWD_BELLS - 1) * BELL_DELIVERIES;
        let mut all = waiting("p", "a", few);
        all.extend(waiting("p", "b", few + 1));
        all.extend(waiting("p", "c", 1));
        all.extend(waiting(&shadow_id("p"), "d", few + 1));
        let (crowds, others) = crowds(bells(1, all));
        let named = |bells: &[Bell]| bells.iter().map(|bell| bell.deliveries.len()).sum::<usize>();
        assert_eq!(crowds.len(), 1);
        assert!(crowds.iter().flatten().all(|bell| bell.endpoint_id == "b"));
        assert_eq!(crowds.iter().map(|some| named(some)).sum::<usize>(), few + 1);
        assert_eq!(named(&others), few + 1 + few + 1);
    }

    #[test]
    fn what_waits_is_rung_for_by_the_second() {
        let held = |id: &str, due_at: u64| Held {
            project_id: "p".into(),
            id: id.into(),
            endpoint_id: "e".into(),
            due_at,
        };
        let now = 1_000_000;
        let late = now + BELL_DELAY_MAX_MS;
        let waiting = vec![
            held("d", late + 1),
            held("c", late),
            held("b", now + 1_500),
            held("a", now + 1_001),
            held("0", now - 5),
        ];
        let rung = bells_when_due(3, waiting, now);
        let ids = |bells: &[Bell]| -> Vec<String> {
            bells.iter().flat_map(|bell| bell.deliveries.iter().map(|(_, id)| id.clone())).collect()
        };
        let rung: Vec<(u64, Vec<String>)> =
            rung.iter().map(|(delay, bells)| (*delay, ids(bells))).collect();
        let expect = [(0, vec!["0"]), (1_001, vec!["a", "b"]), (BELL_DELAY_MAX_MS, vec!["c"])];
        assert_eq!(
            rung,
            expect.map(|(delay, ids)| (delay, ids.into_iter().map(String::from).collect()))
        );
    }
}
