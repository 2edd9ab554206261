//! Changes that are made from what is stored: whoever is overtaken makes theirs again, from what the other has left.

/// How often one change is made.
const TRIES: usize = 10;

/// Makes a change until no other comes between, or for the last time.
pub(crate) async fn again<T>(
    mut change: impl AsyncFnMut() -> T,
    is_overtaken: impl Fn(&T) -> bool,
) -> T {
    for _ in 1..TRIES {
        let done = change().await;
        if !is_overtaken(&done) {
            return done;
        }
    }
    change().await
}
