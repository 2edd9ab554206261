#!/usr/bin/env bash
# Throws at a running gateway what its own document allows, and what it does not, for a minute at most: no answer may be a 5xx,
# of a status or a form that the document does not have, or given to who has no key.
#
#   INLET_URL    of the gateway              INLET_KEY   the key of a project
#   INLET_IDS    {"projectID": "…", "sourceID": "…", …}: what is there
set -euo pipefail
# One worker: Hypothesis parses source in each, and CPython 3.11 fails when two threads do so at a time.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SCHEMATHESIS_HOOKS=tests/python/hooks.py PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY="$work" \
  scripts/python.sh st run "$INLET_URL/openapi.json" \
  --header "Authorization: Bearer $INLET_KEY" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance,unsupported_method,ignored_auth \
  --phases examples,coverage,fuzzing --max-examples "${INLET_EXAMPLES:-5}" --seed "${INLET_SEED:-1}" --no-shrink \
  --continue-on-failure --suppress-health-check all --warnings off --request-timeout 20 --workers 1 \
  --exclude-tag Companions "$@"
