#!/usr/bin/env bash
# title: Two transactions that wait for each other: one is refused with the cycle, the other commits
# nodes: 3
# regions: 8
# timeout: 90s
source "$(dirname "$0")/lib.sh"

begin() {
    post /v1/txns '{"mode":"pessimistic","lock_wait":"20s"}'
    expect_status 201
    jq -r .txn <<<"$BODY"
}
one_waits() {
    get /v1/deadlocks
    expect_status 200
    expect '.waits | length == 1'
}

step "one transaction locks key a, the other, through another node, key z"
first=$(begin)
use_node 2
second=$(begin)
post "/v1/txns/$first/ops" '{"ops":[{"put":{"key":"a","value":"first"}}]}'
expect_status 200
post "/v1/txns/$second/ops" '{"ops":[{"put":{"key":"z","value":"second"}}]}'
expect_status 200

step "the first asks for key z, and waits"
use_node 3
post "/v1/txns/$first/ops?timeout=20s" '{"ops":[{"put":{"key":"z","value":"first"}}]}' &
waiting=$!
wait_until 10 "a wait is shown by /v1/deadlocks" one_waits

step "the second asks for key a: that would never end, and is refused at once"
use_node 1
began=$(now_ms)
post "/v1/txns/$second/ops" '{"ops":[{"put":{"key":"a","value":"second"}}]}'
expect_status 409
expect_json .code DEADLOCK
expect '.context.cycle | length == 2'
took=$(($(now_ms) - began))
((took < 5000)) || fail "it took $took ms to find the deadlock"
step "found after $took ms; it is rolled back, and the first goes on"
wait "$waiting"
post "/v1/txns/$second/commit" ''
expect_status 409
post "/v1/txns/$first/commit" ''
expect_status 200
expect_json .state committed
for key in a z; do
    get "/v1/kv/keys/$key"
    expect_json .value first
done
get /v1/deadlocks
expect '.recent | length == 1'
step "done"
