#!/usr/bin/env bash
# `make bench` measures with wrk; nothing else needs it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v wrk >/dev/null || apt_install wrk ||
  die "wrk is missing. Debian, Ubuntu: sudo apt-get install wrk. macOS: brew install wrk."
say "  ok  wrk ($(command -v wrk))"
