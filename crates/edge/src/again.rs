//! Changes that are made from what is stored: whoever is overtaken makes theirs again, from what the other has left.

/// How often one change is made.
const TRIES: usize = 10;

/// Makes a change until no other comes between. `None`: one always did.
pub(crate) async fn again<T, E>(
    mut change: impl AsyncFnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    for _ in 0..TRIES {
        if let Some(made) = change().await? {
            return Ok(Some(made));
        }
    }
    Ok(None)
}
