//! Runs users' functions in the engine beside this Worker (`js/transform.mjs`).

use std::cell::RefCell;

use inlet_gateway::quarantine::Quarantine;
use inlet_gateway::transform::{Fault, Ran, limits, read, refuse_input};
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::Result;

use crate::chance;

thread_local! {
    static QUARANTINE: RefCell<Quarantine> = RefCell::default();
}

/// Runs a function of a source or a subscription, `whose`, on a JSON text. The outer error is ours, or says that the function
/// rests; the inner one is the function's.
pub(crate) async fn run(
    whose: &str,
    code: &str,
    input: &str,
) -> Result<std::result::Result<Ran, Fault>> {
    let rests = QUARANTINE.with_borrow(|all| all.rests(whose, code, chance::now_ms()));
    if let Some(seconds) = rests {
        let text = format!("the function was stopped time and again, and rests for {seconds} s");
        return Err(worker::Error::RustError(text));
    }
    let ran = trial(code, input).await?;
    let was_stopped = ran.as_ref().is_err_and(|fault| fault.was_stopped);
    QUARANTINE.with_borrow_mut(|all| all.note(whose, code, was_stopped, chance::now_ms()));
    Ok(ran)
}

/// Runs a function for who tries it out.
pub(crate) async fn trial(code: &str, input: &str) -> Result<std::result::Result<Ran, Fault>> {
    if let Some(message) = refuse_input(input) {
        return Ok(Err(Fault { message, log: Vec::new(), was_stopped: false }));
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
