# Every target sets up what it needs. Options (`make dev PORT=9999`, `PORT=9999 make dev`): see scripts/README.md.
.DEFAULT_GOAL := help
.PHONY: help setup build dev test bench chaos fuzz consumer deploy fmt lint clean

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

setup: ## install what is missing: the wasm target, node_modules, wasm-bindgen, worker-build
	@scripts/setup.sh

build: setup ## build the Worker into crates/edge/build
	@scripts/build-edge.sh

dev: ## run the gateway here, on an embedded database (PORT, STATE, ROOT_KEY)
	@scripts/node.sh scripts/dev.mjs

test: setup ## build the Worker, and run all tests
	@scripts/test.sh

bench: build ## measure throughput and latency
	@scripts/bench.sh

chaos: build ## kill the gateway again and again, and count what was lost
	@cargo run --release -p inlet-tests --bin chaos

fuzz: ## throw arbitrary requests at the catalogue of providers (FUZZ_SECONDS, 60)
	@scripts/fuzz.sh $(FUZZ_SECONDS)

consumer: ## run the companion that reads message brokers (INLET_URL, INLET_CONSUMER_KEY, PORT, STATE)
	@scripts/consumer.sh

deploy: setup ## deploy to Cloudflare (DRY_RUN=1, INLET_NAME, PUBLIC_URL)
	@node scripts/deploy.mjs

fmt: ## format the Rust code
	@cargo fmt --all

lint: setup ## rustfmt, clippy, rustdoc and the wasm32 check, as CI runs them
	@scripts/lint.sh

clean: ## remove what was built; keeps .tools, node_modules and .inlet
	rm -rf target crates/edge/build
