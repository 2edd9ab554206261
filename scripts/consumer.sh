#!/usr/bin/env bash
# Runs the companion. Against `make dev` it needs nothing; else INLET_URL and INLET_CONSUMER_KEY say where and as whom.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

state=${STATE:-.inlet/state}
export INLET_URL=${INLET_URL:-http://127.0.0.1:${PORT:-8787}}

# A consumer key for a project of `make dev`, made once and kept beside its other keys.
consumer_key() {
  local id=$1 key=$2 answer
  answer=$(curl -sS -X POST -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
    -d '{"name":"make consumer"}' "$INLET_URL/api/v1/projects/$id/consumer-keys") || die "$INLET_URL is not reached; start \`make dev\` first."
  node scripts/json.mjs data.key <<<"$answer" || die "$INLET_URL gave no key: is it the gateway of \`make dev\`?"
}

if [ -z "${INLET_CONSUMER_KEY:-}" ]; then
  node_version >/dev/null
  [ -f "$state/dev.json" ] || die "there is no $state/dev.json: start \`make dev\` first, or set INLET_URL and INLET_CONSUMER_KEY."
  kept=$state/consumer-keys
  if [ ! -s "$kept" ] || [ "$kept" -ot "$state/dev.json" ]; then
    keys=()
    for type in incoming outgoing; do
      keys+=("$(consumer_key "$(node scripts/json.mjs "projects.$type.id" "$state/dev.json")" "$(node scripts/json.mjs "projects.$type.key" "$state/dev.json")")")
    done
    (umask 077 && printf '%s,%s\n' "${keys[@]}" >"$kept")
  fi
  INLET_CONSUMER_KEY=$(cat "$kept")
fi
export INLET_CONSUMER_KEY
# Built without the link-time optimisation of the Worker: minutes less, and the same speed.
CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo build --release -p inlet-consumer
exec target/release/inlet-consumer "$@"
