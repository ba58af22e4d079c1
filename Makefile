# make help lists the targets. Everything sets itself up first: a virtual environment in .venv and, as root on Debian or
# Ubuntu, the missing packages.
HOSTS ?= 1
# Tests wait as well as work: for processes, time limits and, in the contract tests, for machines.
WORKERS ?= $(shell expr 2 \* $$(nproc))
CONTRACT_WORKERS ?= $(shell expr 3 \* $$(nproc))
# The tests on real machines wait for those. Each worker has a yard of its own, and a file's tests share machines.
E2E_WORKERS ?= 3
# The part of its runs that each row of the proof does.
SCALE ?= 1
BIN := .venv/bin
SHELL_SCRIPTS = install.sh .ci/run $(shell grep -rlE '^\#!/bin/(ba)?sh' remotes share)
# Without it each worker and each tool would compile all tests and the package again.
export PYTHONDONTWRITEBYTECODE :=
ROOT := $(shell [ "$$(id -u)" -eq 0 ] && echo yes)

.PHONY: help setup packages demo test unit contract e2e long lint format bench proof wheels clean

help:
	@echo "make demo [HOSTS=n]   rent, configure, watch and give back n hosts in the sandbox"
	@echo "make test             all tests (e2e as root only); also: make unit, make contract, make e2e"
	@echo "make long             what takes minutes: every system as a real machine, every way to keep a network"
	@echo "make lint             formatting, lint, types, shell scripts;  make format  corrects formatting"
	@echo "make bench            the benchmarks, one figure or ratio each"
	@echo "make proof            what shows that nothing leaks, doubles or comes out: a table; SCALE=0.01 a part of it"
	@echo "make wheels           Python packages for install.sh --wheels, for a front-end without network"
	@echo "make clean            remove what these targets made"

setup: packages .venv/.ready

packages:
	@share/development/setup.sh packages

.venv/.ready: pyproject.toml setup.py share/development/setup.sh
	@share/development/setup.sh venv

demo: setup
	@$(BIN)/python -m hybrid_drivers.sandbox demo --hosts $(HOSTS)

test: setup
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory contract
	@$(MAKE) --no-print-directory e2e
	@$(if $(ROOT),,echo "the tests on real machines need root: left out")

unit: setup
	$(BIN)/pytest tests/unit -n $(WORKERS)

contract: setup
	$(BIN)/pytest tests/contract -n $(CONTRACT_WORKERS)

e2e: setup
	$(BIN)/pytest $(if $(ROOT),tests/e2e,$(wildcard tests/e2e/test_install*.py)) -n $(E2E_WORKERS) --dist loadfile

long: setup
	$(BIN)/pytest tests/unit -m hypothesis --hypothesis-profile long -n $(WORKERS)
	$(BIN)/pytest tests -m long -n $(E2E_WORKERS) --dist loadfile

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	if command -v shellcheck >/dev/null; then shellcheck $(SHELL_SCRIPTS); else echo "shellcheck is not installed"; fi

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	@for one in bench/*.py; do echo "== $$one"; $(BIN)/python "$$one" || exit 1; done

proof: setup
	$(BIN)/python -m proof --scale $(SCALE) --json proof.json

wheels: setup
	rm -rf build
	$(BIN)/python -m pip wheel -qq --disable-pip-version-check -w dist/wheels '.[ec2]'
	@echo "copy this folder to the front-end and run there: sudo ./install.sh --wheels dist/wheels"

clean:
	rm -rf .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist proof.json src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
