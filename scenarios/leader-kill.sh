#!/usr/bin/env bash
# title: Under load the leading node is killed twice with kill -9; no acknowledged write is lost
# nodes: 3
# regions: 8
# timeout: 3m
source "$(dirname "$0")/lib.sh"
LOAD="$(dirname "$0")/load.py"

# The cluster must take writes again so many seconds after a node died. The demo's clock elects
# within two.
SERVES_WITHIN=10

acknowledged() { wc -l <"$TROUPE_SCRATCH/acknowledged"; }
has_acknowledged() { (($(acknowledged) >= $1)); }
finds_leader() { node_that_leads "$1" >"$TROUPE_SCRATCH/leader"; }
takes_writes() {
    local key
    for key in 0 8 @ H P X ' ' h; do
        put "/v1/raw/keys/$(jq -rn --arg key "$key" '$key | @uri')probe?timeout=2s" alive
        expect_status 200
    done
}

step "eight writers begin, each on its own keys"
touch "$TROUPE_SCRATCH/acknowledged"
python3 "$LOAD" write "$TROUPE_SCRATCH" "${NODE_URLS[@]}" &
load=$!
wait_until 30 "500 writes are acknowledged" has_acknowledged 500

for round in 1 2; do
    wait_until 30 "the Region of 0/load has a leader" finds_leader 0/load/
    victim=$(cat "$TROUPE_SCRATCH/leader")
    survivor=$((victim % 3 + 1))
    use_node "$survivor"
    count=$(acknowledged)

    step "round $round: kill -9 node $victim, which leads, after $count acknowledged writes"
    kill_node "$victim"
    began=$(now_ms)
    wait_until "$SERVES_WITHIN" "the other nodes take writes to every Region" takes_writes
    step "all Regions take writes again after $(($(now_ms) - began)) ms"
    wait_until 30 "the writers go on" has_acknowledged $((count + 500))

    step "node $victim starts again"
    restart_node "$victim"
    wait_ready 60 "$victim"
    wait_until 30 "the writers still go on" has_acknowledged $(($(acknowledged) + 500))
done

step "the writers stop"
touch "$TROUPE_SCRATCH/stop"
wait "$load" || fail "a writer got an answer that it must not get"

step "read every acknowledged write back, from each node"
for node in 1 2 3; do
    python3 "$LOAD" verify "$TROUPE_SCRATCH" "$(url "$node")" || fail "node $node lost writes"
done
step "done"
