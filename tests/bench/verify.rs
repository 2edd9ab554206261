//! What a verification costs over the bare HMAC of the same bytes, in this process and in wasm.

use std::process::Command;
use std::time::Instant;

use inlet_bench_cases::{Case, NAMES};
use inlet_tests::repository;

use crate::Targets;
use crate::measure::Series;

/// Over a bare HMAC, at 1 KB.
const SHARE_MAX: f64 = 1.2;
/// Ours and the bare HMAC take turns that are shorter than what the system lets a program run at a
/// time: a turn that was interrupted is far off, and the median does not see it.
const TURNS: usize = 301;
const TURN_BYTES: usize = 256 << 10;
/// Wasm takes its time.
const WASM_SHARE: usize = 4;

/// µs of one call, ours and the bare HMAC, and the median of the shares of the turns.
struct Figures {
    ours: f64,
    bare: f64,
    share: f64,
}

pub(crate) fn verify(targets: &mut Targets) {
    let module = module();
    for (place, wasm) in [("native", None), ("wasm", module.as_deref())] {
        if place == "wasm" && wasm.is_none() {
            continue;
        }
        println!(
            "\nverification, {place}: µs, a bare HMAC over the same bytes, and the share of it"
        );
        for (size, label) in [(1024, "1 KB"), (64 * 1024, "64 KB")] {
            let measured = wasm.map_or_else(|| native(size), |module| in_wasm(module, size));
            for (name, Figures { ours, bare, share }) in NAMES.iter().zip(measured) {
                println!("{name:<10} {label:>6} {ours:>9.2} {bare:>9.2} {share:>7.2}");
                if size == 1024 {
                    let what = format!("verify {name}, 1 KB, {place}");
                    targets.at_most(&what, share, SHARE_MAX, "x HMAC");
                }
            }
        }
    }
}

fn calls(size: usize) -> u32 {
    u32::try_from(TURN_BYTES / (size + 1024)).unwrap_or(1).max(2)
}

fn native(size: usize) -> Vec<Figures> {
    let calls = calls(size);
    let microseconds = |run: &dyn Fn(u32) -> bool| {
        let started = Instant::now();
        assert!(run(calls), "a signature of the bench is not believed");
        started.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    let measure = |number| {
        let case = Case::new(number, size).expect("a case for every name");
        let turn =
            |_| (microseconds(&|calls| case.bare(calls)), microseconds(&|calls| case.ours(calls)));
        let turns: Vec<(f64, f64)> = (0..TURNS).map(turn).collect();
        let median = |figure: fn(&(f64, f64)) -> f64| {
            Series::new(turns.iter().map(figure).collect::<Vec<_>>()).median()
        };
        Figures {
            bare: median(|(bare, _)| *bare),
            ours: median(|(_, ours)| *ours),
            share: median(|(bare, ours)| ours / bare),
        }
    };
    (0..NAMES.len()).map(measure).collect()
}

/// The cases as a wasm module, built as the Worker is: its path. `None`, said aloud, where that cannot be done.
fn module() -> Option<String> {
    let script = repository().join("scripts/bench-wasm.sh");
    let built = Command::new(script).output().expect("scripts/bench-wasm.sh");
    if !built.status.success() {
        println!("\nnot measured in wasm: {}", String::from_utf8_lossy(&built.stderr));
        return None;
    }
    Some(String::from_utf8_lossy(&built.stdout).trim().to_owned())
}

fn in_wasm(module: &str, size: usize) -> Vec<Figures> {
    let turn = (calls(size) as usize / WASM_SHARE).max(2);
    let numbers = [size, TURNS, turn].map(|number| number.to_string());
    let script = repository().join("tests/bench/verify.mjs");
    let mut node = Command::new("node");
    let run = node.arg(script).arg(module).args(numbers).args(NAMES).output().expect("node");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures = |line: &str| {
        let mut words = line.split(' ').skip(1).map(|word| word.parse().expect("a figure"));
        let mut next = || words.next().expect("three figures");
        Figures { ours: next(), bare: next(), share: next() }
    };
    String::from_utf8_lossy(&run.stdout).lines().map(figures).collect()
}
