//! Runs users' functions in the engine beside this Worker (`js/transform.mjs`).

use inlet_gateway::transform::{Fault, INPUT_MAX_BYTES, Ran, limits, read};
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::Result;

/// Runs a function on a JSON text. The outer error is ours, the inner one the function's.
pub(crate) async fn run(code: &str, input: &str) -> Result<std::result::Result<Ran, Fault>> {
    if INPUT_MAX_BYTES < input.len() {
        let message = format!(
            "the payload is larger than {INPUT_MAX_BYTES} bytes, which is all that a function takes"
        );
        return Ok(Err(Fault { message, log: Vec::new() }));
    }
    call(code, &JsValue::from_str(input), input.len()).await
}

/// Compiles a function, and sees that it defines `transform`.
pub(crate) async fn compile(code: &str) -> Result<std::result::Result<Ran, Fault>> {
    call(code, &JsValue::NULL, 0).await
}

async fn call(
    code: &str,
    input: &JsValue,
    bytes: usize,
) -> Result<std::result::Result<Ran, Fault>> {
    let engine = Reflect::get(&js_sys::global(), &"inletTransform".into())?;
    let engine: Function = engine
        .dyn_into()
        .map_err(|_| worker::Error::RustError("the engine for functions is not built in".into()))?;
    let limits = JsValue::from_str(&limits(bytes));
    let answer = engine.call3(&JsValue::NULL, &JsValue::from_str(code), input, &limits)?;
    let answer = JsFuture::from(answer.unchecked_into::<Promise>()).await?;
    Ok(read(&answer.as_string().unwrap_or_default()))
}
