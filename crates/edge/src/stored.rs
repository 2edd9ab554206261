//! Bodies in the object store, read into a share of the memory.

use inlet_gateway::event::StoredEvent;
use inlet_gateway::parked::Lack;
use worker::Result;

use crate::bindings::Bindings;
use crate::body::{Share, no_room, share_until};

/// What became of a body that was asked for.
pub(crate) enum Found {
    Bytes(Vec<u8>, Share),
    /// It has so many bytes, and was not read.
    TooLarge(u64),
    /// The store has no such object.
    Gone,
}

/// Reads an object of at most `most` bytes, and waits for memory until `deadline_ms`.
pub(crate) async fn find(
    key: &str,
    most: u64,
    deadline_ms: u64,
    bindings: &Bindings,
) -> Result<Found> {
    let Some(object) = bindings.bodies()?.get(key).execute().await? else {
        return Ok(Found::Gone);
    };
    let size = object.size();
    if most < size {
        return Ok(Found::TooLarge(size));
    }
    let share = share_until(size, deadline_ms).await.ok_or_else(no_room)?;
    match object.body() {
        Some(body) => Ok(Found::Bytes(body.bytes().await?, share)),
        None => Ok(Found::Gone),
    }
}

/// Reads an object of any size. `None` when it is gone.
pub(crate) async fn read(
    key: &str,
    deadline_ms: u64,
    bindings: &Bindings,
) -> Result<Option<(Vec<u8>, Option<Share>)>> {
    match find(key, u64::MAX, deadline_ms, bindings).await? {
        Found::Bytes(bytes, share) => Ok(Some((bytes, Some(share)))),
        Found::TooLarge(_) | Found::Gone => Ok(None),
    }
}

/// The bytes of an event, wherever they are.
pub(crate) async fn body_of(
    event: &StoredEvent,
    deadline_ms: u64,
    bindings: &Bindings,
) -> Result<Option<(Vec<u8>, Option<Share>)>> {
    match event.inline_body() {
        Ok(body) => Ok(Some((body, None))),
        Err(key) => read(key, deadline_ms, bindings).await,
    }
}

/// What an error, which is ours, leaves an event without.
#[expect(clippy::needless_pass_by_value, reason = "it is mapped over errors")]
pub(crate) fn unavailable(error: worker::Error) -> Lack {
    Lack::Unavailable(error.to_string())
}
