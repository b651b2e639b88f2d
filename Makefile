# Everything runs from here; CI runs the same targets. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m stream_app
STAMP := $(VENV)/.installed
TOOLS := .local/tools
# Most tests of Kafka wait half of the time: three at once, each set with a broker of its own.
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Make the environment in .venv (all other targets do it by themselves)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version) found: set PYTHON=" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: run
run: setup ## Start Kafka, both workers and a sandbox Opsgenie, feed sample events, show each alert
	@exec $(RUN) demo

.PHONY: tools
tools: ## Fetch promtool, prometheus and kcat, which tests run (Debian's packages, unpacked in .local)
	@bash tests/tools.sh $(TOOLS)

.PHONY: test
test: setup tools ## Run all tests (Kafka included: it is started for them)
	$(PYTEST) $(ARGS)

.PHONY: check
check: setup ## Format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: setup ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: schemas
schemas: setup ## Write the schemas of the records, and asyncapi.yaml, from the code
	$(BIN)/python -m tests.contract.write

.PHONY: bench
bench: setup ## Measure speed and latency; writes .local/reports/bench.json
	$(BIN)/python -m tests.bench

.PHONY: kafka
kafka: setup ## Start the embedded Kafka and leave it running (stop: stream-app kafka stop)
	$(RUN) kafka start

.PHONY: constraints
constraints: ## Pin the newest versions that fit, with hashes and without index lines (needs uv)
	uv pip compile --universal --python-version 3.11 --group dev --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --quiet pyproject.toml -o constraints.txt

.PHONY: clean
clean: ## Stop the embedded Kafka and remove the environment and all run-time files
	@[ ! -x $(BIN)/python ] || $(RUN) kafka stop --quiet || true
	rm -rf $(VENV) .local .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
