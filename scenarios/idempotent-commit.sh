#!/usr/bin/env bash
# title: Coordinators are killed in the middle of commits; each Idempotency-Key has one outcome
# nodes: 3
# regions: 8
# timeout: 4m
source "$(dirname "$0")/lib.sh"
CLIENTS="$(dirname "$0")/transactions.py"

answered() { wc -l <"$TROUPE_SCRATCH/answers"; }
has_answered() { (($(answered) >= $1)); }

step "six clients send requests with an Idempotency-Key, first to node 1, then to any until one answers"
touch "$TROUPE_SCRATCH/answers"
python3 "$CLIENTS" once "$TROUPE_SCRATCH" "${NODE_URLS[@]}" &
clients=$!

for round in 1 2 3; do
    count=$(answered)
    wait_until 60 "100 more are answered" has_answered $((count + 100))
    step "round $round: kill -9 node 1, the coordinator of whatever is under way"
    kill_node 1
    count=$(answered)
    wait_until 60 "all clients go on through the others" has_answered $((count + 50))
    restart_node 1
    wait_ready 60 1
done

step "the clients stop"
touch "$TROUPE_SCRATCH/stop"
wait "$clients" || fail "a client got two outcomes, or an answer that it must not get"

step "what is stored agrees with the answers"
for node in 1 2 3; do
    python3 "$CLIENTS" check-once "$TROUPE_SCRATCH" "$(url "$node")" || fail "node $node is wrong"
done
step "done"
