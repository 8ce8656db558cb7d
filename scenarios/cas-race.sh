#!/usr/bin/env bash
# title: Four writers on different nodes increment one counter by compare-and-swap; none is lost
# nodes: 3
# regions: 1
# timeout: 180s
source "$(dirname "$0")/lib.sh"

WRITERS=4
INCREMENTS=50

# Increments until it has succeeded often enough. What it believes comes from the last answer.
increment() {
    local seen=0 done_count=0 lost=0
    use_node $((1 + $1 % 3))
    while ((done_count < INCREMENTS)); do
        post /v1/raw/cas "{\"key\": \"counter\", \"expect\": {\"value\": \"$seen\"}, \"put\": \"$((seen + 1))\"}"
        expect_status 200
        if [ "$(jq -r .succeeded <<<"$BODY")" = true ]; then
            seen=$((seen + 1)) done_count=$((done_count + 1))
        else
            seen=$(jq -r .previous <<<"$BODY") lost=$((lost + 1))
        fi
    done
    printf '%s' "$lost" >"$TROUPE_SCRATCH/lost-$1"
}

step "the counter starts at 0"
post /v1/raw/cas '{"key": "counter", "expect": {"absent": true}, "put": "0"}'
expect_status 200
expect_json .succeeded true
post /v1/raw/cas '{"key": "counter", "expect": {"absent": true}, "put": "0"}'
expect_json .succeeded false

step "$WRITERS writers increment it $INCREMENTS times each"
writers=()
for ((writer = 0; writer < WRITERS; writer++)); do
    increment "$writer" &
    writers+=("$!")
done
for pid in "${writers[@]}"; do
    wait "$pid" || fail "a writer failed"
done
lost=0
for ((writer = 0; writer < WRITERS; writer++)); do
    lost=$((lost + $(cat "$TROUPE_SCRATCH/lost-$writer")))
done

step "$((WRITERS * INCREMENTS)) increments succeeded, $lost lost the race and tried again"
for node in 1 2 3; do
    use_node "$node"
    get '/v1/raw/keys/counter?consistency=linearizable'
    expect_json .value "$((WRITERS * INCREMENTS))"
done
((lost > 0)) || fail "nobody ever lost: the writers did not race"

step "of four that want to create the same key, one succeeds"
for round in 1 2 3 4 5; do
    : >"$TROUPE_SCRATCH/codes"
    pids=()
    for node in 1 2 3 1; do
        curl -sS -o "$TROUPE_SCRATCH/answer-$node-${#pids[@]}" -w '%{http_code}\n' -X PUT \
            -H 'If-None-Match: *' --data-binary "node $node" \
            "$(url "$node")/v1/raw/keys/once-$round" >>"$TROUPE_SCRATCH/codes" &
        pids+=("$!")
    done
    wait "${pids[@]}"
    codes=$(sort "$TROUPE_SCRATCH/codes" | tr '\n' ' ')
    [ "$codes" = "201 412 412 412 " ] || fail "expected one 201 and three 412, got $codes"
done
step "done"
