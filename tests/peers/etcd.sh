#!/usr/bin/env bash
# Three nodes of etcd on this machine, for comparisons: `troupe bench` runs this, and so may you.
#
#   etcd.sh start DIR    starts them on free ports, with data, logs and process ids in DIR; when they
#                        serve, prints {"endpoints":["127.0.0.1:…"],"pids":[…],"version":"…"}
#   etcd.sh stop DIR     ends them; the data stays
#
# All settings are etcd's defaults, but for the room of its database.
set -euo pipefail

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }

fail() { printf 'etcd.sh: %s\n' "$*" >&2; exit 1; }

# Six ports that are free now.
free_ports() {
    python3 - <<'PYTHON'
import socket
held = [socket.socket() for _ in range(6)]
for one in held:
    one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in held])
PYTHON
}

start() {
    local dir=$1 ports i members="" endpoints=() pids=()
    command -v etcd >/dev/null ||
        fail "etcd is not installed (Debian, Ubuntu: sudo apt-get install etcd-server)"
    mkdir -p "$dir"
    read -r -a ports <<<"$(free_ports)"
    for i in 0 1 2; do
        members+="${members:+,}node$i=http://127.0.0.1:${ports[i + 3]}"
        endpoints+=("127.0.0.1:${ports[i]}")
    done
    for i in 0 1 2; do
        nohup etcd --name "node$i" --data-dir "$dir/node$i" --logger zap --log-level warn \
            --listen-client-urls "http://${endpoints[i]}" \
            --advertise-client-urls "http://${endpoints[i]}" \
            --listen-peer-urls "http://127.0.0.1:${ports[i + 3]}" \
            --initial-advertise-peer-urls "http://127.0.0.1:${ports[i + 3]}" \
            --initial-cluster "$members" --initial-cluster-token "$$" \
            --quota-backend-bytes $((8 << 30)) \
            </dev/null >"$dir/node$i.log" 2>&1 &
        pids+=("$!")
        echo "$!" >>"$dir/pids"
    done
    for i in 0 1 2; do
        wait_healthy "${endpoints[i]}" "${pids[i]}" "$dir/node$i.log"
    done
    jq -nc --arg version "$(etcd --version | sed -n 's/^etcd Version: //p')" \
        --arg endpoints "${endpoints[*]}" --arg pids "${pids[*]}" \
        '{endpoints: ($endpoints / " "), pids: ($pids / " " | map(tonumber)), version: $version}'
}

# Healthy means that a linearizable read works.
wait_healthy() {
    local endpoint=$1 pid=$2 log=$3 until=$((SECONDS + 60))
    until curl -fsS -m 5 "http://$endpoint/health" 2>/dev/null | jq -e '.health == "true"' >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || fail "a node ended: $(tail -n 5 "$log")"
        [ "$SECONDS" -lt "$until" ] || fail "not healthy after 60 s: $(tail -n 5 "$log")"
        sleep 0.1
    done
}

is_etcd() { [ "$(readlink "/proc/$1/exe" 2>/dev/null)" = "$(readlink -f "$(command -v etcd)")" ]; }

# The system gives numbers of ended processes to others: only etcd itself is ended.
stop() {
    local dir=$1 pid round
    [ -f "$dir/pids" ] || return 0
    while read -r pid; do
        if is_etcd "$pid"; then kill "$pid" 2>/dev/null || true; fi
    done <"$dir/pids"
    for ((round = 0; round < 20; round++)); do
        local running=0
        while read -r pid; do
            if is_etcd "$pid"; then running=1; fi
        done <"$dir/pids"
        if [ "$running" = 0 ]; then
            rm -f "$dir/pids"
            return 0
        fi
        sleep 0.1
    done
    while read -r pid; do
        if is_etcd "$pid"; then kill -9 "$pid" 2>/dev/null || true; fi
    done <"$dir/pids"
    rm -f "$dir/pids"
}

[ $# -eq 2 ] || usage
case $1 in
start) start "$2" ;;
stop) stop "$2" ;;
*) usage ;;
esac
