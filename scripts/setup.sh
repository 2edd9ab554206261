#!/usr/bin/env bash
# Everything the other targets need. Safe to repeat; quick when nothing is missing.
#
#   CARGO_BUILD_JOBS   how many compilers may run at once (cargo's own variable)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

RUST_MIN=1.94.1

ok() { say "  ok  $*"; }
doing() { say "  ..  $*"; }
# timed WHAT COMMAND...: tells what is done, and how long it took.
timed() {
  local what=$1 began=$SECONDS
  shift
  doing "$what"
  "$@" || return 1
  ok "$what, $((SECONDS - began)) s"
}

rust() {
  command -v cargo >/dev/null || die "cargo is not on PATH. Install Rust $RUST_MIN or newer with rustup: https://rustup.rs"
  local have
  have=$(rustc --version 2>&1 | version_in) || true
  [ -n "$have" ] || die "rustc does not run: $(rustc --version 2>&1 | tail -n 1). Try: rustup default stable"
  at_least "$have" "$RUST_MIN" || die "Rust $have is too old, $RUST_MIN or newer is needed. Try: rustup update stable"
  ok "Rust $have"
}

wasm_target() {
  local target=wasm32-unknown-unknown sysroot
  sysroot=$(rustc --print sysroot)
  if [ ! -d "$sysroot/lib/rustlib/$target/lib" ]; then
    command -v rustup >/dev/null || die "$sysroot has no standard library for $target, and there is no rustup to add it. Install your distribution's package for it, or Rust with rustup."
    timed "rustup target add $target" rustup --quiet target add "$target" ||
      die "rustup could not add $target (its message stands above). It needs the network once."
  fi
  ok "$target"
}

native() {
  local program
  for program in cc make; do
    command -v "$program" >/dev/null && continue
    apt_install build-essential ||
      die "$program is missing. Debian, Ubuntu: sudo apt-get install build-essential. macOS: xcode-select --install."
  done
  # What the companion links: Kafka's client wants both.
  if command -v pkg-config >/dev/null && ! { pkg-config --exists openssl && pkg-config --exists zlib; }; then
    apt_install libssl-dev zlib1g-dev || say "      OpenSSL or zlib has no headers here; the companion needs them. Debian, Ubuntu: sudo apt-get install libssl-dev zlib1g-dev"
  fi
  ok "C compiler, make"
}

node_runtime() {
  local have
  have=$(node_version)
  ok "Node $have"
}

# The stamp lies inside node_modules, so whoever deletes the one deletes the other.
node_modules() {
  local stamp=node_modules/.inlet-lock lock
  lock=$("${SHA256[@]}" package-lock.json | cut -d' ' -f1)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$lock" ]; then
    timed "npm ci" npm ci --no-audit --no-fund --loglevel=error </dev/null >&2 ||
      die "npm ci failed (its message stands above)."
    printf '%s\n' "$lock" >"$stamp"
  fi
  ok "node_modules"
}

# A release tarball of the project, when the machine may reach it: seconds instead of minutes.
prebuilt_wasm_bindgen() {
  local version=$1 triple name base
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) triple=x86_64-unknown-linux-musl ;;
    Linux-aarch64 | Linux-arm64) triple=aarch64-unknown-linux-musl ;;
    Darwin-x86_64) triple=x86_64-apple-darwin ;;
    Darwin-arm64) triple=aarch64-apple-darwin ;;
    *) return 1 ;;
  esac
  command -v curl >/dev/null && command -v tar >/dev/null || return 1
  name="wasm-bindgen-$version-$triple"
  base="https://github.com/wasm-bindgen/wasm-bindgen/releases/download/$version"
  doing "wasm-bindgen $version: trying the release tarball"
  (
    work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" &&
      curl -fsSL --connect-timeout 4 --max-time 120 -o "$name.tar.gz" "$base/$name.tar.gz" &&
      curl -fsSL --connect-timeout 4 --max-time 30 -o sum "$base/$name.tar.gz.sha256sum" &&
      [ "$(cut -d' ' -f1 sum)" = "$("${SHA256[@]}" "$name.tar.gz" | cut -d' ' -f1)" ] &&
      tar -xzf "$name.tar.gz" && [ "$("$name/wasm-bindgen" --version | version_in)" = "$version" ] &&
      mkdir -p "$TOOLS" && mv "$name/wasm-bindgen" "$TOOLS/wasm-bindgen"
  ) 2>/dev/null || {
    say "      not reachable or not usable here: it will be compiled instead (some minutes, once)"
    return 1
  }
}

# Both tools share a target directory, so their common dependencies are compiled once. `--locked` is left
# out on purpose: a lock file inside a published crate may name a version that was withdrawn since.
cargo_tool() {
  local package=$1 binary=$2 version=$3
  # These tools run for a second at a time: compiling them faster matters more than their own speed.
  timed "cargo install $package $version" env CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install --quiet --root "$ROOT/.tools" --target-dir "$ROOT/target/tools" --bin "$binary" \
    --version "$version" "$package" </dev/null >&2 ||
    die "cargo install $package $version failed (its message stands above)."
}

build_tools() {
  local bindgen
  bindgen=$(locked_version wasm-bindgen) && [ -n "$bindgen" ] ||
    die "Cargo.lock is missing or names no wasm-bindgen; it belongs to the repository. Try: cargo generate-lockfile"
  find_tool wasm-bindgen "$bindgen" >/dev/null || prebuilt_wasm_bindgen "$bindgen" ||
    cargo_tool wasm-bindgen-cli wasm-bindgen "$bindgen"
  find_tool worker-build "$WORKER_BUILD_VERSION" >/dev/null ||
    cargo_tool worker-build worker-build "$WORKER_BUILD_VERSION"
  ok "wasm-bindgen $bindgen, worker-build $WORKER_BUILD_VERSION"
  rm -rf target/tools
}

say "Set-up"
rust
wasm_target
native
node_runtime
node_modules
build_tools
