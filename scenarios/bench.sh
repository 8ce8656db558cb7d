#!/usr/bin/env bash
# title: A short bench of the running cluster gives figures that make sense, and no write is lost
# nodes: 3
# regions: 4
# timeout: 90s
source "$(dirname "$0")/lib.sh"

KEYS=2000
RATE=100
result=$TROUPE_SCRATCH/bench.json

step "measure puts, gets and a mix in closed loops, and at $RATE a second"
pids=$(control '[.nodes[].pid | tostring] | join(",")')
"$TROUPE_BIN" bench run --targets running --url "$BASE" --pids "$pids" --keys "$KEYS" \
    --clients 1,8 --workloads put,get,mixed --value-bytes 256 --repetitions 1 --rate "$RATE" \
    --warm-up 200ms --duration 800ms --verify 1000 --out "$result" >"$TROUPE_SCRATCH/table"
[ "$(grep -c '^running ' "$TROUPE_SCRATCH/table")" = 9 ] || fail "the table has not nine lines"
BODY=$(<"$result")
LAST_REQUEST="troupe bench run"

step "every measurement has requests, no errors, and percentiles in order"
expect_json .schema troupe-bench/1
expect_json '.repetitions | length' 1
expect_json '.repetitions[0].void' null
expect_json '.repetitions[0].cells | length' 9
expect '[.repetitions[0].cells[] | .operations > 0 and .errors == 0 and .unanswered == 0] | all'
expect '[.repetitions[0].cells[].latency_us
    | 0 < .p50 and .p50 <= .p95 and .p95 <= .p99 and .p99 <= .p999 and .p999 <= .max] | all'
expect '[.repetitions[0].cells[] | .client_cpu_us >= 0 and .servers.memory_bytes > 1000000] | all'

step "an open loop keeps its rate; a closed one is as fast as its latency lets it"
expect "[.repetitions[0].cells[] | select(.rate == $RATE) | .ops_per_second >= 0.5 * $RATE
    and .ops_per_second <= 1.5 * $RATE] | length == 3 and all"
expect '[.repetitions[0].cells[] | select(.rate == null)
    | (.ops_per_second * .latency_us.mean / 1e6 / .clients) | . > 0.5 and . < 1.5] | all'

step "puts are synced and written by three nodes, gets are not"
expect '[.repetitions[0].cells[] | select(.workload == "put") | .servers.syncs > 0.2
    and (.servers.written_bytes // 257) > 256] | all'
expect '[.repetitions[0].cells[] | select(.workload == "get" and .clients == 8)
    | .servers.syncs < 0.5] | all'

step "what was acknowledged reads back"
expect_json '.repetitions[0].verified' 1000
expect_json '.repetitions[0].wrong' 0
post /v1/raw/scan '{"prefix": "bench-", "limit": 1}'
expect_json '.items | length' 1

step "the load generator was measured too"
BODY=$(<"$result")
expect '[.ceilings[0].cells[] | .errors == 0 and .operations > 1000 and .client_cpu_us > 0]
    | length == 2 and all'

step "a result compared with itself has no difference; a page is made of it"
"$TROUPE_BIN" bench compare "$result" "$result" -o json >"$TROUPE_SCRATCH/compared"
BODY=$(<"$TROUPE_SCRATCH/compared")
expect '[.items[].verdict == "noise"] | length > 9 and all'
"$TROUPE_BIN" bench report "$result" --out "$TROUPE_SCRATCH/page"
for file in RESULTS.md result.json throughput-256.svg p50-256.svg p99-256.svg server-cpu-256.svg; do
    [ -s "$TROUPE_SCRATCH/page/$file" ] || fail "$file was not written"
done
step "done"
