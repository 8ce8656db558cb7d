#!/usr/bin/env bash
# title: All named characters of Unicode are imported, read back equal, and survive kill -9 of all nodes
# nodes: 3
# regions: 32
# timeout: 10m
source "$(dirname "$0")/lib.sh"
UNICODE="$(dirname "$0")/unicode.py"

# Exports everything through a node and compares it with the source.
compare() {
    curl -sS -N --max-time 300 -H 'Accept: application/x-ndjson' -o "$TROUPE_SCRATCH/export" \
        "$(url "$1")/v1/raw/scan?enc=b64"
    python3 "$UNICODE" export "$TROUPE_SCRATCH/export" "$rows" "$digest" || fail "node $1 differs"
}

step "write all named characters of python3's unicodedata as NDJSON"
read -r rows digest < <(python3 "$UNICODE" rows "$TROUPE_SCRATCH/rows.ndjson")
((rows > 100000)) || fail "only $rows characters have names here"
step "$rows rows, $(($(stat -c %s "$TROUPE_SCRATCH/rows.ndjson") >> 20)) MiB"

step "the key space is cut into 32 Regions"
get '/v1/regions?limit=1000'
expect '.items | length >= 32'

step "import through node 1"
began=$(now_ms)
curl -sS -N --max-time 400 -X POST -H 'Content-Type: application/x-ndjson' \
    -T "$TROUPE_SCRATCH/rows.ndjson" "$(url 1)/v1/raw/import" >"$TROUPE_SCRATCH/import"
BODY=$(tail -n 1 "$TROUPE_SCRATCH/import")
expect_json .done true
expect_json .rows "$rows"
imported=$(jq -r .checksum <<<"$BODY")
took=$(($(now_ms) - began))
step "imported in $took ms ($((rows * 1000 / took)) rows/s)"

step "every node answers the same checksum as the import"
for node in 1 2 3; do
    use_node "$node"
    post /v1/raw/checksum '{}'
    expect_status 200
    expect_json .rows "$rows"
    expect_json .checksum "$imported"
done
before=$(checksum)

step "scan block by block through node 2, and compare with the source"
python3 "$UNICODE" blocks "$(url 2)" || fail "a block differs"

step "export all rows through node 3, and compare with the source"
compare 3

step "kill -9 all three nodes, and start them again"
for node in 1 2 3; do kill -9 "$(node_pid "$node")"; done
for node in 1 2 3; do wait_until 10 "node $node is gone" is_gone "$(node_pid "$node")"; done
for node in 1 2 3; do restart_node "$node"; done
began=$(now_ms)
wait_ready 60 1 2 3
has_all() { checksum >"$TROUPE_SCRATCH/checksum"; }
wait_until 60 "all Regions serve" has_all
step "they serve again after $(($(now_ms) - began)) ms"

step "every row is still there"
for node in 1 2 3; do
    use_node "$node"
    after=$(checksum)
    [ "$after" = "$before" ] || fail "before: $before; after, at node $node: $after"
done
compare 1
python3 "$UNICODE" blocks "$(url 3)" >"$TROUPE_SCRATCH/blocks" || fail "a block differs"
step "done: $before"
