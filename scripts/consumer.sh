#!/usr/bin/env bash
# Runs the companion. Against `make dev` it needs nothing; else INLET_URL and INLET_CONSUMER_KEY say where and as whom.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

keys=${STATE:-.inlet/state}/dev.json
export INLET_URL=${INLET_URL:-http://127.0.0.1:8787}
if [ -z "${INLET_CONSUMER_KEY:-}" ]; then
  [ -f "$keys" ] || die "there is no $keys: start \`make dev\` first, or set INLET_URL and INLET_CONSUMER_KEY."
  incoming=$(node scripts/json.mjs projects.incoming.key "$keys")
  outgoing=$(node scripts/json.mjs projects.outgoing.key "$keys")
  INLET_CONSUMER_KEY=$incoming,$outgoing
fi
export INLET_CONSUMER_KEY
exec cargo run --release -p inlet-consumer -- "$@"
