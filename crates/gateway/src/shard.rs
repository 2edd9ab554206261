//! Which event database a new project gets. It stays there: nothing moves between databases, and no statement goes across them.

use crate::api::ApiError;

/// Databases that a Worker may be bound to: `EVENTS_0` and on. A sweep looks at each of them, with some ten statements that find
/// nothing, and an invocation has a thousand.
pub const SHARDS_MAX: u32 = 32;

/// Databases whose sizes differ by less are as full as each other, so that many small projects are spread by their number.
const STEP_BYTES: u64 = 256 * 1024 * 1024;

/// An event database that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub number: u32,
    pub bytes: u64,
    /// How many projects are there.
    pub projects: u64,
}

/// What a queue is for, by how its name ends: `inlet-ingest-0`, `inlet-deliver-0`, `inlet-ingest-dlq`. What stands before that
/// is the deployment's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Ingest,
    Deliver,
    DeadLetters,
}

impl Purpose {
    pub fn of(queue: &str) -> Option<Self> {
        let (start, end) = queue.rsplit_once('-')?;
        let (_, what) = start.rsplit_once('-')?;
        match (what, end) {
            (_, "dlq") => Some(Self::DeadLetters),
            ("ingest", _) => Some(Self::Ingest),
            ("deliver", _) => Some(Self::Deliver),
            _ => None,
        }
    }
}

/// The numbers of all shards: those that are `bound`, and those that projects are `named` to live in, each once and in order.
pub fn all(mut bound: Vec<u32>, named: impl IntoIterator<Item = u32>) -> Vec<u32> {
    bound.extend(named);
    bound.sort_unstable();
    bound.dedup();
    bound
}

/// The number of the emptiest shard, and of those that are as empty of the one with the fewest projects. `None`: there is none.
pub fn emptiest(shards: &[Shard]) -> Option<u32> {
    let by = |shard: &&Shard| (shard.bytes / STEP_BYTES, shard.projects, shard.number);
    shards.iter().min_by_key(by).map(|shard| shard.number)
}

/// The one that was asked for, if it is `bound`.
pub fn asked_for(number: u64, bound: &[u32]) -> Result<u32, ApiError> {
    let found = bound.iter().find(|shard| u64::from(**shard) == number);
    found.copied().ok_or_else(|| {
        let last = bound.last().copied().unwrap_or_default();
        let more = if number < u64::from(SHARDS_MAX) {
            format!("`SHARDS={} make deploy` adds what is missing", number + 1)
        } else {
            format!("there can be {SHARDS_MAX}")
        };
        ApiError::bad_request(format!(
            "shard:there is no event database {number}, the last is {last}; {more}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_goes_where_there_is_room() {
        let shard = |number, bytes, projects| Shard { number, bytes, projects };
        let gib = 1024 * 1024 * 1024;
        for (shards, expect) in [
            (vec![], None),
            (vec![shard(0, 9 * gib, 1)], Some(0)),
            (vec![shard(0, 0, 0), shard(1, 0, 0)], Some(0)),
            (vec![shard(0, 40_000, 1), shard(1, 90_000, 0)], Some(1)),
            (vec![shard(0, 40_000, 1), shard(1, 90_000, 1)], Some(0)),
            // A new one beside full ones, whatever they hold.
            (vec![shard(0, 9 * gib, 1), shard(1, 8 * gib, 0), shard(2, 0, 500)], Some(2)),
            // One that does not answer is not among them.
            (vec![shard(1, 2 * gib, 3), shard(2, 2 * gib + 5, 2)], Some(2)),
        ] {
            assert_eq!(emptiest(&shards), expect, "{shards:?}");
        }
    }

    #[test]
    fn a_queue_is_known_by_how_its_name_ends() {
        for (name, expect) in [
            ("inlet-ingest-0", Some(Purpose::Ingest)),
            ("inlet-deliver-31", Some(Purpose::Deliver)),
            ("inlet-ingest-dlq", Some(Purpose::DeadLetters)),
            ("inlet-deliver-dlq", Some(Purpose::DeadLetters)),
            ("a-deliver-b-ingest-0", Some(Purpose::Ingest)),
            ("a-ingest-b-deliver-1", Some(Purpose::Deliver)),
            ("a-dlq-ingest-1", Some(Purpose::Ingest)),
            ("inlet-other-0", None),
            ("ingest", None),
        ] {
            assert_eq!(Purpose::of(name), expect, "{name}");
        }
        assert_eq!(all(vec![0, 1], [3, 1]), [0, 1, 3]);
    }

    #[test]
    fn who_asks_for_a_shard_gets_that_or_hears_why_not() {
        assert_eq!(asked_for(1, &[0, 1]), Ok(1));
        for (number, more) in [
            (2, "`SHARDS=3 make deploy` adds what is missing"),
            (31, "`SHARDS=32 make deploy` adds what is missing"),
            (32, "there can be 32"),
            (u64::MAX, "there can be 32"),
        ] {
            let error = asked_for(number, &[0, 1]).unwrap_err();
            let expect =
                format!("shard:there is no event database {number}, the last is 1; {more}");
            assert_eq!((error.status, error.message), (400, expect));
        }
    }
}
