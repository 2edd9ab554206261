#!/usr/bin/env bash
# All tests; the set-up comes first (`make test` sees to it). Ends with cargo's own summary; what could not run here, and
# said so with a line `SKIPPED …`, is repeated below it, and so is what passed only at the second try.
#
#   scripts/test.sh [cargo test arguments]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# The end-to-end tests mostly wait: for a gateway to start, for a time to come.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}"

log=$(mktemp)
trap 'scripts/brokers.sh down; rm -f "$log" "$log.consumer"' EXIT
status=0

# Much of what follows keeps one processor busy, or none: meanwhile the tests are compiled, the companion's last. What goes wrong
# with that is told by the commands below, which compile again what is not there.
compile() {
  cargo test --workspace --exclude inlet-edge --exclude inlet-consumer --no-run
  cargo test -p inlet-consumer --no-run
}
compile </dev/null >/dev/null 2>&1 &

scripts/build-edge.sh
node --test --test-reporter=spec scripts/*.test.mjs crates/edge/js/*.test.mjs </dev/null

# Real brokers come first, so that they start while the tests are compiled. Their tests mostly wait, and run many at a time.
scripts/brokers.sh install
scripts/brokers.sh up
cargo test --workspace --exclude inlet-edge --exclude inlet-consumer --no-fail-fast "$@" </dev/null 2>&1 | tee "$log" || status=$?
if ! cargo test -p inlet-consumer --no-fail-fast "$@" -- --test-threads 8 </dev/null 2>&1 | tee "$log.consumer"; then
  # Real servers on a machine that others use, too: a few that failed are run once more, one after another, and named below.
  again=()
  while IFS= read -r name; do again+=("$name"); done < <(sed -nE 's/^test ([^ ]+) \.\.\. FAILED$/\1/p' "$log.consumer" | sort -u)
  if ((${#again[@]} == 0 || ${#again[@]} > 4)) ||
    ! cargo test -p inlet-consumer --no-fail-fast "$@" -- --exact "${again[@]}" --test-threads 1 </dev/null 2>&1; then
    status=1
  else
    printf 'UNSTEADY passed only when run again: %s\n' "${again[*]}" >>"$log.consumer"
  fi
fi
cat "$log.consumer" >>"$log"

# What a broker's tests came to. A broker that REQUIRE_BROKERS names has to be there, and to have been tested.
printf '\n%-10s %6s %6s\n' broker passed failed
for name in rabbitmq kafka sqs pubsub; do
  passed=$(grep -cE "^test ($name::|[a-z]+::${name}_).*ok$" "$log" || true)
  failed=$(grep -cE "^test ($name::|[a-z]+::${name}_).*FAILED$" "$log" || true)
  if [ -f ".inlet/brokers/missing.$name" ]; then passed=skipped; fi
  printf '%-10s %6s %6s\n' "$name" "$passed" "$failed"
  case " ${REQUIRE_BROKERS:-} " in
    *" $name "*)
      if [ "$passed" = 0 ] || [ "$passed" = skipped ]; then
        say "error: $name is required, and was not tested"
        status=1
      fi ;;
  esac
done

# libtest may have begun the line already: `test name ... SKIPPED why`.
skipped=$(sed -nE 's/^(test .* \.\.\. )?(SKIPPED.*|UNSTEADY.*)$/\2/p' "$log" | sort -u)
[ -z "$skipped" ] || printf '\n%s\n' "$skipped"
exit "$status"
