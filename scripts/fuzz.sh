#!/usr/bin/env bash
# Throws arbitrary requests at every row of the catalogue, for a bounded time. What it finds is kept in
# tests/fuzz/artifacts, and is the input of the next run.
#
#   scripts/fuzz.sh [seconds]   (default 60)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

SECONDS_MAX=${1:-60}
TOOLS=$ROOT/.tools
export PATH=$TOOLS/bin:$PATH
# libFuzzer's instrumentation is an unstable flag of the compiler that is here anyway.
export RUSTC_BOOTSTRAP=1

command -v c++ >/dev/null || die "fuzzing needs a C++ compiler: apt-get install g++"
if ! command -v cargo-fuzz >/dev/null; then
  say "fuzz: installing cargo-fuzz"
  env -u RUSTC_BOOTSTRAP cargo install --quiet --root "$TOOLS" cargo-fuzz
fi

# No sanitizer: the crate forbids unsafe code, and this way the stable compiler's own standard library will do.
cd tests
cargo fuzz run --fuzz-dir fuzz --sanitizer none engine -- \
  -max_total_time="$SECONDS_MAX" -max_len=8192 -dict=fuzz/dictionary.txt -print_final_stats=1
