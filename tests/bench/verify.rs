//! What a verification costs over the bare HMAC of the same bytes, in this process.

use std::hint::black_box;
use std::time::Instant;

use inlet_tests::{base64, hmac_sha256};
use inlet_verify::{Headers, Outcome, Policy, Request, Secret, UnixTime, Verifier, catalogue};

use crate::Targets;
use crate::measure::Series;

const KEY: &[u8] = b"a-secret-of-32-bytes-for-a-bench";
const NOW: u64 = 1_700_000_000;
/// Over a bare HMAC, at 1 KB.
const SHARE_MAX: f64 = 1.2;
/// Turns of which the median counts, and bytes that each of them verifies.
const TURNS: usize = 15;
const TURN_BYTES: usize = 8 << 20;

struct Case {
    name: &'static str,
    verifier: Verifier,
    headers: Vec<(String, String)>,
}

fn case(provider: &str, secret: &[u8], headers: &[(&str, String)]) -> Case {
    let provider = catalogue::find(provider).expect("a row of the catalogue");
    let secrets = Secret::new(secret).into_iter().collect();
    let mut all = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("user-agent".to_owned(), "bench".to_owned()),
    ];
    all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let verifier = Verifier::Provider { provider, secrets };
    Case { name: provider.name, verifier, headers: all }
}

fn cases(body: &[u8]) -> Vec<Case> {
    let mac = |parts: &[&[u8]]| hmac_sha256(KEY, &parts.concat());
    let time = NOW.to_string();
    let stamped = |between: &[u8]| mac(&[time.as_bytes(), between, body]);
    let slack = mac(&[b"v0:", time.as_bytes(), b":", body]);
    let svix = mac(&[b"msg_1.", time.as_bytes(), b".", body]);
    let stripe = format!("t={time},v1={}", hex::encode(stamped(b".")));
    let of_svix = [
        ("svix-id", "msg_1".to_owned()),
        ("svix-timestamp", time.clone()),
        ("svix-signature", format!("v1,{}", base64(&svix))),
    ];
    let of_slack = [
        ("x-slack-request-timestamp", time.clone()),
        ("x-slack-signature", format!("v0={}", hex::encode(slack))),
    ];
    let github = format!("sha256={}", hex::encode(mac(&[body])));
    vec![
        case("github", KEY, &[("x-hub-signature-256", github)]),
        case("shopify", KEY, &[("x-shopify-hmac-sha256", base64(&mac(&[body])))]),
        case("stripe", KEY, &[("stripe-signature", stripe)]),
        case("slack", KEY, &of_slack),
        case("svix", format!("whsec_{}", base64(KEY)).as_bytes(), &of_svix),
    ]
}

/// Microseconds of one call of `run`: the median of the turns.
fn microseconds(body: &[u8], run: &mut dyn FnMut()) -> f64 {
    let calls = (TURN_BYTES / (body.len() + 1024)).max(50);
    let turn = |_| {
        let started = Instant::now();
        for _ in 0..calls {
            run();
        }
        started.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(calls).unwrap_or(u32::MAX))
    };
    Series::new((0..TURNS).map(turn).collect::<Vec<_>>()).median()
}

pub(crate) fn verify(targets: &mut Targets) {
    println!("\nverification, native: µs, and the share of a bare HMAC over the same bytes");
    for (size, label) in [(1024, "1 KB"), (64 * 1024, "64 KB")] {
        let body = vec![b'x'; size];
        for Case { name, verifier, headers } in cases(&body) {
            let headers: Headers = headers.into_iter().collect();
            let url = "https://example.com/ingest/mask";
            let request = Request { method: "POST", url, headers: &headers, body: &body };
            let policy = Policy::default();
            let check = || verifier.start(black_box(&request), UnixTime(NOW), &policy);
            let Outcome::Done(verdict) = check() else { panic!("{name} needs the shell") };
            assert!(verdict.is_ok(), "{name}: {verdict:?}");
            let bare = microseconds(&body, &mut || {
                let mac = inlet_verify::hmac(inlet_verify::Hash::Sha256, KEY, &[black_box(&body)]);
                black_box(mac);
            });
            let ours = microseconds(&body, &mut || {
                black_box(check());
            });
            println!("{name:<10} {label:>6} {ours:>9.2} {bare:>9.2} {:>7.2}", ours / bare);
            if size == 1024 {
                targets.at_most(&format!("verify {name}, 1 KB"), ours / bare, SHARE_MAX, "x HMAC");
            }
        }
    }
}
