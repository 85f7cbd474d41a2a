# Every task of a developer; CI runs the same ones (.ci/run).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
# The stamp is older than what it depends on exactly when the environment is.
READY := $(VENV)/.ready

# Branch coverage in percent that the core rooms must reach.
COVERAGE_MIN ?= 95
CORE_ROOMS := events/*,gitops/*,projections/*,controller/*
# What a test run needs beside the virtual environment.
LAB_PACKAGES := docker.io iptables iproute2 busybox-static docker-registry openssh-client openssh-server sudo \
	gnupg git
REFERENCE := docs/reference
# How many hosts `make lab-up` makes.
HOSTS ?= 3
# How long `make soak` goes on, and which script it plays; a seed is drawn unless given.
SECONDS ?= 3600
SEED ?=
# The program docker-rollout, to be measured beside by `make bench`; its recorded figure unless given.
ROLLOUT ?=
# The folder whose Compose files `make parity` compares.
CORPUS ?= tests/parity/corpus
# Two at a time, and the long ones first.
CHECKS := check-pyright check-mypy check-format check-lint check-imports check-docs
# Arguments for pytest, as in `make test TESTS="tests/unit -k lock"`.
TESTS ?=

export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup lab lab-up lab-down check $(CHECKS) test test-full demo docs goldens bench parity soak lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## the virtual environment with the command in .venv/bin/stagecraft

$(READY): requirements-dev.txt pyproject.toml
	@tests/lab/python.sh $(PYTHON)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

lab: # Debian packages for tests with a real engine, registry, sshd and Git
	@tests/lab/packages.sh $(LAB_PACKAGES)

check: setup ## format, lint, import direction, types, generated pages in step
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(CHECKS)

check-pyright:
	$(BIN)/pyright

check-mypy:
	$(BIN)/mypy

check-format:
	$(BIN)/ruff format --check --quiet .

check-lint:
	$(BIN)/ruff check --quiet .

check-imports:
	$(BIN)/lint-imports --no-logo

check-docs:
	@tests/lab/docs-in-step.sh $(BIN)/python $(REFERENCE)

test: lab check ## all but the slow tests, with checks and coverage
	@tests/lab/pytest.sh $(BIN) $(COVERAGE_MIN) '$(CORE_ROOMS)' -m "not slow" $(TESTS)

test-full: lab check ## all tests, and a search for new examples
	@HYPOTHESIS_PROFILE=search tests/lab/pytest.sh $(BIN) $(COVERAGE_MIN) '$(CORE_ROOMS)' $(TESTS)

lab-up: setup ## HOSTS real hosts on this machine, with a registry and a Git server, as JSON
	@tests/lab/packages.sh $(LAB_PACKAGES) >&2
	@$(BIN)/python -m tests.lab.up --hosts $(HOSTS)

lab-down: setup ## end them, with every trace
	@$(BIN)/python -m tests.lab.down

demo: setup ## a team's day on this machine in half a minute; leaves nothing
	@tests/lab/demo.sh $(BIN)

docs: setup ## regenerate docs/reference
	$(BIN)/python -P -m cli.docs $(REFERENCE)

goldens: setup ## record what events of a new type or schema look like; what is recorded stays
	$(BIN)/python -m tests.goldens

bench: setup lab ## the benchmarks against their targets, and the table in docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks --report docs/benchmarks.md

parity: setup ## every Compose file below CORPUS, rendered here and by Compose itself, compared
	$(BIN)/python -m tests.parity $(CORPUS)

soak: setup lab ## an hour of pushes, kills and engine restarts, and the report in docs/soak.md
	$(BIN)/python -m tests.soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) --report docs/soak.md

lock: setup ## pin all requirements anew, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--no-emit-index-url --custom-compile-command "make lock" --output-file requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --extra dev \
		--constraint requirements.txt --no-emit-index-url --custom-compile-command "make lock" --output-file requirements-dev.txt pyproject.toml

clean: ## remove what these tasks made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
