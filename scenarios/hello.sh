#!/usr/bin/env bash
# title: A value written to one node is read from every node; mistakes get clear answers
# nodes: 3
# regions: 4
# timeout: 60s
source "$(dirname "$0")/lib.sh"

step "the cluster has three nodes, three Stores and four Regions"
get /v1/cluster
expect_status 200
expect_json .bootstrapped true
expect_json '.nodes | length' 3
get /v1/stores
expect_json '[.items[] | select(.state == "up" and .alive)] | length' 3
get /v1/regions
expect '.items | length >= 4'

step "write through one node, read through each"
put /v1/raw/keys/hello world
expect_status 200
etag=$(jq -r .etag <<<"$BODY")
for node in 1 2 3; do
    use_node "$node"
    get /v1/raw/keys/hello
    expect_status 200
    expect_json .value world
    expect_json .etag "$etag"
    get '/v1/raw/keys/hello?consistency=follower'
    expect_json .value world
done

step "any bytes are a key or a value"
put '/v1/raw/keys/00ff2f?kenc=hex' 'slash and zero'
expect_status 200
post /v1/raw/get '{"keys": [{"hex": "00ff2f"}, "hello", "no such key"]}'
expect_status 200
expect_json '.items[0].value' 'slash and zero'
expect_json '.items[1].value' world
expect_json '.items[2].missing' true

step "rows come back in order, page by page"
post /v1/raw/put '{"items": [{"key": "list/b", "value": "2"}, {"key": "list/a", "value": "1"},
    {"key": "list/c", "value": {"json": {"n": 3}}}]}'
expect_status 200
expect_json .written 3
get '/v1/raw/scan?prefix=list/&limit=2'
expect_json '[.items[].key] | join(" ")' 'list/a list/b'
expect_json .stopped_by limit
cursor=$(jq -r .next_cursor <<<"$BODY")
get "/v1/raw/scan?prefix=list/&limit=2&cursor=$cursor"
expect_json '[.items[].key] | join(" ")' list/c
expect_json .stopped_by end
get '/v1/raw/scan?prefix=list/&reverse=true&keys_only=true'
expect_json '[.items[].key] | join(" ")' 'list/c list/b list/a'

step "a value with a time to live disappears"
put '/v1/raw/keys/soon?ttl=1s' gone
expect_status 200
is_expired() { get /v1/raw/keys/soon && expect_status 404; }
wait_until 10 "the value expires" is_expired

step "compare-and-swap by ETag and by value"
put /v1/raw/keys/hello again -H "If-Match: \"${etag//\"/}\""
expect_status 200
put /v1/raw/keys/hello late -H "If-Match: \"${etag//\"/}\""
expect_status 412
expect_json .code CAS_MISMATCH
post /v1/raw/cas '{"key": "hello", "expect": {"value": "again"}, "put": "swapped"}'
expect_json .succeeded true
post /v1/raw/cas '{"key": "hello", "expect": {"absent": true}, "put": "no"}'
expect_status 200
expect_json .succeeded false
expect_json .previous swapped

step "mistakes are told by code, and change nothing"
post /v1/raw/put '{"items": [{"key": "bad"'
expect_status 400
expect_json .code BAD_JSON
post /v1/raw/get '{"kyes": ["hello"]}'
expect_status 400
expect_json .code UNKNOWN_FIELD
expect 'tostring | contains("keys")'
get /v1/raw/keys/no-such-key
expect_status 404
expect_json .code KEY_NOT_FOUND
get /v1/nonsense
expect_status 404
expect_json .code NOT_FOUND
post /v1/raw/delete-range '{"all": true}'
expect_status 403
expect_json .code CONFIRMATION_NEEDED
get /v1/raw/keys/hello -H 'Host: evil.example'
expect_status 421
expect_json .code BAD_HOST

step "the command line speaks to the same cluster"
export TROUPE_URL=$BASE
[ "$("$TROUPE_BIN" kv get hello)" = swapped ] || fail "troupe kv get printed something else"
code=0
"$TROUPE_BIN" kv get no-such-key 2>/dev/null || code=$?
[ "$code" = 3 ] || fail "expected exit code 3 for a missing key, got $code"
"$TROUPE_BIN" ctl stores -o ndjson | jq -es 'length == 3' >/dev/null || fail "troupe ctl stores"
curl_line=$("$TROUPE_BIN" kv get hello --show-curl)
[ "$(bash -c "$curl_line" | jq -r .value)" = swapped ] || fail "--show-curl printed: $curl_line"

step "delete, and it is gone everywhere"
delete /v1/raw/keys/hello
expect_status 200
for node in 1 2 3; do
    use_node "$node"
    get /v1/raw/keys/hello
    expect_status 404
done
step "done"
