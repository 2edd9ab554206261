//! What an isolate knows, so that it need not ask for it with each request.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::thread::LocalKey;

use inlet_gateway::cache::Cache;

/// How long what was read is served when the stores do not answer.
pub(crate) const STALE_MAX_MS: u64 = 600_000;

/// Values by key, each with the time when it was read.
#[derive(Debug)]
pub(crate) struct Known<T> {
    cache: RefCell<Cache<T>>,
    /// About how many bytes one takes.
    weigh: fn(&T) -> usize,
}

impl<T> Known<T> {
    pub(crate) fn weighing(weigh: fn(&T) -> usize) -> Self {
        Self { cache: RefCell::default(), weigh }
    }
}

impl<T> Default for Known<T> {
    /// Of small values: what bounds them is their number.
    fn default() -> Self {
        Self::weighing(size_of_val)
    }
}

/// A [`Known`] of this isolate.
pub(crate) trait Isolate<T> {
    /// What was read less than `age_max_ms` ago.
    fn get(&'static self, key: &str, now: u64, age_max_ms: u64) -> Option<Rc<T>>;
    fn put(&'static self, key: &str, value: Rc<T>, now: u64);
    fn remove(&'static self, key: &str);
    fn clear(&'static self);

    /// What was read less than `fresh_ms` ago, or else what is read now. While it cannot be read, what was read in the last
    /// ten minutes still holds.
    async fn get_or_read<E>(
        &'static self,
        key: &str,
        now: u64,
        fresh_ms: u64,
        read: impl Future<Output = Result<Option<T>, E>>,
    ) -> Result<Option<Rc<T>>, E> {
        if let Some(fresh) = self.get(key, now, fresh_ms) {
            return Ok(Some(fresh));
        }
        match read.await {
            Ok(Some(value)) => {
                let value = Rc::new(value);
                self.put(key, Rc::clone(&value), now);
                Ok(Some(value))
            }
            Ok(None) => {
                self.remove(key);
                Ok(None)
            }
            Err(error) => self.get(key, now, STALE_MAX_MS).map(Some).ok_or(error),
        }
    }
}

impl<T> Isolate<T> for LocalKey<Known<T>> {
    fn get(&'static self, key: &str, now: u64, age_max_ms: u64) -> Option<Rc<T>> {
        self.with(|known| known.cache.borrow().get(key, now, age_max_ms))
    }

    fn put(&'static self, key: &str, value: Rc<T>, now: u64) {
        self.with(|known| {
            let bytes = (known.weigh)(&value);
            known.cache.borrow_mut().put(key, value, bytes, now);
        });
    }

    fn remove(&'static self, key: &str) {
        self.with(|known| known.cache.borrow_mut().remove(key));
    }

    fn clear(&'static self) {
        self.with(|known| known.cache.borrow_mut().clear());
    }
}
