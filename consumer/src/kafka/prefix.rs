//! Which offset of a partition may be stored: the one before which everything is durable.

use std::collections::{BTreeSet, HashMap};

/// The offsets that were handed out and not settled, by partition.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    partitions: HashMap<i32, Partition>,
    epoch: u64,
}

#[derive(Debug)]
struct Partition {
    /// A partition that went and came back is another one: what was taken before counts no more.
    epoch: u64,
    open: BTreeSet<i64>,
    /// One past the highest offset that was handed out.
    next: i64,
    stored: i64,
}

impl Prefixes {
    /// An offset is handed out; answers the epoch that it has to be settled with.
    pub(crate) fn take(&mut self, partition: i32, offset: i64) -> u64 {
        let next_epoch = self.epoch + 1;
        // Offsets that begin anew are those of a topic that was made again.
        let went_back = |entry: &Partition| offset < entry.next - 1;
        if self.partitions.get(&partition).is_some_and(went_back) {
            self.partitions.remove(&partition);
        }
        let entry = self.partitions.entry(partition).or_insert_with(|| Partition {
            epoch: next_epoch,
            open: BTreeSet::new(),
            next: offset,
            stored: offset,
        });
        self.epoch = self.epoch.max(entry.epoch);
        entry.open.insert(offset);
        entry.next = entry.next.max(offset + 1);
        entry.epoch
    }

    /// An offset is durable. Answers what to store, if that has moved.
    pub(crate) fn settle(&mut self, partition: i32, offset: i64, epoch: u64) -> Option<i64> {
        let entry = self.partitions.get_mut(&partition).filter(|entry| entry.epoch == epoch)?;
        if !entry.open.remove(&offset) {
            return None;
        }
        let store = entry.open.first().copied().unwrap_or(entry.next);
        if store <= entry.stored {
            return None;
        }
        entry.stored = store;
        Some(store)
    }

    /// The partition is another's now.
    pub(crate) fn revoke(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Whether something of these partitions is still on its way.
    pub(crate) fn is_open(&self, partitions: &[i32]) -> bool {
        partitions
            .iter()
            .any(|one| self.partitions.get(one).is_some_and(|entry| !entry.open.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_prefix_without_a_gap_is_stored() {
        let mut prefixes = Prefixes::default();
        let epochs: Vec<u64> = (10..15).map(|offset| prefixes.take(0, offset)).collect();
        let epoch = epochs[0];
        assert!(epochs.iter().all(|other| *other == epoch));
        assert_eq!(prefixes.settle(0, 11, epoch), None);
        assert_eq!(prefixes.settle(0, 12, epoch), None);
        assert_eq!(prefixes.settle(0, 10, epoch), Some(13));
        assert_eq!(prefixes.settle(0, 10, epoch), None, "settled twice");
        assert_eq!(prefixes.settle(0, 14, epoch), None);
        assert!(prefixes.is_open(&[0]));
        assert_eq!(prefixes.settle(0, 13, epoch), Some(15));
        assert!(!prefixes.is_open(&[0, 1]));
    }

    #[test]
    fn offsets_may_have_gaps_of_their_own() {
        let mut prefixes = Prefixes::default();
        let epoch = prefixes.take(3, 5);
        prefixes.take(3, 9);
        assert_eq!(prefixes.settle(3, 5, epoch), Some(9));
        assert_eq!(prefixes.settle(3, 9, epoch), Some(10));
    }

    #[test]
    fn what_was_taken_before_a_rebalance_moves_nothing_after_it() {
        let mut prefixes = Prefixes::default();
        let before = prefixes.take(0, 1);
        prefixes.take(1, 7);
        prefixes.revoke(0);
        let after = prefixes.take(0, 1);
        assert_ne!(before, after);
        assert_eq!(prefixes.settle(0, 1, before), None);
        assert_eq!(prefixes.settle(0, 1, after), Some(2));
        assert_eq!(prefixes.settle(0, 99, after), None, "never taken");
    }

    #[test]
    fn offsets_that_begin_anew_are_stored_anew() {
        let mut prefixes = Prefixes::default();
        let before = prefixes.take(0, 40);
        prefixes.take(0, 41);
        assert_eq!(prefixes.settle(0, 40, before), Some(41));
        let after = prefixes.take(0, 0);
        assert_eq!(prefixes.settle(0, 41, before), None);
        assert_eq!(prefixes.settle(0, 0, after), Some(1));
    }

    #[test]
    fn offsets_handed_out_again_are_open_again() {
        let mut prefixes = Prefixes::default();
        let epoch = prefixes.take(0, 1);
        assert_eq!(prefixes.settle(0, 1, epoch), Some(2));
        prefixes.take(0, 1);
        prefixes.take(0, 2);
        assert_eq!(prefixes.settle(0, 2, epoch), None, "1 is open");
        assert_eq!(prefixes.settle(0, 1, epoch), Some(3));
    }
}
