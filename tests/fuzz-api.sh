#!/usr/bin/env bash
# Throws odd requests at a private server, made from its own OpenAPI document; any 5xx or undocumented answer fails.
# Usage: [FUZZ_EXAMPLES=40] tests/fuzz-api.sh SCHEMATHESIS_VERSION [more options of schemathesis]
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1; shift
venv=target/fuzz-venv
taskloom=target/debug/taskloom
data=$(mktemp -d)
server=
cleanup() { [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true; rm -rf "$data"; }
trap cleanup EXIT

if ! "$venv/bin/schemathesis" --version 2>/dev/null | grep -qF "$version"; then
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "schemathesis==$version"; }; then
    echo "skipped: API fuzzing (1): schemathesis needs python3 with venv and a package index"
    [ "${CI:-}" != true ] || exit 1
    exit 0
  fi
fi

export TASKLOOM_ADMIN_PASSWORD=fuzz-password-only-here
export TASKLOOM_AUTH__LOGIN_FREE_PER_USER=1000 TASKLOOM_AUTH__LOGIN_FREE_PER_IP=100000
"$taskloom" dev --data "$data" --port auto >"$data/server.log" 2>&1 &
server=$!
for _ in $(seq 200); do [ -s "$data/server.json" ] && break; sleep 0.05; done
url=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["url"])' "$data/server.json")
token=$(curl -sf "$url/api/v1/auth/token" -d "username=admin&password=$TASKLOOM_ADMIN_PASSWORD" |
  python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')

worker=$(curl -sf "$url/api/v1/api-keys" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
  -d '{"name":"fuzz","scopes":["worker"]}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["key"])')

fuzz() { # NAME, then options
  echo "== $1"; shift
  "$venv/bin/schemathesis" run "$url/openapi.json" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --exclude-path-regex '/events' --max-examples "${FUZZ_EXAMPLES:-40}" --seed 1 --generation-deterministic \
    --request-timeout 70 --suppress-health-check all --warnings off --no-color "$@"
}

# In an order in which no call ends the session that the next one needs.
fuzz tasks --include-path-regex '/(tasks|workers|api-keys|health)' --header "Authorization: Bearer $token" "$@"
fuzz "schedules, workflows, queues and what ended" --include-path-regex '/(schedules|workflows|queues|limits|dead-letters|cache|admin)' \
  --header "Authorization: Bearer $token" "$@"
fuzz "the worker protocol" --include-path-regex '/worker/' --header "Authorization: Bearer $worker" "$@"
fuzz "logins, without credentials" --include-path-regex '/auth/' "$@"
fuzz users --include-path-regex '/users' --header "Authorization: Bearer $token" "$@"

kill -0 "$server" || { echo "the server died:"; tail -50 "$data/server.log"; exit 1; }
if grep -iE 'panicked' "$data/server.log"; then echo "a handler panicked"; exit 1; fi
