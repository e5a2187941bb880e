#!/bin/sh
# Reports a run with nothing but curl:  sh curl.sh [session id]
set -eu

url=${HOLDFAST_URL:-http://127.0.0.1:8765}
session=${1:-curl-demo}

# A server that restarts is waited for. Every call below may be repeated: the ids see to that.
call() {
  curl -sS --fail-with-body --retry 8 --retry-connrefused \
    ${HOLDFAST_TOKEN:+-H "Authorization: Bearer $HOLDFAST_TOKEN"} "$@"
  echo
}
json='Content-Type: application/json'

# 1. Create the session. The same call again answers with the same session.
call -H "$json" "$url/sessions" \
  -d "{\"session_id\": \"$session\", \"session_name\": \"Reported with curl\", \"agent_name\": \"demo\"}"

# 2. Post events: one object, an array, or a line of JSON each. "id" makes an event idempotent.
call -H "$json" "$url/sessions/$session/events" \
  -d '{"event_type": "message", "id": "prompt-1", "role": "user", "content": "List the files."}'

call -H 'Content-Type: application/x-ndjson' "$url/sessions/$session/events" --data-binary @- <<'EVENTS'
{"event_type": "pre_tool", "id": "tool-1", "tool_name": "Bash", "tool_input": {"command": "ls"}}
{"event_type": "post_tool", "id": "tool-1-end", "tool_name": "Bash", "tool_response": "README.md\nsrc"}
{"event_type": "message", "id": "answer-1", "role": "assistant", "content": [{"type": "text", "text": "Two entries: README.md and src."}]}
EVENTS

# 3. End it. An exit_code other than 0 would mark the run as failed.
call -H "$json" "$url/sessions/$session/events" -d '{"event_type": "session_stop", "id": "stop", "exit_code": 0}'

# 4. Anybody may ask how it stands, and what came out.
call "$url/sessions/$session/status"
call "$url/sessions/$session/result"
