//! What was taken of a broker for a while, and has to be held on to until it is settled.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock::lock;

/// By receipt, since when each is ours.
#[derive(Debug)]
pub(crate) struct Leases {
    since: Mutex<HashMap<String, Instant>>,
    renew_after: Duration,
}

impl Leases {
    pub(crate) fn new(renew_after: Duration) -> Self {
        Self { since: Mutex::default(), renew_after }
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.since).is_empty()
    }

    pub(crate) fn take<'a>(&self, receipts: impl IntoIterator<Item = &'a String>, now: Instant) {
        lock(&self.since).extend(receipts.into_iter().map(|receipt| (receipt.clone(), now)));
    }

    /// These are settled, given back, or not ours any more.
    pub(crate) fn forget<'a>(&self, receipts: impl IntoIterator<Item = &'a String>) {
        let mut since = lock(&self.since);
        for receipt in receipts {
            since.remove(receipt);
        }
    }

    /// Those that it is time to renew.
    pub(crate) fn due(&self, now: Instant) -> Vec<String> {
        let since = lock(&self.since);
        let due = since.iter().filter(|(_, since)| now.duration_since(**since) >= self.renew_after);
        due.map(|(receipt, _)| receipt.clone()).collect()
    }

    /// These are renewed; but what was settled meanwhile stays so.
    pub(crate) fn renew<'a>(&self, receipts: impl IntoIterator<Item = &'a String>, now: Instant) {
        let mut all = lock(&self.since);
        for receipt in receipts {
            if let Some(since) = all.get_mut(receipt) {
                *since = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_renewed_in_time_until_it_is_forgotten() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let leases = Leases::new(Duration::from_secs(10));
        let due = |seconds| {
            let mut due = leases.due(at(seconds));
            due.sort();
            due
        };
        let (a, b) = ("a".to_owned(), "b".to_owned());
        leases.take([&a], at(0));
        leases.take([&b], at(3));
        assert_eq!(due(9), [""; 0]);
        assert_eq!(due(10), ["a"]);
        assert_eq!(due(13), ["a", "b"]);
        leases.renew([&a], at(13));
        assert_eq!(due(22), ["b"]);
        leases.forget([&b]);
        leases.renew([&b], at(22));
        assert_eq!(due(23), ["a"], "what is settled while it is renewed is not held again");
        leases.forget([&a]);
        assert!(leases.is_empty());
    }
}
