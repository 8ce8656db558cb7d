#!/usr/bin/env bash
# title: A fourth node joins and takes snapshots, an old node is drained and removed, and the data stays equal
# nodes: 3
# regions: 8
# timeout: 5m
source "$(dirname "$0")/lib.sh"

ROWS=20000

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
store_of_node() {
    get /v1/stores
    jq -er ".items[] | select(.node == $1 and .state != \"removed\") | .id" <<<"$BODY"
}
stores_alive() {
    get /v1/stores
    expect "[.items[] | select(.state == \"up\" and .alive)] | length == $1"
}
# Replicas that the Placement Driver knows on a Store.
replicas_on() {
    get "/v1/regions?limit=1000&store=$1"
    expect_status 200
    jq -er '.items | length' <<<"$BODY"
}
has_no_replicas() { [ "$(replicas_on "$1")" = 0 ]; }
is_removed() {
    delete "/v1/stores/$1"
    expect_status 200
}
is_same() { [ "$(checksum)" = "$before" ]; }

step "import $ROWS rows over the whole key space"
python3 - "$ROWS" >"$TROUPE_SCRATCH/rows.ndjson" <<'PYTHON'
import json, sys
rows = int(sys.argv[1])
for i in range(rows):
    key = f"{(i * 256 // rows):02x}" + f"{i:08x}"
    print(json.dumps({"key": {"hex": key}, "value": f"value {i} " + "x" * (i % 200)}))
PYTHON
curl -sS -N --max-time 120 -X POST -H 'Content-Type: application/x-ndjson' \
    -T "$TROUPE_SCRATCH/rows.ndjson" "$BASE/v1/raw/import" >"$TROUPE_SCRATCH/import"
BODY=$(tail -n 1 "$TROUPE_SCRATCH/import")
expect_json .done true
expect_json .rows "$ROWS"
before=$(checksum)
step "$before"

step "a fourth node joins"
http=$(free_port)
grpc=$(free_port)
"$TROUPE_BIN" start --fast-clock --http "127.0.0.1:$http" --grpc "127.0.0.1:$grpc" \
    --data "$TROUPE_SCRATCH/node-4" --join "${NODE_URLS[0]#http://}" \
    >"$TROUPE_SCRATCH/node-4.log" 2>&1 &
joined=$!
NODE_URLS+=("http://127.0.0.1:$http")
wait_ready 60 4
wait_until 30 "four Stores are alive" stores_alive 4
get /v1/cluster
new_node=$(jq -er ".nodes[] | select(.http | endswith(\":$http\")) | .id" <<<"$BODY")
new=$(store_of_node "$new_node")
old_node=$(node_id 3)
old=$(store_of_node "$old_node")
step "Store $new came; Store $old shall go"

step "move replicas by hand: each is copied to Store $new as a snapshot"
moved=0
for key in 01 41 c1; do
    get "/v1/regions?key=$key&kenc=hex"
    region=$(jq -er '.items[0].id' <<<"$BODY")
    jq -e ".items[0].peers | any(.store == $old)" <<<"$BODY" >"$TROUPE_SCRATCH/any" || continue
    move() {
        post "/v1/regions/$region/move-peer?wait=30s" "{\"from\": $old, \"to\": $new}"
        expect_status 200
        expect_json .state succeeded
    }
    wait_until 60 "Region $region moves" move
    get "/v1/regions/$region"
    expect ".peers | any(.store == $new) and all(.store != $old)"
    moved=$((moved + 1))
done
((moved > 0)) || fail "no Region has a replica on Store $old"
[ "$(checksum)" = "$before" ] || fail "the data changed: $BODY"

step "drain Store $old: the rest of its replicas go elsewhere by themselves"
request PATCH "/v1/stores/$old" -H 'Content-Type: application/json' --data-binary '{"state": "leaving"}'
expect_status 202
wait_until 120 "Store $old has no replicas" has_no_replicas "$old"

step "remove Store $old, and stop its node"
wait_until 60 "Store $old is removed" is_removed "$old"
get "/v1/stores/$old"
[ "$STATUS" = 404 ] || expect_json .state removed
kill "$(node_pid 3)"
wait_until 30 "node 3 stops" is_gone "$(node_pid 3)"

step "the data is equal, at each remaining node"
for node in 1 2 4; do
    use_node "$node"
    wait_until 30 "node $node answers the same checksum" is_same
done

step "and stays so when one of the remaining nodes dies"
kill_node 2
use_node 4
wait_until 30 "the others answer the same checksum" is_same
put /v1/raw/keys/after-all alive
expect_status 200
kill "$joined"
step "done"
