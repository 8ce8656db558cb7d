# Expectations and helpers for scenarios: source it first. bash, curl and jq; python3 where a script
# says so.
#
#   step TEXT                          says what comes next
#   use_node N                         sends what follows to node N (1 is the first)
#   get|put|post|delete PATH [ARGS]    sends a request; sets STATUS and BODY. ARGS go to curl
#   expect_status CODE                 the last STATUS
#   expect_json FILTER VALUE           what a jq filter makes of the last BODY
#   expect EXPRESSION                  a jq expression that must be true of the last BODY
#   wait_until SECONDS WHAT COMMAND    tries COMMAND until it succeeds, or fails
#   kill_node N · restart_node N       kill -9, and the same command line anew
#   wait_ready SECONDS N…              until these nodes serve
set -Eeuo pipefail

: "${TROUPE_URLS:?run me with: troupe scenario run}"
read -r -a NODE_URLS <<<"$TROUPE_URLS"
BASE=${NODE_URLS[0]}
STATUS=
BODY=
LAST_REQUEST=

step() { printf -- '- %s\n' "$*"; }

# Ends the scenario. Shows the last request and answer, and the line of the script.
fail() {
    local frame
    {
        printf 'FAILED: %s\n' "$*"
        for ((frame = 1; frame < ${#FUNCNAME[@]}; frame++)); do
            [ "${BASH_SOURCE[frame]}" = "${BASH_SOURCE[0]}" ] && continue
            printf '  at %s:%s\n' "${BASH_SOURCE[frame]##*/}" "${BASH_LINENO[frame - 1]}"
            break
        done
        if [ -n "$LAST_REQUEST" ]; then
            printf '  request: %s\n  status:  %s\n' "$LAST_REQUEST" "$STATUS"
            printf '  body:    %.1000s\n' "$BODY"
        fi
    } >&2
    exit 1
}
trap 'fail "a command failed: $BASH_COMMAND"' ERR

url() { printf '%s' "${NODE_URLS[$1 - 1]}"; }
use_node() { BASE=$(url "$1"); }

# METHOD PATH [curl arguments]. STATUS is 000 if there was no answer.
request() {
    local method=$1 path=$2 answer
    shift 2
    LAST_REQUEST="$method $BASE$path $*"
    answer=$(curl -sS --max-time 30 -X "$method" -w '\n%{http_code}' "$@" "$BASE$path" 2>&1) || true
    STATUS=${answer##*$'\n'}
    BODY=${answer%$'\n'*}
}
get() { request GET "$@"; }
put() { request PUT "$1" --data-binary "$2" "${@:3}"; }
post() { request POST "$1" -H 'Content-Type: application/json' --data-binary "$2" "${@:3}"; }
delete() { request DELETE "$@"; }

expect_status() {
    [ "$STATUS" = "$1" ] || fail "expected status $1, got $STATUS"
}
expect_json() {
    local actual
    actual=$(jq -r "$1" <<<"$BODY" 2>&1) || fail "no JSON for $1: $actual"
    [ "$actual" = "$2" ] || fail "expected $1 to be '$2', got '$actual'"
}
expect() {
    jq -e "$1" <<<"$BODY" >/dev/null 2>&1 || fail "expected $1"
}

# SECONDS WHAT COMMAND…: tries COMMAND in a subshell, so that it may use expectations.
wait_until() {
    local limit=$1 what=$2 began=$SECONDS output
    shift 2
    until output=$(trap - ERR && "$@" 2>&1); do
        if ((SECONDS - began >= limit)); then
            fail "not within $limit s: $what; last: $output"
        fi
        sleep 0.1
    done
}

# Milliseconds of a steady clock.
now_ms() {
    local uptime
    read -r uptime _ </proc/uptime
    printf '%d' $((${uptime%.*} * 1000 + 10#${uptime#*.} * 10))
}

control() { jq -r "$1" "$TROUPE_CONTROL"; }
node_pid() { control ".nodes[$1 - 1].pid"; }
node_id() { control ".nodes[$1 - 1].id"; }

is_running() { [ -r "/proc/$1/stat" ] && [ "$(awk '{ print $3 }' "/proc/$1/stat" 2>/dev/null)" != Z ]; }
is_gone() { ! is_running "$1"; }

# kill -9, and waits until the process is no more.
kill_node() {
    local pid
    pid=$(node_pid "$1")
    kill -9 "$pid"
    wait_until 10 "process $pid is gone" is_gone "$pid"
}

# Starts a node that was killed with the command line that it had.
restart_node() {
    local command pid next="$TROUPE_CONTROL.next"
    is_gone "$(node_pid "$1")" || return 0
    mapfile -d '' -t command < <(jq -j ".nodes[$1 - 1].command[] | ., \"\\u0000\"" "$TROUPE_CONTROL")
    "${command[@]}" >>"$TROUPE_SCRATCH/node-$1.log" 2>&1 &
    pid=$!
    disown "$pid"
    jq ".nodes[$1 - 1].pid = $pid" "$TROUPE_CONTROL" >"$next"
    mv "$next" "$TROUPE_CONTROL"
}

is_ready() { curl -sS -f --max-time 5 -o "$TROUPE_SCRATCH/ready" "$(url "$1")/readyz"; }
wait_ready() {
    local limit=$1 node
    shift
    for node in "$@"; do
        wait_until "$limit" "node $node is ready" is_ready "$node"
    done
}

# KEY [SPACE]: number (1 is the first) of the node with the Store that a key's leader is on. SPACE is
# raw or kv.
node_that_leads() {
    local store id
    get "/v1/regions?space=${2:-raw}&key=$(jq -rn --arg key "$1" '$key | @uri')"
    store=$(jq -er '.items[0].leader.store' <<<"$BODY") || return 1
    get "/v1/stores/$store"
    id=$(jq -er '.node' <<<"$BODY") || return 1
    control ".nodes | map(.id == $id) | index(true) + 1"
}

# Rows, bytes and checksum of everything, as one line.
checksum() {
    post /v1/raw/checksum '{}'
    expect_status 200
    jq -er '"\(.rows) rows, \(.bytes) bytes, checksum \(.checksum)"' <<<"$BODY"
}
