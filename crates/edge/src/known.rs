//! What an isolate knows, so that it need not ask for it with each request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::thread::LocalKey;

/// How long what was read is served when the stores do not answer.
const STALE_MAX_MS: u64 = 600_000;
const ENTRIES_MAX: usize = 2_000;

/// Values by key, each with the time when it was read.
#[derive(Debug)]
pub(crate) struct Known<T>(RefCell<HashMap<String, (Rc<T>, u64)>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(RefCell::default())
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
        self.with(|known| {
            let known = known.0.borrow();
            let (value, at) = known.get(key)?;
            (now.saturating_sub(*at) < age_max_ms).then(|| Rc::clone(value))
        })
    }

    fn put(&'static self, key: &str, value: Rc<T>, now: u64) {
        self.with(|known| {
            let mut known = known.0.borrow_mut();
            if ENTRIES_MAX <= known.len() {
                known.clear();
            }
            known.insert(key.to_owned(), (value, now));
        });
    }

    fn remove(&'static self, key: &str) {
        self.with(|known| known.0.borrow_mut().remove(key));
    }

    fn clear(&'static self) {
        self.with(|known| known.0.borrow_mut().clear());
    }
}
