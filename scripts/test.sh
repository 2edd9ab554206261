#!/usr/bin/env bash
# All tests; the set-up and the Worker come first (`make test` sees to it). Ends with cargo's own summary;
# what could not run here, and said so with a line `SKIPPED …`, is repeated below it.
#
#   scripts/test.sh [cargo test arguments]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

node --test --test-reporter=spec scripts/*.test.mjs </dev/null

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --workspace --exclude inlet-edge --no-fail-fast "$@" </dev/null 2>&1 | tee "$log" || status=$?

# libtest may have begun the line already: `test name ... SKIPPED why`.
skipped=$(sed -nE 's/^(test .* \.\.\. )?(SKIPPED .*)$/\2/p' "$log" | sort -u)
[ -z "$skipped" ] || printf '\n%s\n' "$skipped"
exit "$status"
