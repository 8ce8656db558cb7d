#!/usr/bin/env bash
# title: Reads in the past: single keys, scans whose cursor stays on its snapshot, and the history of a key
# nodes: 3
# regions: 8
# timeout: 90s
source "$(dirname "$0")/lib.sh"

step "200 rows, and a timestamp of then"
rows=$(jq -nc '{items: [range(200) | {key: "row/\(1000 + .)", value: "old"}]}')
post /v1/kv/put "$rows"
expect_status 200
get /v1/ts
then_ts=$(jq -r .ts <<<"$BODY")

step "a scan begins, and between its pages every row is changed and half of them are removed"
get '/v1/kv/scan?prefix=row/&limit=50'
expect_status 200
expect '.items | length == 50'
page_ts=$(jq -r .read_ts <<<"$BODY")
cursor=$(jq -r .next_cursor <<<"$BODY")
post /v1/kv/put "${rows//old/new}"
expect_status 200
post /v1/kv/delete "$(jq -nc '{keys: [range(0; 200; 2) | "row/\(1000 + .)"]}')"
expect_status 200

step "its next pages, from other nodes, still show what it began with"
seen=50
node=1
while [ "$cursor" != null ]; do
    node=$((node % 3 + 1))
    use_node "$node"
    get "/v1/kv/scan?prefix=row/&limit=50&cursor=$cursor"
    expect_status 200
    expect_json .read_ts "$page_ts"
    expect 'all(.items[]; .value == "old")'
    seen=$((seen + $(jq '.items | length' <<<"$BODY")))
    cursor=$(jq -r .next_cursor <<<"$BODY")
done
[ "$seen" = 200 ] || fail "the scan saw $seen rows, not 200"

step "now and then, from every node, and from followers"
for node in 1 2 3; do
    use_node "$node"
    for consistency in leader follower; do
        get "/v1/kv/keys/row/1001?consistency=$consistency"
        expect_json .value new
        get "/v1/kv/keys/row/1001?at=$then_ts&consistency=$consistency"
        expect_json .value old
        get "/v1/kv/keys/row/1000?at=$then_ts&consistency=$consistency"
        expect_json .value old
        get "/v1/kv/keys/row/1000?consistency=$consistency"
        expect_status 404
    done
    get "/v1/kv/scan?prefix=row/&limit=1000&at=$then_ts"
    expect '[.items[].value] | length == 200 and all(. == "old")'
    get '/v1/kv/scan?prefix=row/&limit=1000'
    expect '[.items[].value] | length == 100 and all(. == "new")'
done

step "all versions of a key"
get /v1/kv/history/row/1000
expect_status 200
expect '[.versions[].kind] == ["delete", "put", "put"]'

step "a timestamp of the future is refused"
get "/v1/kv/keys/row/1001?at=$((then_ts + (60000 << 18)))"
expect_status 400
step "done"
