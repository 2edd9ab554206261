//! A request in few words.
#![allow(dead_code, reason = "each test file uses a part of it")]

use inlet_verify::{
    Answer, Encoding, Handshake, Hash, Headers, Mac, Outcome, Policy, Refused, Request, Secret,
    Step, UnixTime, Verified, Verifier, catalogue, handshake, hmac, native,
};

pub(crate) const NOW: u64 = 1_700_000_000;
pub(crate) const URL: &str = "https://hooks.example.com/in";

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes()).unwrap()
}

pub(crate) fn headers(lines: &[(&str, &str)]) -> Headers {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// HMAC-SHA-256 in hex.
pub(crate) fn mac(key: &str, message: &str) -> String {
    hex::encode(hmac(Hash::Sha256, key.as_bytes(), &[message.as_bytes()]))
}

pub(crate) fn mac64(hash: Hash, key: &[u8], message: &str) -> String {
    Encoding::Base64.encode(&hmac(hash, key, &[message.as_bytes()]))
}

pub(crate) fn verifier(provider: &str, secrets: &[&str]) -> Verifier {
    let provider = catalogue::find(provider).unwrap();
    Verifier::Provider { provider, secrets: secrets.iter().map(|text| secret(text)).collect() }
}

/// The verdict, which does not depend on who computes the HMACs.
pub(crate) fn decide(
    verifier: &Verifier,
    request: &Request<'_>,
    now: UnixTime,
    policy: &Policy,
    document: Option<&[u8]>,
) -> Result<Verified, Refused> {
    let run = |policy: &Policy| {
        let mut outcome = verifier.start(request, now, policy);
        while let Outcome::Need(pending) = &outcome
            && let Step::NeedMac(Mac { hash, key, before, after }) = pending.step()
        {
            let made = Answer::Mac(hmac(*hash, key, &[before, request.body, after]));
            let Outcome::Need(pending) = outcome else { unreachable!() };
            outcome = pending.resume(made);
        }
        native::run(outcome, |_| document.map(<[u8]>::to_vec))
    };
    let verdict = run(policy);
    let by_platform = run(&policy.clone().with_platform_macs(0..usize::MAX));
    assert_eq!(by_platform, verdict, "with the HMACs of the platform");
    verdict
}

/// A request under way.
pub(crate) struct Sent {
    pub(crate) provider: &'static str,
    pub(crate) secrets: Vec<String>,
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) lines: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) now: u64,
}

pub(crate) fn to(provider: &'static str) -> Sent {
    Sent {
        provider,
        secrets: vec!["hush".to_owned()],
        method: "POST",
        url: URL.to_owned(),
        lines: Vec::new(),
        body: b"{}".to_vec(),
        now: NOW,
    }
}

impl Sent {
    pub(crate) fn secret(mut self, secret: &str) -> Self {
        self.secrets = vec![secret.to_owned()];
        self
    }

    pub(crate) fn secrets(mut self, secrets: &[&str]) -> Self {
        self.secrets = secrets.iter().map(|text| (*text).to_owned()).collect();
        self
    }

    pub(crate) fn get(mut self, query: &str) -> Self {
        self.method = "GET";
        self.body = Vec::new();
        self.query(query)
    }

    pub(crate) fn query(mut self, query: &str) -> Self {
        self.url = format!("{URL}?{query}");
        self
    }

    pub(crate) fn url(mut self, url: &str) -> Self {
        url.clone_into(&mut self.url);
        self
    }

    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    pub(crate) fn now(mut self, now: u64) -> Self {
        self.now = now;
        self
    }

    fn keys(&self) -> Vec<Secret> {
        self.secrets.iter().map(|text| secret(text)).collect()
    }

    fn with<T>(&self, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Headers = self.lines.iter().cloned().collect();
        let (method, url, body) = (self.method, self.url.as_str(), self.body.as_slice());
        act(&Request { method, url, headers: &headers, body })
    }

    pub(crate) fn verify(&self) -> Result<Verified, Refused> {
        let provider = catalogue::find(self.provider).unwrap();
        let verifier = Verifier::Provider { provider, secrets: self.keys() };
        self.with(|request| {
            decide(&verifier, request, UnixTime(self.now), &Policy::default(), None)
        })
    }

    /// `ok`, or the label of the refusal.
    pub(crate) fn label(&self) -> &'static str {
        self.verify().map_or_else(|refused| refused.label(), |_| "ok")
    }

    pub(crate) fn ask(&self) -> Option<Handshake> {
        let provider = catalogue::find(self.provider).unwrap();
        self.with(|request| handshake(provider, &self.keys(), request, UnixTime(self.now)))
    }

    /// The status, body and named header of the answer to a question.
    pub(crate) fn answer(&self) -> Option<(u16, String)> {
        match self.ask()? {
            Handshake::Reply { status, body, .. } => {
                Some((status, String::from_utf8(body).unwrap()))
            }
            Handshake::Refuse { status, .. } => Some((status, "refused".to_owned())),
            Handshake::Capture { status, .. } => Some((status, "captured".to_owned())),
            _ => None,
        }
    }

    pub(crate) fn answer_header(&self, name: &str) -> Option<String> {
        let (Handshake::Reply { headers, .. } | Handshake::Capture { headers, .. }) = self.ask()?
        else {
            return None;
        };
        headers.into_iter().find(|(have, _)| *have == name).map(|(_, value)| value)
    }
}
