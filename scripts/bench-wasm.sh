#!/usr/bin/env bash
# Builds what `make bench` verifies in wasm, with the Worker's profile and flags, and prints the path of the module.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# A target directory of its own: the Worker's has other flags, and would be built anew each time.
export CARGO_TARGET_DIR=$ROOT/target/bench-wasm
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+simd128" \
  cargo build -q --profile worker --target wasm32-unknown-unknown -p inlet-bench-cases >&2 || die "the bench does not build for wasm."
built=$CARGO_TARGET_DIR/wasm32-unknown-unknown/worker/inlet_bench_cases.wasm
node_modules/.bin/wasm-opt -Oz --strip-debug --strip-producers --enable-bulk-memory --enable-mutable-globals --enable-sign-ext \
  --enable-nontrapping-float-to-int --enable-multivalue --enable-reference-types --enable-simd "$built" -o "${built%.wasm}.opt.wasm" >&2 ||
  die "wasm-opt failed (the messages stand above)."
printf '%s\n' "${built%.wasm}.opt.wasm"
