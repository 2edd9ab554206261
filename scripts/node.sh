#!/usr/bin/env bash
# Runs a script with Node, or says what is missing: what does not begin with the set-up begins here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

node_version >/dev/null
exec node "$@"
