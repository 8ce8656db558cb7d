#!/usr/bin/env bash
# title: Money moves between accounts in many Regions while leaders are killed; the total never changes
# nodes: 3
# regions: 8
# timeout: 4m
source "$(dirname "$0")/lib.sh"
CLIENTS="$(dirname "$0")/transactions.py"

acknowledged() { wc -l <"$TROUPE_SCRATCH/acknowledged"; }
has_acknowledged() { (($(acknowledged) >= $1)); }
finds_leader() { node_that_leads 0/account/00 kv >"$TROUPE_SCRATCH/leader"; }
no_lock_is_left() {
    post /v1/locks/resolve '{}'
    get /v1/locks
    expect_status 200
    expect_json '.items | length' 0
}

step "six clients move money, in one request or step by step, in every mode; two add all accounts up"
touch "$TROUPE_SCRATCH/acknowledged"
python3 "$CLIENTS" bank "$TROUPE_SCRATCH" "${NODE_URLS[@]}" &
clients=$!
wait_until 60 "100 transfers are acknowledged" has_acknowledged 100

for round in 1 2; do
    wait_until 30 "the Region of the first account has a leader" finds_leader
    victim=$(cat "$TROUPE_SCRATCH/leader")
    count=$(acknowledged)
    step "round $round: kill -9 node $victim, which leads the first account, after $count transfers"
    use_node $((victim % 3 + 1))
    kill_node "$victim"
    wait_until 60 "the clients go on" has_acknowledged $((count + 100))
    step "node $victim starts again"
    restart_node "$victim"
    wait_ready 60 "$victim"
    wait_until 60 "the clients still go on" has_acknowledged $(($(acknowledged) + 100))
done

step "the clients stop"
touch "$TROUPE_SCRATCH/stop"
wait "$clients" || fail "a snapshot was wrong, or a client got an answer that it must not get"

step "from each node: the total, every acknowledged transfer, none that was refused"
for node in 1 2 3; do
    python3 "$CLIENTS" check-bank "$TROUPE_SCRATCH" "$(url "$node")" || fail "node $node is wrong"
done

step "locks of clients that died with their nodes are gone after their time to live"
wait_until 60 "no lock is left" no_lock_is_left
step "done"
