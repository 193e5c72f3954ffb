# Everything a person needs is a target here; `make` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/terway
export PATH := $(CACHE)/k8s-1.34.2/bin:$(CACHE)/bpf-linker-0.13.0/bin:$(PATH)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: setup
setup: ## install and build what is missing: packages, Kubernetes parts, bpf-linker (once per version)
	@scripts/setup.sh

.PHONY: build
build: setup ## build every program
	cargo build --locked --workspace --bins
	@scripts/build-cni.sh

.PHONY: demo
demo: build ## the main job on a real cluster with a simulated cloud (DEMO_KEEP=0 removes it at the end)
	@target/debug/demo

.PHONY: test
test: setup lint ## formatter, clippy, unit, property, netns and lab tests
	@scripts/build-cni.sh
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --no-fail-fast

.PHONY: lint
lint: setup fmt-check ## formatter, clippy, chart and generated files
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@scripts/check-chart.sh

.PHONY: fmt-check
fmt-check:
	cargo fmt --all --check
	cd ebpf/programs && cargo fmt --check

.PHONY: fmt
fmt: ## format the code
	cargo fmt --all
	cd ebpf/programs && cargo fmt

.PHONY: crds
crds: ## write the CustomResourceDefinitions into the chart
	cargo run --locked -q -p terway-crds --bin crdgen -- charts/terway/crds

.PHONY: bench
bench: setup ## benchmarks; figures against upstream's in the same table
	cargo build --locked --release -p bench -p terway-controlplane -p cloudsim --bins
	target/release/bench

.PHONY: lab-up
lab-up: build ## a cluster without the product, to try things by hand
	target/debug/lab up

.PHONY: lab-down
lab-down: ## remove the cluster and all it left
	target/debug/lab down

.PHONY: deny
deny: ## licences, sources, duplicates and advisories of all dependencies (needs cargo-deny)
	cargo deny check
