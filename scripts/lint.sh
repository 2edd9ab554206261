#!/usr/bin/env bash
# What CI checks besides the tests: formatting, lints, documentation, the Worker's target.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# As worker-build compiles: its flag, its profile, and its own target directory (see build-edge.sh), so that what both need is
# compiled once.
export WASM_BINDGEN_USE_JS_SYS=1
WASM=(--profile worker --target wasm32-unknown-unknown --target-dir target/worker)

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
step cargo clippy -p inlet-edge "${WASM[@]}" -- -D warnings
# The pure crates compile for the Worker's target on their own, without `worker`.
step cargo check -p inlet-verify -p inlet-gateway "${WASM[@]}"
step env RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --workspace --exclude inlet-edge --document-private-items
step env RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --document-private-items -p inlet-edge "${WASM[@]}"
