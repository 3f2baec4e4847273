# `make test` and `make demo` build their own environment in .venv on the first run.

PYTHON ?= python3
BIN := .venv/bin

# Two torch threads that spin while they wait are slower than one on a shared machine.
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 0

.PHONY: help demo test test-kernels test-minimum wheel lint docs gallery clean

help:
	@echo "make demo          run the demonstration; pictures and numbers appear in results/"
	@echo "make test          check style and types, then run the tests"
	@echo "make test-kernels  run the tests as other processors do (TESTS=tests/test_X.py: some)"
	@echo "make test-minimum  run the tests with the oldest versions that setup.cfg allows"
	@echo "make wheel         build dist/, and use the wheel alone in a new environment"
	@echo "make lint          check style and types"
	@echo "make docs          build the site in docs/_build, with large pictures if figures were run"
	@echo "make gallery       run all figures at smoke size; renew the small pictures of the site"
	@echo "make clean         remove caches and build products (.venv, .venv-minimum and results/ stay)"
	@echo "PYTHON=...         the interpreter that builds .venv, at least 3.11 (default: python3)"

# torch comes first, so that nothing else chooses its version.
.venv/installed: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -c constraints.txt -e ".[demo,test,dfo]"
	touch $@

demo: .venv/installed
	$(BIN)/python -m odl_learned demo

lint: .venv/installed
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

test: lint
	$(BIN)/python -m pytest -n 2

test-kernels: .venv/installed
	.ci/kernels $(TESTS)

.venv-minimum/installed: setup.cfg pyproject.toml constraints-minimum.txt
	test -x .venv-minimum/bin/python || $(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/python -m pip install -c constraints-minimum.txt torch==2.13.0
	.venv-minimum/bin/python -m pip install -c constraints-minimum.txt -e ".[demo,test,dfo]"
	touch $@

# What other packages do that one would not guess is known of the versions of constraints.txt.
test-minimum: .venv-minimum/installed
	.venv-minimum/bin/python -m pytest -n 2 --ignore=tests/test_neighbors.py $(TESTS)

wheel:
	PYTHON=$(PYTHON) .ci/wheel

.venv/docs: .venv/installed
	$(BIN)/python -m pip install -c constraints.txt -e ".[docs]"
	touch $@

gallery: .venv/installed
	$(BIN)/python -m odl_learned figures run --jobs 2
	PYTHONPATH=. $(BIN)/python docs/site/thumbnails.py

docs: .venv/docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache docs/_build docs/generated
	find . -path "./.venv*" -prune -o -name __pycache__ -type d -exec rm -rf {} +
