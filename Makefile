# `make` tells what there is. Everything runs in a virtual environment of this folder, from the versions in constraints.txt.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
LOCK := pyproject.toml constraints.txt

# Tests run beside each other: one compute thread each is faster than many that fight.
export OMP_NUM_THREADS ?= 1
PYTEST_WORKERS ?= 2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help deploy-local venv demo test lint types contracts pytest emulator format bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- environments: a stamp each, so that a second call is quick ----------------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No python3 found: install Python 3.11, or say make PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1), but 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.core: $(LOCK) | $(BIN)/python
	@echo "Installing the core, at the locked versions (a minute)"
	@$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(LOCK) | $(BIN)/python
	@echo "Installing what the tests need, every extra included, at the locked versions (some minutes)"
	@$(BIN)/python .ci/install_torch.py
	@$(PIP) --editable '.[test]'
	@touch $(VENV)/.core $@

venv: $(VENV)/.core ## an environment in .venv with the core, for `emberharmony run ...`

emulator: ## the BigQuery emulator of the integration tests, in an environment of its own
	@python3 tests/integration/emulator/server.py setup

# ---- what there is to do --------------------------------------------------------------------------------------------------

demo: $(VENV)/.core ## the 2013 New York flights, from raw table to features, windows and PCA
	@env -u OMP_NUM_THREADS $(BIN)/emberharmony demo

test: lint types contracts pytest ## everything that CI checks

lint: $(VENV)/.test ## style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.test ## mypy --strict on the library
	$(BIN)/mypy

contracts: $(VENV)/.test ## which way imports point
	$(BIN)/lint-imports

pytest: $(VENV)/.test emulator ## doctests and tests
	$(BIN)/pytest -n $(PYTEST_WORKERS) --dist loadgroup --durations 25

format: $(VENV)/.test ## put the code in the house's format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.test ## ratios against pandas, polars, DuckDB and scikit-learn, on an idle machine
	env -u OMP_NUM_THREADS $(BIN)/python -m benchmarks.kernels
	$(BIN)/python -m benchmarks.ops_overhead
	env -u OMP_NUM_THREADS $(BIN)/python -m benchmarks.whole_job

deploy-local: $(VENV)/.test ## a Prefect server, pools and workers on this machine, and the flights through them
	env -u OMP_NUM_THREADS $(BIN)/python -m deploy.local

clean: ## remove the environments and caches; data/ with its results stays
	rm -rf $(VENV) .venv-emulator build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
