use std::time::{Duration, Instant};

/// Generous, because tests share their machine; nothing that works comes near it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Asks until there is an answer; panics with `what` when there is none before the deadline.
#[track_caller]
pub fn poll_until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    match poll_until_within(DEADLINE, ask) {
        Some(answer) => answer,
        None => panic!("waited {DEADLINE:?} in vain: {what}"),
    }
}

/// Asks until there is an answer or the time is over.
pub fn poll_until_within<T>(deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if started.elapsed() >= deadline {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
