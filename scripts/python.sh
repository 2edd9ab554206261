#!/usr/bin/env bash
# Runs a program of tests/python/requirements.txt, in an environment of its own below .tools.
#
#   scripts/python.sh PROGRAM [ARGUMENTS]    e.g. scripts/python.sh python -V
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VENV="$ROOT/.tools/python"
WANTED="$ROOT/tests/python/requirements.txt"

# A version manager's stand-in may be on PATH without a Python behind it: only running it tells.
for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
  "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && break
  python=
done
# The exit status says that it is not the tests that failed.
[ -n "$python" ] || {
  say "no Python 3.10 or newer with venv"
  exit 77
}

# Two tests may come at the same time.
mkdir -p "$ROOT/.tools"
if command -v flock >/dev/null; then
  exec 9>"$ROOT/.tools/python.lock"
  flock 9
fi
stamp="$("${SHA256[@]}" "$WANTED" | cut -d' ' -f1) $("$python" --version 2>&1)"
if [ "$(cat "$VENV/.stamp" 2>/dev/null)" != "$stamp" ]; then
  rm -rf "$VENV"
  { "$python" -m venv "$VENV" && "$VENV/bin/pip" install -q --disable-pip-version-check -r "$WANTED"; } >&2 || {
    rm -rf "$VENV"
    say "the Python packages cannot be installed"
    exit 77
  }
  printf '%s\n' "$stamp" >"$VENV/.stamp"
fi
program=$1
shift
exec 9>&-
exec "$VENV/bin/$program" "$@"
