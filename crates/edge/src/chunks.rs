//! What a stream of the runtime holds, chunk by chunk.

use js_sys::{Promise, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use worker::web_sys::ReadableStream;

#[wasm_bindgen(module = "/js/glue.js")]
extern "C" {
    type Reader;
    #[wasm_bindgen(catch)]
    fn reader(stream: &ReadableStream) -> Result<Reader, JsValue>;
    fn chunk(reader: &Reader) -> Promise;
    /// Caught, so that it has glue of its own: functions that need none are imported straight from their module, and wasm-bindgen
    /// writes that module's name once for each of them. `chunk` is the one that may be.
    #[wasm_bindgen(catch)]
    fn leave(reader: &Reader) -> Result<(), JsValue>;
}

/// The chunks of a body. Dropped before its end, it tells the other side that nothing more is wanted. (The `Stream` of `worker`
/// does so by a closure that nobody frees, each time.)
pub(crate) struct Chunks {
    reader: Option<Reader>,
    /// A chunk that is asked for. Whoever stops waiting for it finds it at the next call.
    asked: Option<JsFuture>,
}

impl Chunks {
    /// Takes the stream: nobody else can read it from here on. The error: somebody has taken it already.
    pub(crate) fn of(stream: &ReadableStream) -> Result<Self, JsValue> {
        Ok(Self { reader: Some(reader(stream)?), asked: None })
    }

    /// Waits for the next chunk; `None` is the end. The error: the body broke off.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, JsValue> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let read = self.asked.get_or_insert_with(|| JsFuture::from(chunk(reader))).await;
        self.asked = None;
        match read {
            Ok(chunk) if !chunk.is_undefined() => Ok(Some(Uint8Array::new(&chunk).to_vec())),
            ended => {
                self.reader = None;
                ended.map(|_| None)
            }
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            leave(reader).ok();
        }
    }
}
