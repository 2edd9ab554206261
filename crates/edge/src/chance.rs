//! The clock and the dice: the two things that the pure crates must not have.

use std::cell::RefCell;

/// Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time since 1970, below 2^53"
    )]
    let now = js_sys::Date::now() as u64;
    now
}

/// Fills a buffer with random bytes of the platform.
pub(crate) fn fill(buffer: &mut [u8]) {
    if getrandom::fill(buffer).is_err() {
        // WebCrypto does not fail on Workers. If it did, a key that is no secret would be worse than no answer.
        wasm_bindgen::throw_str("the platform has no randomness");
    }
}

/// A fresh uid. Its dice are thrown for many at once: asking the platform costs more than making the uid.
pub(crate) fn uid(now_ms: u64) -> String {
    thread_local! {
        static THROWN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    THROWN.with_borrow_mut(|thrown| {
        inlet_gateway::ids::uid(now_ms, &mut |buffer| {
            if thrown.len() < buffer.len() {
                thrown.resize(THROW_BYTES.max(buffer.len()), 0);
                fill(thrown);
            }
            let rest = thrown.split_off(thrown.len() - buffer.len());
            buffer.copy_from_slice(&rest);
        })
    })
}

const THROW_BYTES: usize = 1_024;

/// A fresh `req_…`, by which the log finds what an answer was about.
pub(crate) fn request_id() -> String {
    format!("req_{}", uid(now_ms()).to_ascii_lowercase())
}

/// Characters that nobody can guess.
pub(crate) fn word() -> String {
    inlet_gateway::ids::alphanumeric(22, &mut fill)
}

/// Any number.
pub(crate) fn jitter() -> u32 {
    let mut bytes = [0; 4];
    fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}
