#!/usr/bin/env bash
# title: Transactions that nobody ends: an idle one, and one whose node is killed, block nobody for long
# nodes: 3
# regions: 8
# timeout: 2m
source "$(dirname "$0")/lib.sh"

begin_with_lock() {
    post /v1/txns "{\"mode\":\"pessimistic\",\"ttl\":\"$1\"}"
    expect_status 201
    TXN=$(jq -r .txn <<<"$BODY")
    post "/v1/txns/$TXN/ops" "{\"ops\":[{\"put\":{\"key\":\"$2\",\"value\":\"abandoned\"}}]}"
    expect_status 200
}
takes_write() {
    put "/v1/kv/keys/$1?timeout=2s" next
    expect '.key == "'"$1"'"'
}
state_is() {
    get "/v1/txns/$1"
    expect_json .state "$2"
}
no_lock_is_left() {
    get /v1/locks
    expect_status 200
    expect_json '.items | length' 0
}

step "a transaction locks a key, and its client goes away: after its idle time it is rolled back"
begin_with_lock 2s idle
wait_until 20 "it is rolled back" state_is "$TXN" rolled_back
put /v1/kv/keys/idle next
expect_status 200
post "/v1/txns/$TXN/commit" ''
expect_status 410
expect_json .code TXN_EXPIRED

step "another one locks a key, and the node that holds it is killed"
use_node 3
begin_with_lock 10m locked
use_node 1
get /v1/locks
expect '[.items[].key] == ["locked"]'
put '/v1/kv/keys/locked?timeout=3s' next
expect_status 409
expect_json .code LOCK_WAIT_TIMEOUT
kill_node 3
began=$(now_ms)
wait_until 60 "its lock ends by its time to live, and the next writer takes the key" takes_write locked
step "the key was free again after $(($(now_ms) - began)) ms"

step "its client comes back, asks another node for the commit, and hears that there was none"
use_node 2
post "/v1/txns/$TXN/commit" ''
expect_status 410
expect_json .code TXN_EXPIRED
state_is "$TXN" rolled_back
get /v1/kv/keys/locked
expect_json .value next

step "node 3 starts again, and says the same of what it had held"
restart_node 3
wait_ready 60 3
use_node 3
wait_until 20 "its old owner knows" state_is "$TXN" rolled_back
wait_until 60 "no lock is left" no_lock_is_left
step "done"
