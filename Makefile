# `make` lists the targets. Everything runs in a virtual environment in this folder, with the versions in constraints.txt.

# The Python of a distribution is built with more optimisations than one that was compiled here, as by pyenv: the tests take a
# tenth less time. It is taken if it can make environments, which is a package of its own on Debian.
PYTHON ?= $(shell for python in /usr/bin/python3.11 python3.11 python3; do \
	command -v $$python > /dev/null && $$python -c 'import ensurepip' 2> /dev/null && command -v $$python && exit; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
LOCK := pyproject.toml constraints.txt

# Tests run in parallel processes: one compute thread for each is faster than many that compete.
export OMP_NUM_THREADS ?= 1
# One worker more than there are cores, if there are 2 GB for each, since many tests wait for servers and for other processes.
# Each worker imports, collects and starts much for itself: on two cores, four took half a minute longer than three.
PYTEST_WORKERS ?= $(shell test -r /proc/meminfo && awk -v cores="$$(getconf _NPROCESSORS_ONLN)" \
	'/MemAvailable/ {n = int($$2 / 2000000); most = cores > 7 ? 8 : cores + 1; print (n > most ? most : n < 2 ? 2 : n)}' \
	/proc/meminfo || echo 4)
# The tests start some hundred processes, which would compile our modules each time.
unexport PYTHONDONTWRITEBYTECODE
# Where the tests write: in memory if there is room, since each file and each commit of a server's database is flushed to disk.
SCRATCH ?= $(shell test -w /dev/shm && test "$$(df -Pk /dev/shm | awk 'NR == 2 {print $$4}')" -gt 6000000 \
	&& echo /dev/shm || echo "$${TMPDIR:-/tmp}")

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help deploy-local venv demo docs test lint types contracts pytest emulator azurite browser format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- environments: each with a stamp file, so that a second call is fast --------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python that can make environments found: install Python 3.11" \
		"(on Debian or Ubuntu python3 and python3-venv), or say make PYTHON=/path/to/python3.11"; exit 1; }
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
	@touch $(VENV)/.core $(VENV)/.docs $@

$(VENV)/.docs: $(LOCK) | $(BIN)/python
	@echo "Installing what the site of docs/ needs, at the locked versions (a minute)"
	@$(PIP) --editable '.[demo,docs]'
	@touch $(VENV)/.core $@

venv: $(VENV)/.core ## create .venv with the core, for `emberharmony run ...`

emulator: ## install the BigQuery emulator of the integration tests, in a separate environment
	@python3 tests/integration/emulator/server.py setup

# The Azure server of the tests of stores is a package of npm.
AZURITE := tests/servers/azurite
$(AZURITE)/node_modules/.package-lock.json: $(AZURITE)/package-lock.json
	@command -v npm > /dev/null || { echo "npm is not installed: install Node.js, which the tests' Azure server runs on"; exit 1; }
	@echo "Installing Azurite, the Azure server of the tests (a minute)"
	@npm ci --prefix $(AZURITE) --no-audit --no-fund --silent
	@touch $@

browser: ## install the browser that the tests open reports in, if there is none and apt may install it
	@command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null || { \
		echo "Installing Chromium, which the tests open reports in (a minute)"; \
		{ apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } > /dev/null 2>&1 || \
		echo "Chromium is not installed and apt-get could not install it: the tests of reports in a browser are skipped"; }

azurite: $(AZURITE)/node_modules/.package-lock.json ## install the Azure server of the tests

# ---- targets -------------------------------------------------------------------------------------------------------------

demo: $(VENV)/.core ## run the 2013 New York flights, from the raw table to features, windows and PCA
	@env -u OMP_NUM_THREADS $(BIN)/emberharmony demo

docs: $(VENV)/.docs ## build the site of docs/ into build/site, whose pages can be opened as files
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

# Types and contracts are checked beside the tests, which often wait; what they say follows at the end.
test: $(VENV)/.test emulator azurite browser lint ## run everything that CI checks
	@said=$$(mktemp); trap 'rm -f "$$said"' EXIT INT TERM; \
	$(MAKE) --no-print-directory types contracts >"$$said" 2>&1 & checks=$$!; \
	$(MAKE) --no-print-directory pytest; tests=$$?; \
	wait $$checks; checks=$$?; cat "$$said"; exit $$((tests || checks))

lint: $(VENV)/.test ## check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.test ## run mypy --strict on the library
	$(BIN)/mypy

contracts: $(VENV)/.test ## check the direction of imports
	$(BIN)/lint-imports

# A worker that crashes ends the run: pytest-xdist would start another one, and then wait for ever for the rest of its group.
# The groups keep the order of tests/sharing_out.py: pytest-xdist would begin with those of most tests.
pytest: $(VENV)/.test emulator azurite ## run doctests and tests
	@scratch=$$(mktemp -d "$(SCRATCH)/emberharmony-XXXXXX"); chmod 755 "$$scratch"; trap 'rm -rf "$$scratch"' EXIT INT TERM; \
	TMPDIR="$$scratch" $(BIN)/pytest -n $(PYTEST_WORKERS) --max-worker-restart 0 --dist loadgroup --no-loadscope-reorder --durations 25

format: $(VENV)/.test ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.test ## compare with the machine's floor, pandas, polars, DuckDB and scikit-learn, on an idle machine (15 minutes)
	@env -u OMP_NUM_THREADS $(BIN)/python -m benchmarks

deploy-local: $(VENV)/.test ## start a Prefect server, pools and workers on this machine, and run the flights on them
	env -u OMP_NUM_THREADS $(BIN)/python -m deploy.local

clean: ## remove environments and caches, but keep data/ with its results
	rm -rf $(VENV) .venv-emulator $(AZURITE)/node_modules build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
