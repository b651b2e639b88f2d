# Everything runs from here; CI runs the same targets. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m stream_app
# What `make run` installs, and what tests and linters need beside it.
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-for-tests
PIP := $(BIN)/python -m pip install --disable-pip-version-check
PIP_DOWNLOAD := $(BIN)/python -m pip download --disable-pip-version-check --quiet --no-deps \
  --only-binary :all: --require-hashes
TOOLS := .local/tools
# Most tests of Kafka wait half of the time: four at once, each set with a broker of its own.
PYTEST := $(BIN)/python -m pytest -n 4 --dist worksteal

# Tests start hundreds of processes: none compiles again what another one has compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) $(DEV_STAMP) ## Make the environment in .venv (all other targets do it by themselves)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version) found: set PYTHON=" >&2; exit 2; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@$(call install,constraints.txt)
	@echo "installing stream_app itself"
	@$(PIP) --quiet --no-deps --no-build-isolation -e '.[local]'
	@touch $@

$(DEV_STAMP): $(STAMP) tests/constraints.txt
	@$(call install,tests/constraints.txt)
	@touch $@

# Installs what a file pins and says how far it is: on a terminal in one line that is painted over,
# elsewhere in a line for every 20 packages. What pip says of a failure stays.
define install
set -o pipefail; n=0; all=$$(grep -c == $(1)); \
echo "installing the $$all packages of $(1)"; \
$(PIP) --progress-bar off --require-hashes -r $(1) | while read -r what name _; do \
  case "$$what" in \
    Collecting|Ignoring) n=$$((n + 1)); text="$$n of $$all: $$name" ;; \
    Installing) text="all are there, unpacking them" ;; \
    *) continue ;; \
  esac; \
  if [ -t 1 ]; then printf '\033[K  %s\r' "$$text"; \
  elif [ $$((n % 20)) = 0 ] || [ "$$what" = Installing ]; then echo "  $$text"; fi; \
done && if [ -t 1 ]; then printf '\033[K'; fi
endef

.PHONY: run
run: $(STAMP) ## Start Kafka, both workers and a sandbox Opsgenie, feed sample events, show each alert
	@exec $(RUN) demo

.PHONY: tools
tools: setup ## Fetch promtool, prometheus, kcat and Chromium, which tests run (Debian's packages, in .local)
	@bash tests/tools.sh $(TOOLS)
	@$(BIN)/python -m tests.java_cache
	@$(MAKE) --no-print-directory $(TOOLS)/wheels/.fetched

# The tests make the image from these, without a network.
DEPLOY_PINS := deploy/constraints.txt deploy/image/build-constraints.txt
$(TOOLS)/wheels/.fetched: $(DEPLOY_PINS)
	@echo "fetching the wheels of the image"
	@for pins in $(DEPLOY_PINS); do $(PIP_DOWNLOAD) -r $$pins -d $(@D) || exit; done
	@touch $@

.PHONY: helm
helm: setup ## Build the program that renders the Helm chart for tests (from Go modules, in .local)
	@bash tests/deploy/chart/helm/build.sh $(TOOLS) $(BIN)/python

.PHONY: test
test: setup tools helm ## Run all tests (Kafka included: it is started for them)
	$(PYTEST) $(ARGS)

.PHONY: test-unit
test-unit: setup tools ## Run the tests that need no Kafka, with few examples: a good minute
	EXAMPLES=few $(BIN)/python -m pytest -n 3 --dist worksteal tests/unit tests/contract $(ARGS)

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
kafka: $(STAMP) ## Start the embedded Kafka and leave it running (stop: stream-app kafka stop)
	@$(RUN) kafka start

# Without index lines: everybody's own index is asked.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
  --no-annotate --no-emit-index-url --quiet

.PHONY: constraints
constraints: ## Pin what pyproject.toml asks for, with hashes (needs uv)
	$(COMPILE) --extra local --group editable pyproject.toml -o constraints.txt
	$(COMPILE) --group dev -c constraints.txt -o tests/constraints.txt
	$(COMPILE) --extra msk -c constraints.txt -c tests/constraints.txt pyproject.toml -o deploy/constraints.txt
	$(COMPILE) --group editable -c constraints.txt -o deploy/image/build-constraints.txt
	$(COMPILE) --group go -o tests/deploy/chart/helm/constraints.txt

# SOURCE, the address of the repository, is yours to give. It needs no Python on this machine.
.PHONY: image
image: ## Build the image stream-app with Docker (make image SOURCE=https://…)
	docker build -f deploy/Dockerfile -t stream-app \
	  --build-arg VERSION="$$(sed -n 's/^__version__ = "\(.*\)"$$/\1/p' stream_app/__init__.py)" \
	  --build-arg REVISION="$$(git rev-parse HEAD)" --build-arg SOURCE="$(SOURCE)" .

.PHONY: clean
clean: ## Stop the embedded Kafka and remove the environment and all run-time files
	@[ ! -x $(BIN)/python ] || $(RUN) kafka stop --quiet || true
	rm -rf $(VENV) .local .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
