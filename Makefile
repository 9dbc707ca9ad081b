# The one way in. `make help` lists what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := image
BED         := python3 -B tests/testbed/bed.py
GUEST       := $(or $(CARGO_TARGET_DIR),target)/x86_64-unknown-linux-gnu/release/ringway
FAKES       := xen-hal/fake,ringway-netif/fake,executor/fake,xenstore/fake,xenbus/fake
T           ?=
FUZZ_SECONDS ?= 300

.PHONY: image run shell test test-host test-xen fuzz bench figures lab lint fmt clean help setup disk

image: dist/ringway ## build the guest: dist/ringway and dist/ringway.debug

run: image ## the whole story: boot Xen, create a router, send traffic through it, report
	@$(BED) run

shell: image ## the same machine, with a shell in dom0
	@$(BED) shell

test: test-host test-xen ## every test: on the host, then on Xen

test-host: setup ## unit, property and fuzz tests, and what a frame and a lookup may cost
	cargo test --quiet
	@python3 -B tests/bench/guard.py
	python3 -B -m unittest discover -q -s tests/lab -t tests

test-xen: image ## system tests on real Xen; T=name runs those whose name matches
	@$(BED) $(if $(T),test -k '$(T)',--machines 2 test)

fuzz: setup ## look for what breaks the router, with coverage; FUZZ_SECONDS=60 for each target, T=target
	@python3 -B tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(if $(KEEP),--keep) $(T)

bench: setup ## instructions per frame of the fast path; writes target/bench.csv
	@python3 -B tests/bench/run.py

figures: image ## instructions a frame and loss-free rates beside Linux; writes target/figures/
	@$(BED) --icount figures one-cpu
	@$(BED) --icount --cpus 2 --xen "dom0_max_vcpus=1 dom0_vcpus_pin sched=null" figures two-cpus

lab: image ## the measured experiments, in target/lab/; E=3: one of them, QUICK=1: coarsely
	@python3 -B tests/lab/lab.py $(if $(QUICK),--quick) $(E)

disk: setup # of dom0, which takes minutes once
	@$(BED) build

lint: image ## rustfmt, clippy, rustdoc, cargo-deny, typos, and checks of our own (tests/lint)
	cargo fmt --all --check
	cargo clippy --quiet --all-targets -- -D warnings
	cd image && cargo clippy --quiet --release -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --features $(FAKES)
	@python3 -B tests/lint/tools.py cargo-deny --locked check bans licenses sources
	@python3 -B tests/lint/tools.py typos
	python3 -B -m unittest discover -q -s tests/lint
	@python3 -B tests/lint/structure.py
	@python3 -B tests/lint/no_panic.py
	@python3 -B tests/lint/figures.py
	@python3 -B tests/lint/links.py

fmt: ## format the sources
	cargo fmt --all

clean: ## remove what was built (the test bed's disk too)
	rm -rf target dist

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: # what the build needs of Debian, and Rust
	@python3 -B tests/testbed/install.py
	@command -v cargo >/dev/null || { echo "Rust is missing: install rustup from https://rustup.rs, then run make again"; exit 1; }

dist/ringway: $(GUEST)
	@mkdir -p dist
	@cp $(GUEST) dist/ringway.debug
	@objcopy --strip-all dist/ringway.debug dist/ringway
	@echo "dist/ringway: $$(( $$(stat -c %s dist/ringway) / 1024 )) KiB"

$(GUEST): FORCE | setup
	@cd image && cargo build --quiet --release

FORCE:
