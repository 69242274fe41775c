# `make run` and `make test` are all most people need; `make check` is what CI runs.

CARGO ?= cargo
DENY_VERSION := 0.20.2
SCHEMATHESIS_VERSION := 4.32.5
PORT ?= 8000
TASKLOOM := target/release/taskloom

.DEFAULT_GOAL := help
.PHONY: help run build test check fmt lint doc audit fuzz-api image-check bench clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

rust: ## (checks that Rust is here)
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: https://rustup.rs has the one-line install." >&2; exit 1; }
	@command -v cc >/dev/null || { echo "A C compiler is missing (SQLite is built from source): apt-get install gcc" >&2; exit 1; }

build: rust ## Build the one binary: target/release/taskloom
	$(CARGO) build --release --locked -p taskloom

run: build ## Build and start everything in one process on http://127.0.0.1:8000, data in ./data
	@exec $(TASKLOOM) dev --data ./data --port $(PORT)

test: rust ## Run every test
	$(CARGO) test --locked --workspace --no-fail-fast

fmt: rust ## Format the code
	$(CARGO) fmt --all

lint: rust
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

doc: rust
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet

audit: rust ## Check licences, layers, sources and known vulnerabilities of what is built in
	@$(CARGO) deny --version 2>/dev/null | grep -q . || \
	  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=false $(CARGO) install --locked --quiet cargo-deny --version $(DENY_VERSION)
	$(CARGO) deny --locked check bans licenses sources
	@$(CARGO) deny --locked check advisories || { \
	  if $(CARGO) deny --locked fetch db >/dev/null 2>&1; then exit 1; \
	  else echo "skipped: known vulnerabilities (1): the advisory database cannot be fetched from here"; fi; }

# On the tests' build: it is there already in `make check`, and arithmetic that overflows is a panic in it.
fuzz-api: rust ## Throw thousands of odd requests at the API, from its own OpenAPI document
	$(CARGO) test --locked --workspace --no-run --quiet
	@tests/fuzz-api.sh $(SCHEMATHESIS_VERSION)

image-check: ## Build the Dockerfile without pulling images, and run it: as root, with debootstrap and buildah
	@tests/image.sh

check: lint test doc audit fuzz-api ## All that CI checks

bench: build ## Measure on SQLite, PostgreSQL, Redis and MariaDB, beside PEERS if PEERS_DIR is set; quick: taskloom bench
	$(CARGO) build --locked -p taskloom-testkit
	sh bench/peers.sh taskloom taskloom-postgres taskloom-postgres-redis taskloom-mariadb $(if $(PEERS_DIR),$(PEERS))

clean: ## Remove what was built; ./data stays
	$(CARGO) clean
