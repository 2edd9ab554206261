//! The steps of a verification that need the platform: fetching keys, and checking RSA and ECDSA with WebCrypto.

use std::cell::RefCell;
use std::time::Duration;

use inlet_gateway::address;
use inlet_gateway::key_cache::{KeyCache, Look};
use inlet_gateway::oauth::Assertion;
use inlet_verify::{Answer, Outcome, Pending, Refused, Secret, SignatureCheck, Step, Verified};
use js_sys::{Array, Object, Reflect, Uint8Array};
use serde_json::json;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::Result;

use crate::bindings::Bindings;
use crate::calling::{self, Ask};
use crate::glue::Body;
use crate::{chance, log};

const DOCUMENT_MAX_BYTES: usize = 256 * 1024;
const FETCH_WITHIN: Duration = Duration::from_secs(5);

thread_local! {
    static KEYS: RefCell<KeyCache> = RefCell::default();
}

/// What the shell did on the way to a verdict.
pub(crate) struct Performed {
    pub(crate) verdict: std::result::Result<Verified, Refused>,
    /// The key came from the cache and is old enough to be fetched again.
    pub(crate) is_stale: bool,
}

/// Performs the steps of a verification for a source of a project until there is a verdict. `fresh`: no key from the cache.
pub(crate) async fn perform(
    mut pending: Box<Pending>,
    (project, source): (&str, &str),
    body: &Body,
    fresh: bool,
    bindings: &Bindings,
) -> Performed {
    let mut is_stale = false;
    loop {
        let answer = match pending.step() {
            Step::NeedKey { url, body } => {
                match key((project, source), (url, body.as_deref()), fresh, bindings).await {
                    Got::Key { bytes, is_stale: stale } => {
                        is_stale |= stale;
                        Answer::Key(bytes)
                    }
                    Got::NotAsked => {
                        log::error("key_not_asked_for", json!({"source_id": source}));
                        Answer::NotAsked
                    }
                    Got::Failed(error) => {
                        log::error("key_unavailable", json!({"error": error}));
                        Answer::Unavailable
                    }
                }
            }
            Step::NeedMac(mac) => Answer::Mac(body.hmac(mac).await),
            // A key that the platform does not take proves nothing.
            Step::NeedSignatureCheck(check) => {
                Answer::Checked(check_signature(check).await.unwrap_or(false))
            }
        };
        match pending.resume(answer) {
            Outcome::Done(verdict) => return Performed { verdict, is_stale },
            Outcome::Need(next) => pending = next,
        }
    }
}

/// What came of looking for a key.
enum Got {
    Key { bytes: Vec<u8>, is_stale: bool },
    NotAsked,
    Failed(String),
}

async fn key(
    of: (&str, &str),
    (url, body): (&str, Option<&str>),
    fresh: bool,
    bindings: &Bindings,
) -> Got {
    let asked = KEYS.with_borrow_mut(|keys| keys.look(of, (url, body), fresh, chance::now_ms()));
    match asked {
        Look::Have { bytes, is_stale } => return Got::Key { bytes, is_stale },
        Look::Wait => return Got::Failed("its host has failed lately".into()),
        Look::TooMany => return Got::NotAsked,
        Look::Ask => {}
    }
    let fetched = get(url, body, bindings).await;
    let (now, dice) = (chance::now_ms(), u64::from(chance::jitter()));
    let outcome = fetched.as_deref().ok();
    KEYS.with_borrow_mut(|keys| keys.fetched(url, body, outcome, now, dice));
    match fetched {
        Ok(bytes) => Got::Key { bytes, is_stale: false },
        Err(error) => Got::Failed(error.to_string()),
    }
}

/// Fetches a small document.
pub(crate) async fn get(url: &str, body: Option<&str>, bindings: &Bindings) -> Result<Vec<u8>> {
    address::check(url, bindings.settings.allow_private_endpoints)
        .map_err(|_| worker::Error::RustError("its address may not be called".into()))?;
    let json = [("content-type", "application/json")];
    let (status, bytes) = calling::ask(Ask {
        url,
        headers: if body.is_some() { &json } else { &[] },
        body,
        within: FETCH_WITHIN,
        // One byte more says that it is too large.
        max_bytes: DOCUMENT_MAX_BYTES + 1,
    })
    .await?;
    if status != 200 || DOCUMENT_MAX_BYTES < bytes.len() {
        let text = format!("answered {status} with {} bytes", bytes.len());
        return Err(worker::Error::RustError(text));
    }
    Ok(bytes)
}

/// Signs with a private key in JSON.
pub(crate) async fn sign(
    assertion: &Assertion,
    key: &Secret,
    message: &[u8],
) -> std::result::Result<Vec<u8>, JsValue> {
    let way = assertion.way().ok_or(JsValue::NULL)?;
    let subtle = subtle()?;
    let algorithm = Object::new();
    Reflect::set(&algorithm, &"name".into(), &way.web_name.into())?;
    Reflect::set(&algorithm, &"hash".into(), &way.hash.into())?;
    Reflect::set(&algorithm, &"namedCurve".into(), &way.curve.into())?;
    Reflect::set(&algorithm, &"saltLength".into(), &way.salt_bytes.into())?;
    let key = js_sys::JSON::parse(&String::from_utf8_lossy(key.expose()))?;
    let import =
        Array::of5(&"jwk".into(), &key, &algorithm, &false.into(), &Array::of1(&"sign".into()));
    let key = call(&subtle, "importKey", &import).await?;
    let sign = Array::of3(&algorithm, &key, &Uint8Array::from(message).into());
    Ok(Uint8Array::new(&call(&subtle, "sign", &sign).await?).to_vec())
}

fn subtle() -> std::result::Result<JsValue, JsValue> {
    Reflect::get(&Reflect::get(&js_sys::global(), &"crypto".into())?, &"subtle".into())
}

async fn call(
    subtle: &JsValue,
    name: &str,
    arguments: &Array,
) -> std::result::Result<JsValue, JsValue> {
    let method: js_sys::Function = Reflect::get(subtle, &name.into())?.dyn_into()?;
    JsFuture::from(method.apply(subtle, arguments)?.dyn_into::<js_sys::Promise>()?).await
}

/// Checks a signature with [WebCrypto](https://www.w3.org/TR/WebCryptoAPI/).
async fn check_signature(check: &SignatureCheck) -> std::result::Result<bool, JsValue> {
    let subtle = subtle()?;
    let algorithm = Object::new();
    Reflect::set(&algorithm, &"name".into(), &check.algorithm.web_name().into())?;
    Reflect::set(&algorithm, &"hash".into(), &check.algorithm.web_hash().into())?;
    Reflect::set(&algorithm, &"namedCurve".into(), &"P-256".into())?;
    let bytes = |bytes: &[u8]| -> JsValue { Uint8Array::from(bytes).into() };
    let import = Array::of5(
        &"spki".into(),
        &bytes(&check.key),
        &algorithm,
        &false.into(),
        &Array::of1(&"verify".into()),
    );
    let key = call(&subtle, "importKey", &import).await?;
    let verify = Array::of4(&algorithm, &key, &bytes(&check.signature), &bytes(&check.message));
    Ok(call(&subtle, "verify", &verify).await?.is_truthy())
}
