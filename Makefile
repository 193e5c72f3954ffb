# Every command that a developer needs is a target of this file. `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/terway
export PATH := $(CACHE)/k8s-1.34.2/bin:$(CACHE)/bpf-linker-0.13.0/bin:$(CACHE)/cargo-machete-0.9.2/bin:$(PATH)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: setup
setup: ## install and build what is missing: packages, Kubernetes parts, CoreDNS, bpf-linker (once per version)
	@scripts/setup.sh

.PHONY: build
build: setup ## build every program
	cargo build --locked --workspace --bins
	@scripts/build-cni.sh

.PHONY: demo
demo: build ## run the main job on a real cluster with a simulated cloud (DEMO_KEEP=0 removes it at the end)
	@target/debug/demo

.PHONY: test
test: setup lint ## run formatter, clippy, unit, property, netns and lab tests
	@scripts/build-cni.sh
	cargo build --locked --workspace --bins
	@# Tests mostly wait for an API server, a lease or the simulated cloud. Four at once leave two cores idle half of the time.
	RUST_TEST_THREADS=$(or $(RUST_TEST_THREADS),4) cargo test --locked --workspace --no-fail-fast

.PHONY: crash
crash: setup ## kill the control plane at every cloud call, inject all faults, random mixes (SEED=1 LANES=6 MIXES=12)
	cargo build --locked -p terway-controlplane -p crash --bins
	target/debug/crash all --seed $(or $(SEED),1) --lanes $(or $(LANES),6) --mixes $(or $(MIXES),12)

.PHONY: storms
storms: build ## disturb agents, kubelets, control plane and nodes under a hundred pods (SEED=1 PODS=100 ONLY=agent)
	target/debug/storms --seed $(or $(SEED),1) --pods $(or $(PODS),100) $(if $(ONLY),--only $(ONLY))

.PHONY: kernels
kernels: setup ## run the agent's tests on Linux 5.10, 6.1 and 6.12 in virtual machines (KERNELS="5.10" PARTS="rights")
	@scripts/install-packages.sh kernels
	@e2e/kernels/run.sh $(KERNELS)

.PHONY: fuzz
fuzz: setup ## run every parser under libFuzzer (FUZZ_SECONDS=300 for each target, FUZZ="cni netlink")
	@scripts/fuzz.sh $(or $(FUZZ_SECONDS),300) $(FUZZ)

.PHONY: lint
lint: setup fmt-check ## check format, clippy, chart, generated files and prose
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@scripts/check-closures.sh
	@scripts/check-sizes.sh
	cargo machete
	@scripts/check-chart.sh
	@scripts/check-prose.sh

.PHONY: fmt-check
fmt-check:
	cargo fmt --all --check
	cd ebpf/programs && cargo fmt --check
	cd fuzz && cargo fmt --check

.PHONY: fmt
fmt: ## format the code
	cargo fmt --all
	cd ebpf/programs && cargo fmt
	cd fuzz && cargo fmt

.PHONY: crds
crds: ## write the CustomResourceDefinitions into the chart
	cargo run --locked -q -p terway-crds --bin crdgen -- charts/terway/crds

.PHONY: sdk-check
sdk-check: ## drive cloudsim with the official SDKs; needs Go, the network, and SDK_PYTHON for those in Python
	cargo build --locked -p cloudsim
	cd e2e/cloudsim/sdk-check && go run . -cloudsim $(abspath target/debug/cloudsim) $(if $(SDK_PYTHON),-python $(SDK_PYTHON))

.PHONY: sdk-check-record
sdk-check-record: ## as sdk-check, and record the SDKs' signed requests as test vectors
	cargo build --locked -p cloudsim
	cd e2e/cloudsim/sdk-check && go run . -cloudsim $(abspath target/debug/cloudsim) $(if $(SDK_PYTHON),-python $(SDK_PYTHON)) -record ../tests/vectors

.PHONY: bench
bench: setup ## run all benchmarks; figures beside upstream's and the aims (one of them: target/release/bench NAME)
	cargo build --locked --release -p bench -p terway-controlplane -p cloudsim -p terway-agent -p terway-cni --bins
	target/release/bench all

.PHONY: lab-up
lab-up: build ## start a cluster without the product, to try things by hand
	target/debug/lab up

.PHONY: lab-down
lab-down: ## remove the cluster and everything it left
	target/debug/lab down

.PHONY: deny
deny: ## check licences, sources, duplicates and advisories of all dependencies (needs cargo-deny and the network)
	cargo deny check
