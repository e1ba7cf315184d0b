# Each target does its own set-up, in .venv, the first time and whenever pyproject.toml changes.
# Choose with variables:  make train MODEL=mlp ARGUMENTS="--epochs 3"   make test ARGUMENTS="-k conv"

PYTHON ?= python3
VENV := .venv
MODEL ?= lenet5
DATA ?= digits
WORKERS ?= 2
ARGUMENTS ?=

# Tests start hundreds of processes, which would translate every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help train test check format bench bench-kernels bench-eager bench-training develop clean

help:
	@echo 'make train    train LeNet-5 on real handwritten digits'
	@echo 'make test     run the tests (those against PyTorch too, where it is installed)'
	@echo 'make check    formatting, lint and types; changes nothing'
	@echo 'make format   mend what ruff can mend'
	@echo 'make bench    measure training steps against PyTorch and JAX (installs both in .venv-bench);'
	@echo '              bench-kernels: products and loops; bench-eager: single operations;'
	@echo '              bench-training: whole runs, from files to a tested model'
	@echo 'make develop  install everything a contributor needs, PyTorch included'
	@echo 'make clean    remove .venv and caches; keeps runs/'

train: $(VENV)/installed-core
	$(VENV)/bin/chainrule train $(MODEL) --data $(DATA) $(ARGUMENTS)

# Looking for PyTorch without importing it saves seconds.
test: $(VENV)/installed-test
	@if $(VENV)/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; \
	then set --; \
	else set -- -m 'not peer'; echo 'PyTorch is not installed: the peer tests are left out (make develop).'; \
	fi; \
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal "$$@" $(ARGUMENTS)

check: $(VENV)/installed-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/installed-dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# The peers get an environment of their own, with JAX too.
BENCH := .venv-bench
bench: $(BENCH)/installed
	$(BENCH)/bin/python -m benchmarks.steps $(ARGUMENTS)

bench-kernels: $(BENCH)/installed
	$(BENCH)/bin/python -m benchmarks.kernels $(ARGUMENTS)

bench-eager: $(BENCH)/installed
	$(BENCH)/bin/python -m benchmarks.eager $(ARGUMENTS)

bench-training: $(BENCH)/installed
	$(BENCH)/bin/python -m benchmarks.training $(ARGUMENTS)

develop: $(VENV)/installed-test $(VENV)/installed-peer $(VENV)/installed-browser $(VENV)/installed-dev

NOT_INSTALLED = { echo 'Not installed, for the reason above; pip needs the network, or a folder of packages (PIP_FIND_LINKS).' >&2; exit 1; }

# A stamp says that the package and one extra are installed as pyproject.toml asks. The package itself is
# installed as a link to this folder, so a change in the code needs no new installation.
$(VENV)/installed-core: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable . || $(NOT_INSTALLED)
	@touch $@

$(VENV)/installed-%: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]' || $(NOT_INSTALLED)
	@touch $@ $(VENV)/installed-core

$(BENCH)/installed: pyproject.toml
	@$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo 'chainrule needs Python 3.11 or newer; there is no $(PYTHON) here.' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "chainrule needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	    'Name another: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo 'Could not make $(VENV). On Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }

clean:
	rm -rf $(VENV) $(BENCH) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
