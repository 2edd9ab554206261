//! Bodies in memory: reading them counted, and not holding too many of them at once.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::pin_mut;
use inlet_gateway::room::{PACE_MS, Room, SMALL_BYTES, UNCOUNTED_BYTES, Unread};
use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::web_sys::ReadableStream;
use worker::{Delay, Request, web_sys};

use crate::chunks::Chunks;
use crate::glue::Body;

/// What an isolate holds of bodies that come in; [`crate::bodies`] says what of those that go out. It has 128 MB for
/// everything, and a body stands in it twice for a moment: here, and as the runtime's own buffer.
const HELD_MAX_BYTES: u64 = 24 * 1024 * 1024;
/// How much of it one source, or one project that pushes, may hold.
const HELD_BY_ONE_BYTES: u64 = 16 * 1024 * 1024;
/// How long a sender may take for a body.
const READ_WITHIN_MS: u32 = 30_000;

#[wasm_bindgen(module = "/js/glue.js")]
extern "C" {
    #[wasm_bindgen(js_name = read)]
    fn read_for(request: &web_sys::Request, length: u32, ms: u32) -> Promise;
    #[wasm_bindgen(js_name = goOn)]
    fn go_on(pending: &JsValue, ms: u32) -> Promise;
}

thread_local! {
    static IN: RefCell<Room> = RefCell::new(Room::new(HELD_MAX_BYTES, HELD_BY_ONE_BYTES));
}

/// A share of the memory, given back when it is dropped.
pub(crate) struct Share {
    holder: String,
    bytes: u64,
}

impl Share {
    fn none(holder: &str) -> Self {
        Self { holder: holder.to_owned(), bytes: 0 }
    }

    /// Makes the share one for `bytes` that have come, if there is room.
    fn grow(&mut self, bytes: u64) -> bool {
        if bytes <= UNCOUNTED_BYTES || bytes <= self.bytes {
            return true;
        }
        let fits = IN.with_borrow_mut(|room| room.grow(&self.holder, self.bytes, bytes));
        if fits {
            self.bytes = bytes;
        }
        fits
    }

    /// Makes an empty share one for `bytes` that are still to come, if they may have a place.
    fn keep_place(&mut self, bytes: u64) -> bool {
        if bytes <= UNCOUNTED_BYTES {
            return true;
        }
        let fits = IN.with_borrow_mut(|room| room.keep_place(&self.holder, bytes));
        if fits {
            self.bytes = bytes;
        }
        fits
    }

    /// Whether it has to make room for others, if `came` bytes of it came in the last [`PACE_MS`].
    fn is_too_slow(&self, came: u64) -> bool {
        self.bytes != 0 && IN.with_borrow(|room| room.is_too_slow(came))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes != 0 {
            IN.with_borrow_mut(|room| room.give_back(&self.holder, self.bytes));
        }
    }
}

/// Reads a body of at most `limit_bytes` that counts as `holder`'s. A small body whose length is declared is read in one go while
/// there is much room (HTTP holds the sender to the length). Any other is counted as it arrives: only what is there takes room,
/// and one byte too many ends it.
pub(crate) async fn read(
    request: &web_sys::Request,
    holder: &str,
    length: Option<u64>,
    limit_bytes: u64,
) -> Result<(Body, Share), Unread> {
    let mut share = Share::none(holder);
    if length.is_some_and(|length| limit_bytes < length) {
        return Err(Unread::TooLarge);
    }
    if length == Some(0) {
        return Ok((Body::new(Vec::new()), share));
    }
    if let Some(length) = length
        && let Ok(small) = u32::try_from(length)
        && length <= SMALL_BYTES
        && share.keep_place(length)
    {
        return read_at_once(request, small, share).await;
    }
    let Some(stream) = request.body() else { return Ok((Body::new(Vec::new()), share)) };
    count(&stream, share, limit_bytes).await
}

/// Reads a small body into the place that is kept for it before it comes.
async fn read_at_once(
    request: &web_sys::Request,
    length: u32,
    share: Share,
) -> Result<(Body, Share), Unread> {
    // The runtime hands over every body in a later turn of its loop, also one that is there already. So the clock has to run
    // before it is known that it was not needed; it is one entry in a list of the runtime's, put in and taken out.
    let mut step = read_for(request, length, PACE_MS);
    for _ in 0..READ_WITHIN_MS / PACE_MS {
        let read = JsFuture::from(step).await.map_err(|_| Unread::Broken)?;
        let pending = match read.dyn_into::<Uint8Array>() {
            Ok(array) => return Ok((Body::of(array), share)),
            Err(pending) => pending,
        };
        // How much of it has come is not known; it is not much, at that pace.
        if share.is_too_slow(0) {
            return Err(Unread::Busy);
        }
        step = go_on(&pending, PACE_MS);
    }
    Err(Unread::Late)
}

/// Reads a body that is compressed with gzip. What counts is what it holds, counted while it comes out: a small body that
/// would be a large one ends where it is too large.
pub(crate) async fn read_gzip(
    request: &Request,
    holder: &str,
    limit_bytes: u64,
) -> Result<(Body, Share), Unread> {
    let stream = inflated(request).map_err(|_| Unread::Broken)?;
    count(&stream, Share::none(holder), limit_bytes).await
}

/// The body of a request through the platform's
/// [`DecompressionStream`](https://developer.mozilla.org/en-US/docs/Web/API/DecompressionStream).
fn inflated(request: &Request) -> Result<ReadableStream, JsValue> {
    let body = request.inner().body().ok_or(JsValue::NULL)?;
    let class = Reflect::get(&js_sys::global(), &"DecompressionStream".into())?;
    let class: Function = class.dyn_into()?;
    let inflate = Reflect::construct(&class, &Array::of1(&"gzip".into()))?;
    let pipe: Function = Reflect::get(&body, &"pipeThrough".into())?.dyn_into()?;
    pipe.call1(&body, &inflate)?.dyn_into()
}

/// Reads a stream until it ends, or is too large, too late, or too slow while others wait for room.
async fn count(
    stream: &ReadableStream,
    mut share: Share,
    limit_bytes: u64,
) -> Result<(Body, Share), Unread> {
    let mut chunks = Chunks::of(stream).map_err(|_| Unread::Broken)?;
    let mut body = Vec::new();
    for _ in 0..READ_WITHIN_MS / PACE_MS {
        let before = body.len();
        let pace = Delay::from(Duration::from_millis(PACE_MS.into()));
        pin_mut!(pace);
        loop {
            let next = chunks.next();
            pin_mut!(next);
            let Either::Left((chunk, _)) = select(next, pace.as_mut()).await else { break };
            let chunk = chunk.map_err(|_| Unread::Broken)?;
            let Some(chunk) = chunk else { return Ok((Body::new(body), share)) };
            body.extend(chunk);
            if limit_bytes < body.len() as u64 {
                return Err(Unread::TooLarge);
            }
            if !share.grow(body.len() as u64) {
                return Err(Unread::Busy);
            }
        }
        if share.is_too_slow((body.len() - before) as u64) {
            return Err(Unread::Busy);
        }
    }
    Err(Unread::Late)
}

/// The declared length of a body.
pub(crate) fn length(request: &Request) -> Option<u64> {
    length_of(request.headers().get("content-length").ok().flatten().as_deref())
}

/// What a `content-length` says.
pub(crate) fn length_of(header: Option<&str>) -> Option<u64> {
    header.and_then(|text| text.trim().parse().ok())
}
