//! When a store is left alone that does not answer.

/// The rest of a store. Of many who ask it one after another only the first waits in vain, and so does one after each rest.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    rest_ms: u64,
    /// 0: it has answered.
    until: u64,
}

impl Rest {
    /// The rest of a store that is left alone for `rest_ms` milliseconds once it has been silent.
    pub const fn of(rest_ms: u64) -> Self {
        Self { rest_ms, until: 0 }
    }

    /// Whether the store is left alone.
    pub const fn is_on(&self, now_ms: u64) -> bool {
        now_ms < self.until
    }

    /// Notes that the store is asked, and for how long at most. After a rest the others go on leaving it alone until this one is told.
    pub fn asked(&mut self, now_ms: u64, within_ms: u64) {
        if self.until != 0 {
            self.until = self.until.max(now_ms.saturating_add(within_ms));
        }
    }

    /// Notes what came of it: an answer, or an error, which is silence if it took all that time.
    pub fn told(&mut self, is_ok: bool, (asked_at, within_ms): (u64, u64), now_ms: u64) {
        if is_ok {
            self.until = 0;
        } else if within_ms <= now_ms.saturating_sub(asked_at) {
            self.until = now_ms.saturating_add(self.rest_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_waits_in_vain_and_one_after_each_rest() {
        let mut rest = Rest::of(10);
        rest.asked(0, 5);
        assert!(!rest.is_on(1), "nobody knows yet");
        rest.told(false, (0, 5), 5);
        assert!(rest.is_on(14) && !rest.is_on(15));
        rest.asked(15, 5);
        assert!(rest.is_on(19), "one is at it");
        assert!(!rest.is_on(20), "and may never tell");
        rest.told(false, (15, 5), 20);
        assert!(rest.is_on(29));
        rest.asked(30, 5);
        rest.told(true, (30, 5), 31);
        assert!(!rest.is_on(31));
        rest.asked(32, 5);
        assert!(!rest.is_on(33), "all is as before");
    }

    #[test]
    fn who_refuses_at_once_is_asked_again() {
        let mut rest = Rest::of(10);
        rest.told(false, (0, 5), 1);
        assert!(!rest.is_on(1));
        let mut forever = Rest::of(u64::MAX);
        forever.told(false, (0, 5), 5);
        assert!(forever.is_on(u64::MAX - 1));
    }
}
