#!/usr/bin/env bash
# title: Write skew happens under snapshot isolation, and is refused under serializable
# nodes: 3
# regions: 8
# timeout: 60s
source "$(dirname "$0")/lib.sh"

# Two doctors are on call, and each may leave if the other one stays. Both ask at the same time.
both_leave() {
    local isolation=$1 doctor other
    post /v1/kv/put '{"items":[{"key":"ann","value":"on"},{"key":"zoe","value":"on"}]}'
    expect_status 200
    for doctor in ann zoe; do
        use_node $((RANDOM % 3 + 1))
        post /v1/txns "{\"isolation\":\"$isolation\"}"
        expect_status 201
        declare -g "$doctor=$(jq -r .txn <<<"$BODY")"
        post "/v1/txns/${!doctor}/ops" '{"ops":[{"get":{"key":"ann"}},{"get":{"key":"zoe"}}]}'
        expect_status 200
        expect '[.results[].value] == ["on","on"]'
    done
    for doctor in ann zoe; do
        post "/v1/txns/${!doctor}/ops" "{\"ops\":[{\"put\":{\"key\":\"$doctor\",\"value\":\"off\"}}]}"
        expect_status 200
    done
    post "/v1/txns/$ann/commit" ''
    expect_status 200
    post "/v1/txns/$zoe/commit" ''
}

on_call() {
    post /v1/kv/get '{"keys":["ann","zoe"]}'
    expect_status 200
    jq -r '[.items[] | select(.value == "on")] | length' <<<"$BODY"
}

step "under snapshot isolation both read that two are on call, and both leave"
both_leave snapshot
expect_status 200
[ "$(on_call)" = 0 ] || fail "write skew was expected here"

step "under serializable the second is refused, since what it read has changed"
both_leave serializable
expect_status 409
expect_json .code WRITE_CONFLICT
[ "$(on_call)" = 1 ] || fail "one must still be on call"

step "the same in one request each: the second attempt sees the first, and its condition fails"
post /v1/kv/put '{"items":[{"key":"ann","value":"on"},{"key":"zoe","value":"on"}]}'
for doctor in ann zoe; do
    other=$([ "$doctor" = ann ] && echo zoe || echo ann)
    body="{\"if\":[{\"key\":\"$other\",\"value\":\"on\"}],\"isolation\":\"serializable\",
        \"then\":[{\"put\":{\"key\":\"$doctor\",\"value\":\"off\"}}]}"
    curl -sS -o "$TROUPE_SCRATCH/$doctor" -X POST --data-binary "$body" "$(url 1)/v1/txn" &
done
wait
succeeded=$(jq -r .succeeded "$TROUPE_SCRATCH/ann" "$TROUPE_SCRATCH/zoe" | sort | tr '\n' ' ')
[ "$succeeded" = "false true " ] || fail "expected one of two to leave, got $succeeded"
[ "$(on_call)" = 1 ] || fail "one must still be on call"
step "done"
