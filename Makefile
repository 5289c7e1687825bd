# `make help` lists what there is. Every target sets up .venv first; that takes no time when nothing changed.

.DEFAULT_GOAL := help
.PHONY: help setup run test slow bench check format docs lock clean

PY := .venv/bin/python
CONFIG ?= configs/adoption.yaml
BENCH ?= benchmarks/throughput.py

# Runs keep to the checkout and talk to nobody. Whatever is set in your environment wins.
export PREFECT_HOME ?= $(CURDIR)/.prefect
# Prefect 3.7 takes these two from ~/.prefect whatever PREFECT_HOME says.
export PREFECT_RESULTS_LOCAL_STORAGE_PATH ?= $(PREFECT_HOME)/storage
export PREFECT_SERVER_MEMO_STORE_PATH ?= $(PREFECT_HOME)/memo_store.toml
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS ?= 90
export MLFLOW_DISABLE_TELEMETRY ?= true
export DO_NOT_TRACK ?= 1
export MPLBACKEND ?= Agg

comma := ,

help:  ## This list
	@echo 'make TARGET [VARIABLE=value]'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  \033[1m%-8s\033[0m %s\n", $$1, $$2}' Makefile

setup:  ## Make or refresh .venv; EXTRAS=ray,dask,bench,docs adds extras
	@scripts/setup $(subst $(comma), ,$(EXTRAS))

run: setup  ## Fit the demo portfolio and track it in MLflow; CONFIG=configs/other.yaml, ARGS=...
	@$(PY) flows/train.py $(CONFIG) $(ARGS)

test: setup  ## The default tests, nine to twelve minutes on two cores; ARGS=tests/config
	@$(PY) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(ARGS)

slow: setup  ## The slow tests: calibration, posteriordb, real servers
	@$(PY) -m pytest -m slow $(ARGS)

bench: setup  ## Speed against a plain PyMC loop; BENCH=benchmarks/other.py, ARGS=--json
	@$(PY) $(BENCH) $(ARGS)

check: setup  ## Lint, format, types and layers: what CI runs beside the tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

format: setup  ## Put the code into the form that check asks for
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: EXTRAS = docs
docs: setup  ## Build the documentation; with POSTERITY_VACCINATION set, its figures too
	@$(PY) docs/made/keys.py
	@[ -z "$$POSTERITY_VACCINATION" ] || $(PY) docs/made/vaccination.py
	$(PY) -m sphinx --fail-on-warning --keep-going docs docs/_build/html

lock:  ## Rewrite requirements.lock from pyproject.toml; UPGRADE=all or UPGRADE=prefect,mlflow
	@[ -x .venv/bin/uv ] || scripts/setup || [ -x .venv/bin/uv ]  # which refuses what is not pinned yet
	@scripts/lock $(subst $(comma), ,$(UPGRADE))

clean:  ## Remove what tools left behind; .venv, results and the MLflow database stay
	rm -rf build dist docs/_build .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src flows tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
