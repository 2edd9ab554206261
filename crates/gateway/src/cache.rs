//! Values that an isolate knows, by key: so many of them, and so many bytes.

use std::collections::HashMap;
use std::rc::Rc;

const ENTRIES_MAX: usize = 2_000;
/// An isolate has 128 MB for everything, and bodies have most of it.
const BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug)]
struct Entry<T> {
    value: Rc<T>,
    at: u64,
    bytes: usize,
}

/// Values, each with the time when it was read and about how many bytes it takes.
#[derive(Debug)]
pub struct Cache<T> {
    entries: HashMap<String, Entry<T>>,
    bytes: usize,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), bytes: 0 }
    }
}

impl<T> Cache<T> {
    /// What was read less than `age_max_ms` ago.
    pub fn get(&self, key: &str, now_ms: u64, age_max_ms: u64) -> Option<Rc<T>> {
        let Entry { value, at, .. } = self.entries.get(key)?;
        (now_ms.saturating_sub(*at) < age_max_ms).then(|| Rc::clone(value))
    }

    /// Where there is no room left all others are forgotten: what is in use is read again.
    pub fn put(&mut self, key: &str, value: Rc<T>, bytes: usize, now_ms: u64) {
        self.remove(key);
        if ENTRIES_MAX <= self.entries.len() || BYTES_MAX < self.bytes.saturating_add(bytes) {
            self.clear();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.insert(key.to_owned(), Entry { value, at: now_ms, bytes });
    }

    pub fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(held: &Cache<u8>, key: &str) -> bool {
        held.get(key, 0, 1).is_some()
    }

    #[test]
    fn what_is_held_is_bounded_by_number_and_by_bytes() {
        let mut held = Cache::default();
        for n in 0..ENTRIES_MAX {
            held.put(&n.to_string(), Rc::new(0), 1, 0);
        }
        held.put("0", Rc::new(0), 1, 0);
        assert!(has(&held, "1"), "what is there already takes no more room");
        held.put("more", Rc::new(0), 1, 0);
        assert!(has(&held, "more") && !has(&held, "1"));

        let third = BYTES_MAX / 3;
        for key in ["a", "b", "b", "b", "c"] {
            held.put(key, Rc::new(0), third - 1, 0);
        }
        assert!(has(&held, "more") && has(&held, "a") && has(&held, "c"));
        held.remove("a");
        held.put("d", Rc::new(0), third, 0);
        assert!(has(&held, "b"), "what is gone gives its room back");
        held.put("e", Rc::new(0), third, 0);
        assert!(has(&held, "e") && !has(&held, "b"));
        held.put("huge", Rc::new(0), usize::MAX, 0);
        assert!(has(&held, "huge"), "alone");
    }

    #[test]
    fn what_was_read_too_long_ago_is_not_given() {
        let mut held = Cache::default();
        held.put("a", Rc::new(7), 0, 100);
        assert_eq!(held.get("a", 109, 10).as_deref(), Some(&7));
        assert_eq!(held.get("a", 110, 10), None);
        assert_eq!(held.get("a", 50, 10).as_deref(), Some(&7), "another clock");
    }
}
