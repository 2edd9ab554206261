//! HTTP calls: those of endpoints, and what we ask on our own account.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::pin_mut;
use inlet_gateway::deliver::{Answered, Call, RESPONSE_MAX_BYTES};
use inlet_gateway::interim::{self, is_interim, is_told};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
    Response, ResponseBody, Result,
};

use crate::chunks::Chunks;

/// Makes a call. Whatever goes wrong is an answer too. The status decides, so a body that does not end in time is cut.
pub(crate) async fn make(call: &Call, body: Uint8Array) -> Answered {
    let controller = AbortController::default();
    let signal = controller.signal();
    let timeout = Delay::from(Duration::from_millis(call.timeout_ms));
    let answer = fetch(call, body, &signal);
    pin_mut!(answer, timeout);
    let response = match select(answer, &mut timeout).await {
        Either::Left((Ok(response), _)) => response,
        Either::Left((Err(error), _)) => return Answered::Nothing { error: error.to_string() },
        Either::Right(((), _)) => {
            controller.abort();
            return Answered::Nothing {
                error: format!("no answer within {} s", call.timeout_ms / 1000),
            };
        }
    };
    let headers = response.headers().entries().collect();
    let status = response.status_code();
    let is_interim = is_interim(status);
    let kept = RefCell::new(Vec::new());
    // What comes after an interim answer ends with the connection, which may stay open.
    let is_enough = |kept: &[u8]| is_interim && is_told(kept);
    let reading = read_until(&response, &kept, RESPONSE_MAX_BYTES, is_enough);
    pin_mut!(reading);
    let is_late = matches!(select(reading, timeout).await, Either::Right(_));
    if is_late || is_interim {
        controller.abort();
    }
    let body = kept.take();
    if is_interim {
        return interim::answered(status, &body);
    }
    Answered::Response { status, headers, body }
}

async fn fetch(call: &Call, body: Uint8Array, signal: &worker::AbortSignal) -> Result<Response> {
    let headers = Headers::new();
    for (name, value) in &call.headers {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual)
        .with_body(Some(body.into()));
    let request = Request::new_with_init(&call.url, &init)?;
    drop(init);
    Fetch::Request(request).send_with_signal(signal).await
}

/// A question of ours: for a key, or a token.
pub(crate) struct Ask<'a> {
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// With one it is a POST.
    pub(crate) body: Option<&'a str>,
    pub(crate) within: Duration,
    /// How much of the answer is read.
    pub(crate) max_bytes: usize,
}

/// Asks, and gives status and body of the answer. Redirects are not followed: only the host that was named is trusted.
pub(crate) async fn ask(ask: Ask<'_>) -> Result<(u16, Vec<u8>)> {
    let headers = Headers::new();
    for (name, value) in ask.headers {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_headers(headers).with_redirect(RequestRedirect::Manual);
    if let Some(body) = ask.body {
        init.with_method(Method::Post).with_body(Some(JsValue::from_str(body)));
    }
    let request = Request::new_with_init(ask.url, &init)?;
    let asked = async {
        let response = Fetch::Request(request).send().await?;
        let kept = RefCell::new(Vec::new());
        read_until(&response, &kept, ask.max_bytes, |_| false).await?;
        Ok((response.status_code(), kept.into_inner()))
    };
    let late = Delay::from(ask.within);
    pin_mut!(asked, late);
    match select(asked, late).await {
        Either::Left((asked, _)) => asked,
        Either::Right(_) => {
            let text = format!("no answer within {} s", ask.within.as_secs());
            Err(worker::Error::RustError(text))
        }
    }
}

/// Reads an answer's body into `kept`, at most `max_bytes` of it, or until what there is is enough. The error: it broke off.
async fn read_until(
    response: &Response,
    kept: &RefCell<Vec<u8>>,
    max_bytes: usize,
    is_enough: impl Fn(&[u8]) -> bool,
) -> Result<()> {
    let ResponseBody::Stream(stream) = response.body() else { return Ok(()) };
    let mut chunks = Chunks::of(stream)?;
    while let Some(mut chunk) = chunks.next().await? {
        let mut kept = kept.borrow_mut();
        chunk.truncate(max_bytes.saturating_sub(kept.len()));
        kept.append(&mut chunk);
        if kept.len() == max_bytes || is_enough(&kept) {
            break;
        }
    }
    Ok(())
}
