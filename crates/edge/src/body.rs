//! Bodies in memory: reading them counted, and not holding too many of them at once.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{StreamExt, pin_mut};
use js_sys::{Array, Function, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::ReadableStream;
use worker::{ByteStream, Delay, Request, web_sys};

use crate::chance;
use crate::glue::Body;

/// What an isolate holds of bodies that come in, and as much again of bodies that go out. It has 128 MB for everything,
/// and a body stands in it twice for a moment: here, and as the runtime's own buffer.
const HELD_MAX_BYTES: u64 = 24 * 1024 * 1024;
/// Bodies up to this size are not counted.
const SMALL_BYTES: u64 = 64 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a sender may take for a body.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// Which way a body goes. Those that come in and those that go out do not take each other's room.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    In,
    Out,
}

thread_local! {
    static HELD_IN: Cell<u64> = const { Cell::new(0) };
    static HELD_OUT: Cell<u64> = const { Cell::new(0) };
}

/// A share of the memory, given back when it is dropped.
pub(crate) struct Share {
    way: Way,
    bytes: u64,
}

impl Share {
    fn none(way: Way) -> Self {
        Self { way, bytes: 0 }
    }

    /// Makes the share one for `bytes`, if there is room. One body always has room.
    fn grow(&mut self, bytes: u64) -> bool {
        if bytes <= SMALL_BYTES || bytes <= self.bytes {
            return true;
        }
        let (way, own) = (self.way, self.bytes);
        let others = held(way, Cell::get).saturating_sub(own);
        if others != 0 && HELD_MAX_BYTES < others + bytes {
            return false;
        }
        held(way, |held| held.set(others + bytes));
        self.bytes = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        held(self.way, |held| held.set(held.get().saturating_sub(self.bytes)));
    }
}

fn held<T>(way: Way, with: impl FnOnce(&Cell<u64>) -> T) -> T {
    match way {
        Way::In => HELD_IN.with(with),
        Way::Out => HELD_OUT.with(with),
    }
}

/// Waits for room for a body that goes out, until `deadline_ms`.
pub(crate) async fn share_until(bytes: u64, deadline_ms: u64) -> Option<Share> {
    let mut share = Share::none(Way::Out);
    while !share.grow(bytes) {
        if deadline_ms < chance::now_ms() {
            return None;
        }
        Delay::from(LOOK_EVERY).await;
    }
    Some(share)
}

/// Why a body was not read.
pub(crate) enum Unread {
    TooLarge,
    /// There is no room for it now.
    Busy,
    /// The sender broke off, or took too long.
    Broken,
}

/// Reads a body of at most `limit_bytes`. What is small and declares its length is read at once, because HTTP keeps to a
/// length; anything else is counted as it arrives: only what is there takes room, and one byte too many ends it.
pub(crate) async fn read(
    request: &web_sys::Request,
    length: Option<u64>,
    limit_bytes: u64,
) -> Result<(Body, Share), Unread> {
    let share = Share::none(Way::In);
    if length.is_some_and(|length| limit_bytes < length) {
        return Err(Unread::TooLarge);
    }
    if length.is_some_and(|length| length <= SMALL_BYTES) {
        let body = Body::read(request).await.map_err(|_| Unread::Broken)?;
        return if limit_bytes < body.bytes.len() as u64 {
            Err(Unread::TooLarge)
        } else {
            Ok((body, share))
        };
    }
    if request.body().is_none() {
        return Ok((Body::new(Vec::new()), share));
    }
    let counted =
        count(Request::from(<web_sys::Request as Clone>::clone(request)), share, limit_bytes);
    let timeout = Delay::from(READ_WITHIN);
    pin_mut!(counted, timeout);
    match select(counted, timeout).await {
        Either::Left((read, _)) => read,
        Either::Right(((), _)) => Err(Unread::Broken),
    }
}

/// Reads a body that is compressed with gzip. What counts is what it holds, counted while it comes out: a small body that
/// would be a large one ends where it is too large.
pub(crate) async fn read_gzip(
    request: &Request,
    limit_bytes: u64,
) -> Result<(Body, Share), Unread> {
    let stream = inflated(request).map_err(|_| Unread::Broken)?;
    let counted = count_stream(stream, Share::none(Way::In), limit_bytes);
    let timeout = Delay::from(READ_WITHIN);
    pin_mut!(counted, timeout);
    match select(counted, timeout).await {
        Either::Left((read, _)) => read,
        Either::Right(((), _)) => Err(Unread::Broken),
    }
}

/// The body of a request through the platform's
/// [`DecompressionStream`](https://developer.mozilla.org/en-US/docs/Web/API/DecompressionStream).
fn inflated(request: &Request) -> Result<ByteStream, JsValue> {
    let body = request.inner().body().ok_or(JsValue::NULL)?;
    let class = Reflect::get(&js_sys::global(), &"DecompressionStream".into())?;
    let class: Function = class.dyn_into()?;
    let inflate = Reflect::construct(&class, &Array::of1(&"gzip".into()))?;
    let pipe: Function = Reflect::get(&body, &"pipeThrough".into())?.dyn_into()?;
    Ok(pipe.call1(&body, &inflate)?.dyn_into::<ReadableStream>()?.into())
}

async fn count(
    mut request: Request,
    share: Share,
    limit_bytes: u64,
) -> Result<(Body, Share), Unread> {
    count_stream(request.stream().map_err(|_| Unread::Broken)?, share, limit_bytes).await
}

async fn count_stream(
    mut stream: ByteStream,
    mut share: Share,
    limit_bytes: u64,
) -> Result<(Body, Share), Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        body.extend(chunk.map_err(|_| Unread::Broken)?);
        if limit_bytes < body.len() as u64 {
            return Err(Unread::TooLarge);
        }
        if !share.grow(body.len() as u64) {
            return Err(Unread::Busy);
        }
    }
    Ok((Body::new(body), share))
}

/// The declared length of a body.
pub(crate) fn length(request: &Request) -> Option<u64> {
    length_of(request.headers().get("content-length").ok().flatten().as_deref())
}

/// What a `content-length` says.
pub(crate) fn length_of(header: Option<&str>) -> Option<u64> {
    header.and_then(|text| text.trim().parse().ok())
}
