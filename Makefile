# Indelible's chores. `make` alone says what there is.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Build output lives outside the tree, so that a fresh clone reuses it.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/indelible/target
# Tools that scripts/prerequisites puts there (Go, Python with duckdb) come first.
export PATH := $(CARGO_TARGET_DIR)/venv/bin:$(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin

# `make test LOCKED=--locked` refuses a Cargo.lock that is not up to date; CI does.
LOCKED ?=
# What to test, after `cargo test`: `make test TEST="-p event"`.
TEST ?= --workspace
# Folder of the demo; a temporary one, removed at the end, if not given.
DATA ?=
FUZZ_SECONDS ?= 60

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

.PHONY: demo
demo: ## build and start a server filled with a month of invented records (DATA=folder keeps them)
	@scripts/prerequisites build
	cargo build $(LOCKED) --package cli --bin indelible
	@if [ -n "$(DATA)" ]; then exec "$(CARGO_TARGET_DIR)/debug/indelible" demo --data "$(DATA)"; fi; \
	folder=$$(mktemp -d "$${TMPDIR:-/tmp}/indelible-demo.XXXXXX"); \
	trap 'rm -rf "$$folder"' EXIT; trap : INT TERM; \
	"$(CARGO_TARGET_DIR)/debug/indelible" demo --data "$$folder/data"

# The first time it builds Ory's Kratos and Hydra, four minutes on two cores; INDELIBLE_WITHOUT_ORY=1 leaves them and their tests out.
.PHONY: test
test: ## every test, with the independent checkers (Go, OpenSSL, DuckDB)
	@scripts/prerequisites test
	cargo test $(LOCKED) --no-fail-fast $(TEST)

# Schedules of chance per test of `make soak`, and kill -9 rounds.
SCHEDULES ?= 100000
KILLS ?= 200

.PHONY: soak
soak: ## faults for hours: SCHEDULES (100000) over ledger and over store, kill -9 of the binary KILLS (200) times
	@scripts/prerequisites test
	INDELIBLE_SCHEDULES=$(SCHEDULES) cargo test $(LOCKED) --workspace --test faults -- --nocapture every_
	INDELIBLE_KILLS=$(KILLS) cargo test $(LOCKED) --workspace --test e2e -- --nocapture i1_i2_i3_after_kill_9

.PHONY: lint
lint: ## format, clippy, fuzz targets, docs, licences and bans, allowed arrows, words, generated files
	@scripts/prerequisites lint
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo xtask deps
	cargo xtask words
	cargo deny --log-level warn check licenses bans sources
	cargo clippy $(LOCKED) --workspace --all-targets -- -D warnings
	cargo check $(LOCKED) --quiet --manifest-path fuzz/Cargo.toml
	RUSTDOCFLAGS="-D warnings" cargo doc $(LOCKED) --workspace --no-deps --quiet
	cargo xtask gen --check

.PHONY: gen
gen: ## write the generated files (api/)
	cargo xtask gen

.PHONY: dist
dist: ## build the program as it is published, with a profile of itself at work; prints its path
	@scripts/prerequisites build
	@scripts/dist

.PHONY: bench
bench: ## load a million records and measure, beside PostgreSQL (release build)
	@scripts/prerequisites bench
	bench/run

.PHONY: bench-full
bench-full: ## as bench, with ten million records
	@scripts/prerequisites bench
	bench/run 10000000

.PHONY: fuzz
fuzz: ## fuzz every parser of outside bytes, FUZZ_SECONDS each (60)
	@scripts/prerequisites fuzz
	FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run
