//! Identifiers. A `uid` is a [ULID](https://github.com/ulid/spec): 26 characters that sort by time.

use sha2::{Digest, Sha256};
use ulid::Ulid;

/// Fills a buffer with random bytes. Randomness is an argument everywhere, so that tests own it.
pub type Fill<'a> = &'a mut dyn FnMut(&mut [u8]);

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A new uid for something that came into being at `now_ms` (Unix milliseconds).
pub fn uid(now_ms: u64, fill: Fill<'_>) -> String {
    let mut random = [0; 16];
    fill(&mut random);
    Ulid::from_parts(now_ms, u128::from_be_bytes(random)).to_string()
}

/// A key that is shown once: what it is for, 16 characters to know it by, and 64 that are the secret.
pub(crate) fn key(prefix: &str, fill: Fill<'_>) -> String {
    let known_by = alphanumeric(16, &mut *fill);
    format!("{prefix}{known_by}.{}", alphanumeric(64, fill))
}

/// The first of a uid's 80 bits after its time. Deliveries have them from their event, so that they sort as their events do.
const PLACE_BITS: u32 = 24;
const REST_BITS: u32 = 80 - PLACE_BITS;

/// `count` new uids of the same moment, in the order of what they are for; so are the uids of their deliveries.
pub fn uids(now_ms: u64, count: usize, fill: Fill<'_>) -> impl Iterator<Item = String> + use<> {
    let mut random = [0; 16];
    fill(&mut random);
    // The highest bit is left free, so that counting up from there never runs over.
    let first = u128::from_be_bytes(random) & (u128::MAX >> 49);
    (0..count as u128)
        .map(move |index| Ulid::from_parts(now_ms, first + (index << REST_BITS)).to_string())
}

/// The uid of the delivery of `event` for `subscription`.
///
/// It is derived, so that a fan-out that is repeated after a crash writes the same rows again, and
/// it begins with the event's time and place, so that deliveries stand in the order of their events.
pub fn delivery_uid(event: &str, subscription: &str) -> String {
    let (ms, random) =
        Ulid::from_string(event).map_or((0, 0), |ulid| (ulid.timestamp_ms(), ulid.random()));
    let rest = random_of([event, subscription]) & (u128::MAX >> (128 - REST_BITS));
    Ulid::from_parts(ms, (random >> REST_BITS << REST_BITS) | rest).to_string()
}

/// The uid of the dead letter that an event becomes: the same, however often it is given up.
pub fn dead_letter_uid(event: &str) -> String {
    delivery_uid(event, "/dead")
}

/// A uid for what was found at a place at `now_ms`. But for its time, which nobody can tell from the place, it is derived: what
/// is found there again has the same [`place_in`].
pub fn placed(now_ms: u64, place: &str) -> String {
    Ulid::from_parts(now_ms, random_of(["", place])).to_string()
}

/// What of a uid does not come from its time.
pub fn place_in(uid: &str) -> &str {
    uid.get(10..).unwrap_or_default()
}

fn random_of([first, second]: [&str; 2]) -> u128 {
    let digest: [u8; 32] =
        Sha256::new().chain_update(first).chain_update([0]).chain_update(second).finalize().into();
    let mut random = [0; 16];
    for (to, from) in random.iter_mut().zip(digest) {
        *to = from;
    }
    u128::from_be_bytes(random)
}

/// The lowest and the highest uid that carry the same time as `uid`; `None` when it is no uid.
pub fn same_moment(uid: &str) -> Option<(String, String)> {
    let ms = Ulid::from_string(uid).ok()?.timestamp_ms();
    Some((Ulid::from_parts(ms, 0).to_string(), Ulid::from_parts(ms, u128::MAX).to_string()))
}

/// Whether a text is a uid as we write them.
pub fn is_uid(text: &str) -> bool {
    Ulid::from_string(text).is_ok_and(|ulid| ulid.to_string() == text)
}

/// The time of a uid, in Unix milliseconds; `None` when it is no uid.
pub fn time_of(uid: &str) -> Option<u64> {
    Some(Ulid::from_string(uid).ok()?.timestamp_ms())
}

/// The lowest uid of a time, in Unix milliseconds.
pub fn lowest(ms: u64) -> String {
    Ulid::from_parts(ms.min(MS_MAX), 0).to_string()
}

/// The highest uid of a time.
pub fn highest(ms: u64) -> String {
    Ulid::from_parts(ms.min(MS_MAX), u128::MAX).to_string()
}

/// A uid has 48 bits for its time.
const MS_MAX: u64 = (1 << 48) - 1;

/// `len` characters of `A-Za-z0-9`, evenly distributed: bytes past the last whole multiple of 62
/// are thrown away.
pub fn alphanumeric(len: usize, fill: Fill<'_>) -> String {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let mut random = [0; 32];
        fill(&mut random);
        let letters = random.iter().filter(|byte| **byte < 248);
        let letters = letters.filter_map(|byte| ALPHANUMERIC.get(usize::from(byte % 62)));
        text.extend(letters.take(len - text.len()).map(|letter| char::from(*letter)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_uid_is_the_same_each_time_and_differs_by_subscription() {
        let event = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let id = delivery_uid(event, "sub-a");
        assert_eq!(id, delivery_uid(event, "sub-a"));
        assert_ne!(id, delivery_uid(event, "sub-b"));
        assert_eq!(id.get(..10), event.get(..10));
        let (low, high) = same_moment(event).unwrap();
        assert!(low <= id && id <= high);
    }

    #[test]
    fn uids_of_one_call_and_their_deliveries_stand_in_its_order() {
        for byte in [0, 0x5a, 0xff] {
            let events: Vec<String> = uids(1_000, 5_000, &mut |b| b.fill(byte)).collect();
            assert!(events.iter().all(|uid| time_of(uid) == Some(1_000)));
            assert!(events.is_sorted_by(|a, b| a < b), "{byte}");
            let own: Vec<String> = events.iter().map(|event| delivery_uid(event, "sub")).collect();
            assert!(own.is_sorted_by(|a, b| a < b), "{byte}");
        }
    }

    #[test]
    fn alphanumeric_text_has_the_length_asked_for() {
        let mut n = 0u8;
        let text = alphanumeric(100, &mut |buffer| {
            for byte in buffer {
                n = n.wrapping_add(7);
                *byte = n;
            }
        });
        assert_eq!(text.len(), 100);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
