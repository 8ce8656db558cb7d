# What a person or CI runs on this project. `make` alone prints the list.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

# Compiled crates live outside the checkout: RocksDB is compiled once for every clone, every
# command and every CI run that shares this home.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/troupe/target

SEEDS ?= 200
FIRST ?= 1
RUNS ?= 1
JSON ?=
SEED ?= 1
EVENTS ?= 60
NAME ?= hello
ARGS ?=

TROUPE := $(CARGO_TARGET_DIR)/debug/troupe
SIM_TEST := a_cluster_keeps_its_promises_under_random_faults
# All crates are selected, so that cargo gives their dependencies the same features in every command.
BUILD := cargo build --locked --workspace --bin troupe

.PHONY: help setup run test check fmt fmt-check lint unit mutants scenarios scenario sim sim-one \
	bench bench-txn bench-quick crash golden-update doctor deny

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the system packages that the build lacks, or say which ones
	@.ci/setup

run: setup ## build, then start a three-node cluster and print its URLs (ARGS="--processes" …)
	@echo "building; the first build compiles RocksDB and takes 15 to 20 minutes on two cores"
	$(BUILD)
	exec "$(TROUPE)" demo $(ARGS)

test: setup fmt-check lint unit mutants scenarios ## format check, clippy, all tests, all scenarios

check: ## quick look while you edit: does everything compile?
	cargo check --locked --workspace --all-targets

fmt: ## format all sources
	cargo fmt --all

fmt-check:
	cargo fmt --all --check

lint:
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --all-targets --features troupe-tests/mutants -- -D warnings

unit:
	cargo test --locked --workspace

scenarios: ## run every scenario against a fresh cluster each
	$(BUILD)
	"$(TROUPE)" scenario run all

scenario: ## run one scenario: make scenario NAME=cas-race
	$(BUILD)
	"$(TROUPE)" scenario run "$(NAME)"

# A child process for each core; RUNS=2 runs each seed in two processes and compares what they saw.
sim: ## simulate a cluster under faults with many seeds: make sim SEEDS=500 [FIRST=1 RUNS=2 JSON=out.json]
	SIM_SEEDS="$(SEEDS)" SIM_FIRST="$(FIRST)" SIM_RUNS="$(RUNS)" SIM_JSON="$(abspath $(JSON))" cargo test --locked \
		--workspace --test sim_random -- --exact --nocapture $(SIM_TEST)

sim-one: ## simulate one seed, one line an event: make sim-one SEED=42
	SIM_SEED="$(SEED)" cargo test --locked --workspace --test sim_random -- --exact --nocapture $(SIM_TEST)

# Where servers of the bench keep their data, and where its figures go.
BENCH_DIR ?= $(CARGO_TARGET_DIR)/bench
BENCH := "$(TROUPE)" bench run --dir "$(BENCH_DIR)" --out "$(BENCH_DIR)/bench.json"

bench: ## measure beside etcd (half an hour; needs etcd-server), and write docs/benchmarks/RESULTS.md
	$(BUILD)
	mkdir -p "$(BENCH_DIR)"
	$(BENCH) --rate 4000 $(ARGS)
	"$(TROUPE)" bench report "$(BENCH_DIR)/bench.json" --out docs/benchmarks

# What the bar for transactions is about, and how commit protocols compare.
TXN_LOADS := transfer,transfer-if,one-phase,near-two-phase,async,two-phase,kv-put,kv-get

bench-txn: ## measure transactions beside etcd (a quarter of an hour), and write docs/benchmarks/transactions/
	$(BUILD)
	mkdir -p "$(BENCH_DIR)"
	$(BENCH) --workloads $(TXN_LOADS) --clients 1,64 --value-bytes 256 $(ARGS)
	"$(TROUPE)" bench report "$(BENCH_DIR)/bench.json" --out docs/benchmarks/transactions

bench-quick: ## a minute of it, only printed (ARGS="--targets troupe" needs no etcd)
	$(BUILD)
	mkdir -p "$(BENCH_DIR)"
	$(BENCH) --quick $(ARGS)

crash: ## kill, pause, cut off and rob real nodes of their disks: make crash EVENTS=300 SEED=7
	cargo build --locked --workspace --bins
	exec "$(CARGO_TARGET_DIR)/debug/nemesis" --events "$(EVENTS)" --seed "$(SEED)" $(ARGS)

mutants: ## plant faults one by one: does the simulator find each?
	cargo test --locked --workspace --features troupe-tests/mutants --test mutants -- --nocapture

golden-update: ## write generated documents and golden files anew; review the diff
	UPDATE_GOLDEN=1 cargo test --locked --workspace

doctor: ## check this machine: ports, file limits, clock, speed of a disk sync
	$(BUILD)
	"$(TROUPE)" doctor

deny: ## check licences, advisories and sources of dependencies (needs cargo-deny)
	cargo deny --locked check
