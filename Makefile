# Every target works on a fresh clone: it makes .venv first where that is missing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(READY) ## make .venv with pinned versions of everything

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(None if ok else "bnexp needs Python 3.11 to 3.13; this is %s: run make PYTHON=python3.12, say" % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: demo
demo: $(READY) ## train a ConvNet with He init and batch norm on handwritten digits, in seconds
	$(BIN)/bnexp train model=convnet init=he norm=batch

.PHONY: test
test: $(READY) lint ## lint, types, and all tests but the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -q

.PHONY: test-all
test-all: $(READY) lint ## the slow tests too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -q -m 'not gpu'

.PHONY: soak
soak: $(READY) ## the long forms of the tests of reliability: hundreds of kills, thousands of inputs and runs; half an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow tests/reliability

.PHONY: test-gpu
test-gpu: $(READY) ## the tests that need a CUDA device
	$(BIN)/python -m pytest -q -m gpu

.PHONY: lint
lint: $(READY) ## formatting, style, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.PHONY: format
format: $(READY) ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

BENCHMARKS := startup overhead throughput limit scaling sweep

.PHONY: bench
bench: $(READY) ## measure speed on the CPU, against plain PyTorch, Lightning and Hydra; under 10 minutes
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@for name in $(BENCHMARKS); do $(BIN)/python scripts/benchmark/$$name.py || exit 1; echo; done

.PHONY: wheel
wheel: $(READY) ## build dist/bnexp-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

.PHONY: clean
clean: ## remove .venv and everything built; run folders in outputs/ stay
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
