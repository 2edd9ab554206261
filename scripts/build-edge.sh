#!/usr/bin/env bash
# Builds the Worker: crates/edge/build/index.js (the entry), gateway.js and index_bg.wasm (ours), quickjs.wasm. Quick when no input changed.
# It is also wrangler's build command, so `wrangler dev` comes here whenever a source file changes.
#
#   WORKER_PROFILE   `worker-dev`: compiled in a fraction of the time, three times as large; for work on the Worker itself
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

OUT=crates/edge/build
STAMP=$OUT/.stamp
PROFILE=${WORKER_PROFILE:-worker}
# A target directory of its own: worker-build compiles with WASM_BINDGEN_USE_JS_SYS=1, and would else
# throw away what the native builds made, and they what it made.
export CARGO_TARGET_DIR=$ROOT/target/worker

[ -f crates/edge/Cargo.toml ] || die "crates/edge has no Cargo.toml: nothing to build."

bindgen=$(locked_version wasm-bindgen || true)
[ -n "$bindgen" ] || die "Cargo.lock is missing or names no wasm-bindgen."

# Everything that can change the output, by content: a checkout that only touches times builds nothing.
fingerprint() {
  local inputs=() path
  for path in Cargo.toml Cargo.lock package-lock.json scripts/build-edge.sh .cargo rust-toolchain.toml crates migrations; do
    [ ! -e "$path" ] || inputs+=("$path")
  done
  {
    printf '%s\n' "$bindgen" "$WORKER_BUILD_VERSION" "$(rustc --version)" "${RUSTFLAGS:-}" "$PROFILE"
    find "${inputs[@]}" \
      \( -path "$OUT" -o -name target -o -name tests -o -name benches -o -name fuzz -o -name .wrangler \) -prune \
      -o -type f -print | LC_ALL=C sort | while IFS= read -r path; do printf '%s\0' "$path"; done | xargs -0 "${SHA256[@]}"
  } | "${SHA256[@]}" | cut -d' ' -f1
}

# Two builds at once (make dev rebuilding, make test starting) would fight over the output folder.
mkdir -p "$CARGO_TARGET_DIR"
if command -v flock >/dev/null; then
  exec 9>"$CARGO_TARGET_DIR/.edge-lock"
  flock -n 9 || { say "edge: another build is running, waiting for it"; flock 9; }
fi

inputs=$(fingerprint)
if [ -f $OUT/index.js ] && [ -f $OUT/index_bg.wasm ] && [ "$(cat $STAMP 2>/dev/null)" = "$inputs" ]; then
  say "edge: up to date"
  exit 0
fi

# worker-build looks at these variables, not at PATH; a program it does not find there it would download.
tool() { find_tool "$1" "$2" || die "$1 $2 is not installed. Run: make setup"; }
npm_tool() {
  [ -x "$ROOT/node_modules/.bin/$1" ] || die "node_modules/.bin/$1 is missing. Run: make setup"
  printf '%s\n' "$ROOT/node_modules/.bin/$1"
}
WASM_BINDGEN_BIN=$(tool wasm-bindgen "$bindgen")
WORKER_BUILD=$(tool worker-build "$WORKER_BUILD_VERSION")
WASM_OPT_BIN=$(npm_tool wasm-opt)
ESBUILD_BIN=$(npm_tool esbuild)
export WASM_BINDGEN_BIN WASM_OPT_BIN ESBUILD_BIN

began=$SECONDS
say "edge: building"
# Paths of this machine do not belong into what is deployed. With SIMD, SHA-256 takes a sixth less time.
# Flags are set apart by 0x1f here, because a path may hold spaces; those of RUSTFLAGS, which has none in them, come first.
flags=()
[ -z "${RUSTFLAGS:-}" ] || read -ra flags <<<"$RUSTFLAGS"
flags+=(-C target-feature=+simd128 "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/crates" "--remap-path-prefix=$ROOT=/inlet")
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS

# The lock is not handed down: a process that outlives the build must not keep it.
RUST_BACKTRACE=0 "$WORKER_BUILD" --profile "$PROFILE" --no-opt crates/edge </dev/null >&2 9>&- || die "the Worker does not build (the messages stand above)."
[ -f $OUT/index.js ] && [ -f $OUT/index_bg.wasm ] || die "worker-build wrote no $OUT/index.js and index_bg.wasm."

# worker-build's own run of wasm-opt keeps the names of all functions, a tenth of the Worker. The features are those
# that it names: an encoding that workerd does not know yet must not come in by the back door.
# Functions with names that are alike have code that is alike: side by side, they are a thirtieth smaller in gzip.
say "edge: optimising"
level=-Oz
[ "$PROFILE" = worker ] || level=-O1
"$WASM_OPT_BIN" $level --reorder-functions-by-name --strip-debug --strip-producers \
  --enable-mutable-globals --enable-sign-ext --enable-nontrapping-float-to-int --enable-bulk-memory \
  --enable-multivalue --enable-reference-types --enable-exception-handling --enable-simd \
  $OUT/index_bg.wasm -o $OUT/optimised.wasm </dev/null >&2 9>&- || die "wasm-opt failed (the messages stand above)."
mv $OUT/optimised.wasm $OUT/index_bg.wasm

# The engine that runs users' functions comes beside the Rust Worker: worker-build cannot bundle a second wasm module.
QUICKJS=node_modules/@jitl/quickjs-wasmfile-release-sync/dist/emscripten-module.wasm
[ -f $QUICKJS ] || die "$QUICKJS is missing. Run: make setup"
mv $OUT/index.js $OUT/gateway.js

# It asks whether to go on only between steps of JavaScript, and one step may take minutes. So whatever it does is counted: each of its
# functions and loops calls `log_execution`, which is linked from meter.wat and inlined. Copies become loops, to count as well.
say "edge: putting a meter into the engine of functions"
engine=$CARGO_TARGET_DIR/engine
mkdir -p "$engine"
features="--enable-mutable-globals --enable-sign-ext --enable-nontrapping-float-to-int --enable-bulk-memory --enable-multivalue"
{
  "$(npm_tool wasm-as)" crates/edge/js/meter.wat -o "$engine/meter.wasm" &&
    "$WASM_OPT_BIN" $features --llvm-memory-copy-fill-lowering --log-execution=meter $QUICKJS -o "$engine/counted.wasm" &&
    "$(npm_tool wasm-merge)" $features "$engine/counted.wasm" engine "$engine/meter.wasm" meter -o "$engine/merged.wasm" &&
    "$WASM_OPT_BIN" $features -O3 "$engine/merged.wasm" -o $OUT/quickjs.wasm
} </dev/null >&2 9>&- || die "the meter cannot be put into QuickJS (the messages stand above)."
"$ESBUILD_BIN" crates/edge/js/entry.mjs --bundle --minify --format=esm --conditions=workerd,worker,browser \
  --loader:.html=text --loader:.css=text --loader:.page.js=text --loader:.json=text \
  --external:./gateway.js --external:./quickjs.wasm --external:cloudflare:* --log-level=warning --outfile=$OUT/index.js </dev/null >&2 9>&- ||
  die "the Worker's entry does not bundle (the messages stand above)."
printf '%s\n' "$inputs" >$STAMP
say "edge: built in $((SECONDS - began)) s, $(($(wc -c <$OUT/index_bg.wasm) / 1024)) KiB of wasm"
