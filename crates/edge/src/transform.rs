//! Runs users' functions in the engine beside this Worker (`js/transform.mjs`).

use std::cell::RefCell;

use inlet_gateway::parked::Lack;
use inlet_gateway::quarantine::{Quarantine, Turn};
use inlet_gateway::transform::{Burnt, Fault, Ran, limits, read, refuse_input};
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::Result;

use crate::bodies::unavailable;
use crate::chance;

thread_local! {
    static QUARANTINE: RefCell<Quarantine> = RefCell::default();
}

/// Runs a function of a source or a subscription, `whose`, on a JSON text, which may have waited for it. What it takes
/// is added to what was `burnt` in this invocation. The outer error is ours, or says that the function rests; the inner one is the
/// function's.
pub(crate) async fn run(
    burnt: &Burnt,
    whose: &str,
    code: &str,
    input: &str,
    is_again: bool,
) -> std::result::Result<std::result::Result<Ran, Fault>, Lack> {
    if burnt.is_all() {
        return Err(Lack::Spent);
    }
    let turn = QUARANTINE.with_borrow(|all| all.turn(whose, code, is_again, chance::now_ms()));
    let rests = |seconds: u64| {
        format!(
            "the function was stopped time and again, and rests for {seconds} s from what takes long"
        )
    };
    if let Turn::Not(seconds) = turn {
        return Err(Lack::Turn(rests(seconds), seconds));
    }
    let ran = checked(code, input, turn != Turn::Whole).await.map_err(unavailable)?;
    burnt.add(ran.as_ref().map_or_else(|fault| fault.fuel, |ran| ran.fuel));
    let was_stopped = ran.as_ref().is_err_and(|fault| fault.was_stopped);
    QUARANTINE.with_borrow_mut(|all| all.note(whose, code, turn, was_stopped, chance::now_ms()));
    match turn {
        Turn::Short(seconds) if was_stopped => Err(Lack::Stopped(rests(seconds))),
        _ => Ok(ran),
    }
}

/// Runs a function for somebody who tries it out.
pub(crate) async fn trial(code: &str, input: &str) -> Result<std::result::Result<Ran, Fault>> {
    checked(code, input, false).await
}

async fn checked(
    code: &str,
    input: &str,
    is_short: bool,
) -> Result<std::result::Result<Ran, Fault>> {
    if let Some(message) = refuse_input(input) {
        return Ok(Err(Fault { message, was_stopped: false, fuel: 0 }));
    }
    call(code, &JsValue::from_str(input), &limits(input.len(), is_short)).await
}

/// Compiles a function, and sees that it defines `transform`.
pub(crate) async fn compile(code: &str) -> Result<std::result::Result<Ran, Fault>> {
    call(code, &JsValue::NULL, &limits(0, false)).await
}

async fn call(
    code: &str,
    input: &JsValue,
    limits: &str,
) -> Result<std::result::Result<Ran, Fault>> {
    let engine = Reflect::get(&js_sys::global(), &"inletTransform".into())?;
    let engine: Function = engine
        .dyn_into()
        .map_err(|_| worker::Error::RustError("the engine for functions is not built in".into()))?;
    let limits = JsValue::from_str(limits);
    let answer = engine.call3(&JsValue::NULL, &JsValue::from_str(code), input, &limits)?;
    let answer = JsFuture::from(answer.unchecked_into::<Promise>()).await?;
    Ok(read(&answer.as_string().unwrap_or_default()))
}
