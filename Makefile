# One page for everything that is typed here. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run install test check bench lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.run ## install what the default needs, then serve on http://127.0.0.1:8765 (ARGS="--port 9000")
	@$(BIN)/airis-mon serve $(ARGS)

install: $(VENV)/.dev ## the virtual environment .venv with everything for development

test: $(VENV)/.dev ## every test; starts real servers, and installs missing ones where it may
	@tools/servers.sh
	@$(BIN)/pytest -n 2 $(TESTS) $(ARGS)

check: $(VENV)/.dev ## format, lint, types, import rules, size table, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.size
	$(BIN)/pytest -n 2 -m "not slow and not live" tests

bench: $(VENV)/.dev ## speed and quality against the bars, with Prometheus and VictoriaMetrics beside (ARGS="load --quick")
	@tools/servers.sh
	@$(BIN)/python -m benchmarks $(ARGS)

lock: $(VENV)/.dev ## write requirements/*.txt anew from pyproject.toml (UPGRADE=--upgrade for newer versions)
	$(LOCK) --extra embedded --extra forecast -o requirements/run.txt
	$(LOCK) --extra dev -c requirements/run.txt -o requirements/dev.txt
LOCK = $(BIN)/uv pip compile -q pyproject.toml requirements/build.in --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)

clean: ## remove the virtual environment and every cache (data/ stays)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Python 3.11 or newer, and the module that makes virtual environments: said in words before pip says it in a traceback.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "AIRIS-MON needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)."; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# `-e`, so that a change in src/ needs no second install. The stamps make every later call of make instant.
$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "Installing AIRIS-MON into $(VENV) (once; the embedded store is the largest part) ..."
	@$(BIN)/pip install --require-hashes -r requirements/run.txt
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing AIRIS-MON and its development tools into $(VENV) (once) ..."
	@$(BIN)/pip install --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $(VENV)/.run $@
