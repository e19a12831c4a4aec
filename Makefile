# Needs python3 (3.11 or newer), make and a network to install from. `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check format docs bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'Options: PYTHON=python3.12 picks the interpreter; ARGS="…" is passed on, e.g. make demo ARGS="--seed 1".'

demo: $(VENV)/.demo ## Train a small model with CERO and with uniform allocation; tables, plots, one HTML page
	$(BIN)/cero demo $(ARGS)

test: $(VENV)/.dev ## All that a change must pass, each suite in its own environment (nox)
	$(BIN)/nox $(ARGS)

check: $(VENV)/.dev ## The fast loop: ruff, mypy, unit tests and doctests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest tests cero_api --doctest-modules $(ARGS)

format: $(VENV)/.dev ## Format the code, and fix what ruff can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## Build the documentation into site/
	$(BIN)/nox -s docs

bench: $(VENV)/.dev ## Run the benchmarks
	$(BIN)/nox -s bench -- $(ARGS)

clean: ## Remove environments, caches and builds
	rm -rf $(VENV) .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "cero-api needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo 'Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed: on Debian and Ubuntu install python3-venv first." >&2; exit 1; }

# A stamp for each extra: installed once, and again when pyproject.toml changes.
$(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	@echo 'Installing cero-api[$*] into $(VENV) (once) ...'
	@$(PIP) --editable '.[$*]'
	@touch $@
