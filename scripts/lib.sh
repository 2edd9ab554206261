# shellcheck shell=bash
# Sourced by the other scripts: where the repository is, how a step is told, which tools belong to it.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TOOLS="$ROOT/.tools/bin"
# worker-build and the tools that work on its output must come from one release.
WORKER_BUILD_VERSION=0.8.7
NODE_MIN=20.3

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

# The first line of `lines` on stdin that is a version: `wasm-bindgen 0.2.130` and `0.8.7` both answer.
version_in() { sed -nE 's/^([^0-9]* )?v?([0-9]+(\.[0-9]+)+).*/\2/p' | head -n 1; }

# at_least HAVE WANT: compares dotted numbers.
at_least() {
  local have want i
  IFS=. read -ra have <<<"$1"
  IFS=. read -ra want <<<"$2"
  for i in "${!want[@]}"; do
    ((10#${have[i]:-0} > 10#${want[i]})) && return 0
    ((10#${have[i]:-0} < 10#${want[i]})) && return 1
  done
  return 0
}

# The version of Node, if it is one that will do.
node_version() {
  command -v node >/dev/null || die "node is not on PATH. Install Node $NODE_MIN or newer: https://nodejs.org"
  local have
  have=$(node --version | version_in)
  at_least "$have" "$NODE_MIN" || die "Node $have is too old, $NODE_MIN or newer is needed."
  printf '%s\n' "$have"
}

# The version the lock file gives a crate. The wasm-bindgen tool must equal the library exactly.
locked_version() {
  [ -f "$ROOT/Cargo.lock" ] || return 1
  awk -v name="$1" '$0 == "name = \"" name "\"" { getline; gsub(/version = |"/, ""); print; exit }' "$ROOT/Cargo.lock"
}

# find_tool NAME VERSION: the path of a tool of exactly that version, ours or the one on PATH.
find_tool() {
  local candidate
  for candidate in "$TOOLS/$1" "$(command -v "$1" || true)"; do
    if [ -x "$candidate" ] && [ "$("$candidate" --version 2>/dev/null | version_in)" = "$2" ]; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# SHA-256 as this system has it: GNU's program, or Perl's on macOS.
if command -v sha256sum >/dev/null; then SHA256=(sha256sum); else SHA256=(shasum -a 256); fi

# apt_install PACKAGE...: only where that is possible without asking anyone.
apt_install() {
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
  say "      apt-get install $*"
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null >&2 && return 0
  DEBIAN_FRONTEND=noninteractive apt-get update </dev/null >&2 || return 1
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null >&2
}
