#!/usr/bin/env bash
# All benchmarks, or those that ONLY names (tests/README.md). Real brokers are installed and started for the part `brokers` alone.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

wants_brokers() { case ",${ONLY:-brokers}," in *,brokers,*) ;; *) return 1 ;; esac }

status=0
if [ "${ONLY:-}" != brokers ]; then
  scripts/setup-bench.sh
  cargo run --release -p inlet-tests --bin bench || status=$?
fi
if wants_brokers; then
  scripts/brokers.sh install
  trap 'scripts/brokers.sh down' EXIT
  scripts/brokers.sh up
  # Built as `make consumer` builds it.
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo bench -p inlet-consumer --bench brokers || status=$?
fi
exit "$status"
