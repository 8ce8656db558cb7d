#!/usr/bin/env bash
# title: Old versions and ended values leave the disks behind the safe point; a barrier keeps them
# nodes: 3
# regions: 4
# timeout: 180s
source "$(dirname "$0")/lib.sh"

step "two versions of a key, and a value that ends"
put /v1/kv/keys/key old
expect_status 200
old=$(jq -r .version <<<"$BODY")
put '/v1/kv/keys/soon?ttl=1s' brief
expect_status 200
put /v1/kv/keys/key new
expect_status 200
get "/v1/kv/keys/key?at=$old"
expect_json .value old
is_expired() { get /v1/kv/keys/soon && expect_status 404; }
wait_until 10 "the value ends" is_expired
get /v1/kv/history/key
expect_json '.versions | length' 2

step "a barrier holds the safe point back"
put /v1/gc/barriers/scenario "{\"at\":\"$old\",\"ttl\":\"1h\"}" -H 'Content-Type: application/json'
expect_status 200
post /v1/gc '{"safe_point":"-1ms"}'
expect_status 200
expect_json .txn_safe_point "$old"
get "/v1/kv/keys/key?at=$old"
expect_json .value old

step "without it, reads below the safe point are refused once the Stores know it"
delete /v1/gc/barriers/scenario
expect_status 200
post /v1/gc '{"safe_point":"-1ms"}'
expect_status 200
safe_point=$(jq -r .txn_safe_point <<<"$BODY")
is_refused() { get "/v1/kv/keys/key?at=$old" && expect_json .code SNAPSHOT_GONE; }
wait_until 20 "the Stores know the safe point" is_refused
get "/v1/kv/keys/key?at=$safe_point"
expect_json .value new

step "a round resolves, waits and releases; the Stores collect"
is_released() { get /v1/gc && expect_json .gc_safe_point "$safe_point"; }
wait_until 90 "the GC safe point follows" is_released
get /v1/gc
expect '.round.number >= 1'
is_collected() { get /v1/kv/history/key && expect_json '.versions | length' 1; }
wait_until 30 "the old version is collected" is_collected
get /v1/kv/keys/key
expect_json .value new

step "the ended value was deleted, and goes with the next safe point"
is_swept() { get /v1/kv/history/soon && expect '.versions == null or .versions[0].kind == "delete"'; }
wait_until 60 "the value is deleted" is_swept
post /v1/gc '{"safe_point":"-1ms"}'
expect_status 200
is_gone() { get /v1/kv/history/soon && expect_status 404; }
wait_until 90 "nothing is left of it" is_gone
step "done"
