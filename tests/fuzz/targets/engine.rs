//! Any request against any row of the catalogue: nothing panics, and nobody without the secret is believed.
//!
//! The input: a row (2 bytes), a method (1 byte), an answer to the first steps (1 byte), then lines `name: value`, an empty
//! line, the body.
#![no_main]

use inlet_verify::{
    Answer, Headers, Integrity, Others, Outcome, Policy, Refused, Request, Secret, Step, UnixTime, Verifier, catalogue, diagnose,
    handshake, hmac,
};
use libfuzzer_sys::fuzz_target;

/// Hex and base64 at once, so that every MAC row takes it as a key.
const SECRET: &[u8] = b"4f1c9a77d0e2b8634f1c9a77d0e2b8634f1c9a77d0e2b8634f1c9a77d0e2b863";
const NOW: UnixTime = UnixTime(1_700_000_000);
const MOST_STEPS: usize = 70;

fuzz_target!(|input: &[u8]| {
    let [low, high, method, answer, rest @ ..] = input else { return };
    let rows = catalogue::all();
    let Some(provider) = rows.get(usize::from(u16::from_le_bytes([*low, *high])) % rows.len()) else { return };
    let at = rest.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = at.map_or((rest, &[][..]), |at| (&rest[..at], &rest[at + 2..]));
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let url = format!("https://example.com/{}", lines.next().unwrap_or_default());
    let headers: Headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let method = ["POST", "GET", "HEAD", "OPTIONS"][usize::from(*method % 4)];
    let request = Request { method, url: &url, headers: &headers, body };
    let secrets: Vec<Secret> = Secret::new(SECRET).into_iter().collect();
    // The answer may be a refusal, a reply, or nothing: it must only not panic.
    drop(handshake(provider, &secrets, &request, NOW));
    let verifier = Verifier::Provider { provider, secrets };
    // For every other input the shell's HMACs are asked for, of whatever size.
    let policy = if answer % 2 == 0 { Policy::default() } else { Policy::default().with_platform_macs(0..usize::MAX) };
    let mut outcome = verifier.start(&request, NOW, &policy);
    let mut given_key = false;
    for _ in 0..MOST_STEPS {
        match outcome {
            Outcome::Done(verdict) => {
                // Rows that prove nothing about the body compare a token, or nothing at all.
                let signs = provider.integrity != Integrity::None;
                assert!(verdict.is_err() || given_key || !signs, "{} believed a stranger", provider.name);
                break;
            }
            Outcome::Need(pending) => {
                let reply = match (pending.step(), answer % 3) {
                    (_, 0) => Answer::Unavailable,
                    (Step::NeedKey { url, .. }, _) => {
                        assert!(url.starts_with("https://"), "{url}");
                        given_key = true;
                        Answer::Key(body.to_vec())
                    }
                    (Step::NeedSignatureCheck(_), _) => Answer::Checked(false),
                    (Step::NeedMac(mac), _) => {
                        Answer::Mac(hmac(mac.hash, &mac.key, &[&mac.before, body, &mac.after]))
                    }
                };
                outcome = pending.resume(reply);
            }
        }
    }
    // It tries every row, so only for a few inputs.
    if *answer == 255 {
        let refused = verifier.verify(&request, NOW).err().unwrap_or(Refused::NoSecret);
        drop(diagnose(&verifier, &request, NOW, &refused, Others::default()));
    }
});
