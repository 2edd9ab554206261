//! Judges test vectors: `cargo run -p inlet-verify --example verify -- vectors.json`
//!
//! The file holds an array of objects with the members `id`, `provider`, `secret` (or
//! `secrets`), `method`, `url`, `headers`, `body` (or `body_base64`), `timestamp` (the clock; none: any age will
//! do), `key_document` (what a fetch of the key would return), `valid`, and for questions about the endpoint `handshake` and `expected_response`.
//! Each verdict is printed as a line of JSON. The status is 1 if any contradicts `valid`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what the program is for")]

use std::{env, fs, process::ExitCode};

use inlet_verify::{
    Handshake, Headers, Policy, Provider, Request, Secret, Step, UnixTime, Verifier, catalogue,
    handshake, native,
};
use serde_json::{Value, json};

struct Verdict {
    word: &'static str,
    reason: String,
}

fn main() -> ExitCode {
    let Some(path) = env::args().nth(1) else {
        eprintln!("usage: verify <vectors.json>");
        return ExitCode::from(2);
    };
    let vectors = fs::read(&path).map_err(|error| error.to_string());
    let vectors = vectors.and_then(|text| parse(&text));
    let vectors = match vectors {
        Ok(vectors) => vectors,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut contradicted = false;
    for vector in &vectors {
        let expected = vector["valid"].as_bool().unwrap_or(true);
        let verdict = judge(vector);
        let believed = matches!(verdict.word, "valid" | "handshake");
        contradicted |= verdict.word != "unsupported" && believed != expected;
        let line = json!({
            "id": vector["id"],
            "provider": vector["provider"],
            "expected": if expected { "valid" } else { "invalid" },
            "verdict": verdict.word,
            "reason": verdict.reason,
        });
        println!("{line}");
    }
    if contradicted { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(text: &[u8]) -> Result<Vec<Value>, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

fn judge(vector: &Value) -> Verdict {
    let text = |name: &str| vector[name].as_str().unwrap_or_default();
    let Some(provider) = catalogue::find(text("provider")) else {
        return unsupported("no row of this name");
    };
    let headers = headers(&vector["headers"]);
    let url = if text("url").is_empty() { "https://example.com/" } else { text("url") };
    let method = if text("method").is_empty() { "POST" } else { text("method") };
    let Some(body) = body(vector) else { return unsupported("the body is not text or base64") };
    let request = Request { method, url, headers: &headers, body: &body };
    let now = clock(&vector["timestamp"]);
    let tolerance = if now.is_none() { Some(0) } else { None };
    let now = now.unwrap_or(UnixTime(0));
    let secrets = secrets(vector);
    if vector["handshake"] == true
        && let Some(answer) = handshake(provider, &secrets, &request, now)
    {
        return compare(&answer, &vector["expected_response"]);
    }
    let document = vector["key_document"].as_str().map(|text| text.as_bytes().to_vec());
    deliver(provider, secrets, &request, (now, Policy::tolerating(tolerance)), document)
}

/// The certificate that a published request of `PayPal` names: this program stays off the network.
const PAYPAL: (&str, &[u8]) = (
    "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77",
    include_bytes!("../vectors/paypal.pem"),
);

fn deliver(
    provider: &'static Provider,
    secrets: Vec<Secret>,
    request: &Request<'_>,
    (now, policy): (UnixTime, Policy),
    document: Option<Vec<u8>>,
) -> Verdict {
    let verifier = Verifier::Provider { provider, secrets };
    let outcome = verifier.start(request, now, &policy);
    let known = |step: &Step| matches!(step, Step::NeedKey { url, .. } if url == PAYPAL.0);
    let fetch = |step: &Step| document.clone().or_else(|| known(step).then(|| PAYPAL.1.to_vec()));
    match native::run(outcome, fetch) {
        Ok(_) => Verdict { word: "valid", reason: String::new() },
        Err(refused) if refused.is_temporary() => {
            unsupported("the key is only on the network, and this program stays off it")
        }
        Err(refused) => Verdict { word: "invalid", reason: refused.to_string() },
    }
}

fn unsupported(reason: &str) -> Verdict {
    Verdict { word: "unsupported", reason: reason.to_owned() }
}

/// Whether the answer to a question is the expected one.
fn compare(answer: &Handshake, expected: &Value) -> Verdict {
    let body = match answer {
        Handshake::Reply { body, .. } => body.as_slice(),
        Handshake::Capture { .. } => b"",
        Handshake::Refuse { reason, .. } => {
            return Verdict { word: "invalid", reason: (*reason).to_owned() };
        }
        _ => return unsupported("an answer of a new kind"),
    };
    let same = match expected {
        // Some vectors give the one value that matters, without the object around it.
        Value::String(text) => {
            let members = parse_one(body).and_then(|value| value.as_object().cloned());
            let alone = members.is_some_and(|members| members.values().any(|value| value == text));
            text.as_bytes() == body || alone
        }
        Value::Null => true,
        expected => parse_one(body).as_ref() == Some(expected),
    };
    let reply = String::from_utf8_lossy(body);
    if same {
        return Verdict { word: "handshake", reason: String::new() };
    }
    Verdict { word: "invalid", reason: format!("the reply would be {reply}") }
}

fn parse_one(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

/// A header's value is a string, or a list of strings for repeated lines.
fn headers(lines: &Value) -> Headers {
    let mut found = Vec::new();
    for (name, value) in lines.as_object().into_iter().flatten() {
        let values = value.as_array().map_or_else(|| vec![value], |values| values.iter().collect());
        for value in values {
            found.push((name.clone(), value.as_str().unwrap_or_default().to_owned()));
        }
    }
    found.into_iter().collect()
}

fn body(vector: &Value) -> Option<Vec<u8>> {
    let fields = vector["params"].as_object().filter(|fields| !fields.is_empty());
    if let Some(fields) = fields.filter(|_| vector["body"].as_str().is_none_or(str::is_empty)) {
        return Some(form(fields));
    }
    match (&vector["body"], &vector["body_base64"]) {
        (_, Value::String(text)) => inlet_verify::Encoding::Base64.decode(text.as_bytes()),
        (Value::String(text), _) => Some(text.clone().into_bytes()),
        (Value::Null, _) => Some(Vec::new()),
        _ => None,
    }
}

/// The body of a form, for vectors that only list its fields.
fn form(fields: &serde_json::Map<String, Value>) -> Vec<u8> {
    let escape = |text: &str| {
        let bytes: Vec<_> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        bytes.concat()
    };
    let mut pairs = Vec::new();
    for (name, value) in fields {
        let values = value.as_array().map_or_else(|| vec![value], |values| values.iter().collect());
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            pairs.push(format!("{}={}", escape(name), escape(&text)));
        }
    }
    pairs.join("&").into_bytes()
}

fn secrets(vector: &Value) -> Vec<Secret> {
    let several = vector["secrets"].as_array().into_iter().flatten();
    let texts = several.chain([&vector["secret"]]).filter_map(Value::as_str);
    // Some schemes identify the receiver along with the secret.
    let public = vector["public_key"].as_str().map(|key| format!("{key}:")).unwrap_or_default();
    texts.filter_map(|text| Secret::new(format!("{public}{text}").into_bytes())).collect()
}

/// The clock in any of the ways that providers write it.
fn clock(value: &Value) -> Option<UnixTime> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    UnixTime::parse(&text)
}
