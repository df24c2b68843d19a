# Everything from a clone: each target first makes .venv, once, and again when the requirements change.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
# The first Python that is new enough; looked for only when the environment is made.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
TORCH ?= torch==2.13.0
EXTRAS ?= all
ARGS ?=

# The tests that train, or compare what different code computes.
LEARNING := tests/adapters tests/models tests/reference tests/test_policy.py \
	$(addprefix tests/zoo/test_,algorithms.py pretrained.py resume.py train.py)

# Waiting threads of one library must not burn the cores of the next.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help train test test-portable learn clients run-clients bench lint docs
help:
	@echo "make train  [ARGS='--env Motrix/Go1-v0']  train, by default the cart-pole, and evaluate"
	@echo "make test   [ARGS=tests/models]           check style and types, then run the tests"
	@echo "make test-portable                        run the tests that learn as on older processors"
	@echo "make learn                                run the tests that train, which take minutes"
	@echo "make clients                              try other libraries (docs/clients.md)"
	@echo "make bench                                measure speeds"
	@echo "make lint                                 check style and types"
	@echo "make docs                                 build the documentation in site/"

train: $(STAMP)
	@$(PY) -m rl_zoo.train --algo ppo $(ARGS)

test: lint
	@$(PY) -m pytest -q -n auto --maxprocesses 8 --dist worksteal $(ARGS)

test-portable: $(STAMP)
	@$(PY) -m tests.portable -q -n auto --maxprocesses 8 --dist worksteal $(or $(ARGS),$(LEARNING))

learn: $(STAMP)
	@$(PY) -m pytest -q -m learn $(ARGS)

# In an environment of their own: they hold back what they share with ours.
clients:
	@$(MAKE) --no-print-directory VENV=.venv-clients EXTRAS=clients run-clients

run-clients: $(STAMP)
	@$(PY) -m pytest -q -m clients -rs $(ARGS)

bench: $(STAMP)
	@$(PY) -m pytest -q -o addopts= --benchmark-only tests/benchmarks $(ARGS)

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m pyright

docs: $(DOCS_STAMP)
	@$(PY) docs/make_site/make_site.py

$(DOCS_STAMP): $(STAMP)
	@$(PIP) --constraint constraints.txt --no-build-isolation --editable ".[docs]"
	@touch $@

# Torch comes first and by itself, so that a CPU build on this machine is taken where there is one.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "motrix-gym needs Python 3.11 or newer, and found none." \
		"Name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing into $(VENV) with $(PYTHON) (once; this takes a few minutes)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PIP) --constraint constraints.txt "$(TORCH)" setuptools
	@$(PIP) --constraint constraints.txt --no-build-isolation --editable ".[$(EXTRAS)]"
	@touch $@
