#!/usr/bin/env bash
# What CI checks besides the tests: formatting, lints, documentation, and that the pure crates stay pure.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

WASM=(--target wasm32-unknown-unknown)

step() {
  say "lint: $*"
  "$@" </dev/null || die "failed: $*"
}

for component in rustfmt clippy; do
  cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component" ||
    die "cargo has no $component, and rustup could not add it."
done

step cargo fmt --all --check
step cargo clippy --workspace --exclude inlet-edge --all-targets -- -D warnings
# The Worker's own target directory and flag, or this would undo worker-build's work (see build-edge.sh).
step env WASM_BINDGEN_USE_JS_SYS=1 cargo clippy -p inlet-edge "${WASM[@]}" --target-dir target/worker -- -D warnings
step env RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --workspace
# No clock, no sockets, no threads: what compiles for the bare target knows none of them.
step cargo check -p inlet-verify -p inlet-gateway "${WASM[@]}"
