//! Bodies in memory: reading them counted, and not holding too many of them at once.

use std::cell::Cell;
use std::time::Duration;

use futures_util::StreamExt;
use worker::{Delay, Request};

use crate::chance;

/// What an isolate holds of large bodies at once. It has 128 MB for everything, and a body stands in it twice: here, and
/// as the runtime's own buffer.
const LARGE_MAX_BYTES: u64 = 40 * 1024 * 1024;
/// Bodies up to this size are not counted.
const SMALL_BYTES: u64 = 64 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(50);

thread_local! {
    static HELD: Cell<u64> = const { Cell::new(0) };
}

/// A share of the memory, given back when it is dropped.
pub(crate) struct Share(u64);

impl Drop for Share {
    fn drop(&mut self) {
        HELD.set(HELD.get().saturating_sub(self.0));
    }
}

/// Takes a share for a body of `bytes`, if there is room. One body always has room.
pub(crate) fn share(bytes: u64) -> Option<Share> {
    if bytes <= SMALL_BYTES {
        return Some(Share(0));
    }
    let held = HELD.get();
    if held != 0 && LARGE_MAX_BYTES < held + bytes {
        return None;
    }
    HELD.set(held + bytes);
    Some(Share(bytes))
}

/// Waits for a share until `deadline_ms`.
pub(crate) async fn share_until(bytes: u64, deadline_ms: u64) -> Option<Share> {
    loop {
        if let Some(share) = share(bytes) {
            return Some(share);
        }
        if deadline_ms < chance::now_ms() {
            return None;
        }
        Delay::from(LOOK_EVERY).await;
    }
}

/// Why a body was not read.
pub(crate) enum Unread {
    TooLarge,
    /// The sender broke off.
    Broken,
}

/// Reads a body of at most `limit_bytes`. A length that is declared is kept to by HTTP itself, so a small one is read at
/// once; what is chunked is refused the moment it goes over the limit.
pub(crate) async fn read(
    request: &mut Request,
    length: Option<u64>,
    limit_bytes: u64,
) -> Result<Vec<u8>, Unread> {
    let over = |len: usize| limit_bytes < len as u64;
    if let Some(length) = length {
        if limit_bytes < length {
            return Err(Unread::TooLarge);
        }
        let body = request.bytes().await.map_err(|_| Unread::Broken)?;
        return if over(body.len()) { Err(Unread::TooLarge) } else { Ok(body) };
    }
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    let mut stream = request.stream().map_err(|_| Unread::Broken)?;
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        body.extend(chunk.map_err(|_| Unread::Broken)?);
        if over(body.len()) {
            return Err(Unread::TooLarge);
        }
    }
    Ok(body)
}

/// The declared length of a body.
pub(crate) fn length(request: &Request) -> Option<u64> {
    request.headers().get("content-length").ok().flatten().and_then(|text| text.trim().parse().ok())
}

/// The headers of a request. They cross as one JSON text: asked for one by one, each costs half a dozen calls into the
/// runtime.
pub(crate) fn headers(headers: &worker::Headers) -> inlet_verify::Headers {
    let entries = js_sys::Array::from(headers.0.as_ref());
    let text = js_sys::JSON::stringify(&entries).map(String::from).unwrap_or_default();
    let pairs: Vec<(String, String)> = serde_json::from_str(&text).unwrap_or_default();
    pairs.into_iter().collect()
}
