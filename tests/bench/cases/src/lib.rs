//! Requests of five providers, to be verified by Inlet, and by a bare HMAC of the same bytes.

use std::cell::RefCell;
use std::hint::black_box;

use hmac::{Hmac, KeyInit, Mac};
use inlet_verify::{
    Encoding, Headers, Outcome, Policy, Request, Secret, UnixTime, Verifier, catalogue,
};
use sha2::Sha256;

const KEY: &[u8] = b"a-secret-of-32-bytes-for-a-bench";
const NOW: u64 = 1_700_000_000;
pub const NAMES: [&str; 5] = ["github", "shopify", "stripe", "slack", "svix"];

/// A request of one provider, and the source that expects it.
#[derive(Debug)]
pub struct Case {
    verifier: Verifier,
    headers: Headers,
    body: Vec<u8>,
    /// What the provider signs, in one piece, and its HMAC.
    message: Vec<u8>,
    mac: Vec<u8>,
}

impl Case {
    /// By its place in [`NAMES`], with a body of so many bytes.
    pub fn new(number: usize, size: usize) -> Option<Self> {
        let name = NAMES.get(number)?;
        let body = vec![b'x'; size];
        let time = NOW.to_string();
        let before = match *name {
            "stripe" => format!("{time}."),
            "slack" => format!("v0:{time}:"),
            "svix" => format!("msg_1.{time}."),
            _ => String::new(),
        };
        let message = [before.as_bytes(), &body].concat();
        let mac = bare(&message).finalize().into_bytes().to_vec();
        let (hex, base64) = (Encoding::Hex.encode(&mac), Encoding::Base64.encode(&mac));
        let signed: Vec<(&str, String)> = match *name {
            "github" => vec![("x-hub-signature-256", format!("sha256={hex}"))],
            "shopify" => vec![("x-shopify-hmac-sha256", base64)],
            "stripe" => vec![("stripe-signature", format!("t={time},v1={hex}"))],
            "slack" => vec![
                ("x-slack-request-timestamp", time),
                ("x-slack-signature", format!("v0={hex}")),
            ],
            _ => vec![
                ("svix-id", "msg_1".to_owned()),
                ("svix-timestamp", time),
                ("svix-signature", format!("v1,{base64}")),
            ],
        };
        let usual = [("content-type", "application/json"), ("user-agent", "bench")];
        let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let signed = signed.into_iter().map(|(name, value)| (name.to_owned(), value));
        let headers = usual.into_iter().chain(signed).collect();
        let secret = match *name {
            "svix" => format!("whsec_{}", Encoding::Base64.encode(KEY)).into_bytes(),
            _ => KEY.to_vec(),
        };
        let secrets = Secret::new(secret).into_iter().collect();
        let verifier = Verifier::Provider { provider: catalogue::find(name)?, secrets };
        Some(Self { verifier, headers, body, message, mac })
    }

    /// Whether Inlet believes the request, every time.
    pub fn ours(&self, calls: u32) -> bool {
        let url = "https://example.com/ingest/mask";
        let (headers, body) = (&self.headers, self.body.as_slice());
        let request = Request { method: "POST", url, headers, body };
        let policy = Policy::default();
        (0..calls).all(|_| {
            let outcome = self.verifier.start(black_box(&request), UnixTime(NOW), &policy);
            matches!(outcome, Outcome::Done(Ok(_)))
        })
    }

    /// Whether the HMAC that was sent is right, every time: what no verification can do without.
    pub fn bare(&self, calls: u32) -> bool {
        (0..calls).all(|_| bare(black_box(&self.message)).verify_slice(&self.mac).is_ok())
    }
}

fn bare(message: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(black_box(KEY));
    let mut mac = mac.unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(message);
    mac
}

thread_local! {
    static CASE: RefCell<Option<Case>> = const { RefCell::new(None) };
}

/// Sets up what [`ours`] and [`bare_hmac`] run. Answers whether there is such a case.
#[expect(unsafe_code, reason = "it exports the function")]
#[unsafe(no_mangle)]
extern "C" fn prepare(number: usize, size: usize) -> bool {
    CASE.with(|case| case.replace(Case::new(number, size)));
    CASE.with(|case| case.borrow().is_some())
}

#[expect(unsafe_code, reason = "it exports the function")]
#[unsafe(no_mangle)]
extern "C" fn ours(calls: u32) -> bool {
    CASE.with(|case| case.borrow().as_ref().is_some_and(|case| case.ours(calls)))
}

#[expect(unsafe_code, reason = "it exports the function")]
#[unsafe(no_mangle)]
extern "C" fn bare_hmac(calls: u32) -> bool {
    CASE.with(|case| case.borrow().as_ref().is_some_and(|case| case.bare(calls)))
}
