# Everything starts here: `make help` names what can be made.
#
# Tools live in .venv, which is made from an interpreter that other users can run too: Postfix runs
# the delivery agent as the recipient, who cannot execute a python3 in somebody's home directory.
# PYTHON=/path/to/python3 overrides the choice.

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMPS := $(VENV)/.stamps

# What the installed package is made of. A new, changed or vanished file remakes the installation.
SOURCES := $(shell find mdeliver launcher man -type f ! -name "*.pyc") \
	CMakeLists.txt pyproject.toml LICENSE

# Tests in parallel; TESTS narrows them: make unit TESTS=tests/unit/language
TESTS ?= tests
JOBS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

.PHONY: help demo test torture unit fuzz lint format install bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install ## deliver bundled messages into a temporary home and show the result
	$(BIN)/mdeliver demo

test: lint install ## lint and every test; needs Postfix, Dovecot and strace
	@./.ci/missing
	$(PYTEST) $(TESTS) || { [ $$? -eq 1 ] && ./.ci/again $(BIN)/python; }

torture: $(STAMPS)/dev install ## never lose a letter: every fault, power cut, full disk, crowd and load; hours
	@$(MAKE) --no-print-directory $(STAMPS)/fuzz || echo 'Without it there is no hostile input.' >&2
	$(BIN)/python -m tests.torture

unit: $(STAMPS)/dev ## the tests that need no server and no fault injection, in parallel
	$(PYTEST) -m 'not servers and not faults and not slow' $(TESTS)

fuzz: $(STAMPS)/fuzz ## look for hostile input that breaks a reader; SECONDS=600, TARGETS="head lmtp"
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600) $(TARGETS:%=--target %)

lint: $(STAMPS)/dev ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || { echo 'make format mends this' >&2; exit 1; }
	$(BIN)/mypy

format: $(STAMPS)/dev ## lay out the code as make lint wants it
	$(BIN)/ruff format .

install: $(STAMPS)/install ## build the package and install it into .venv

bench: install ## what a delivery costs, beside procmail, maildrop, fdm and Dovecot
	$(BIN)/python -m benchmarks.direct
	$(BIN)/python -m benchmarks.imports
	$(BIN)/python -m benchmarks.rules
	$(BIN)/python -m benchmarks.launcher
	$(BIN)/python -m benchmarks.account
	$(BIN)/python -m benchmarks.rejects
	@if [ "$$(id -u)" = 0 ]; then $(BIN)/python -m benchmarks.lmtp --markdown && \
	    $(BIN)/python -m benchmarks.memory && $(BIN)/python -m benchmarks.shares && \
	    $(BIN)/python -m benchmarks.postfix; \
	  else echo 'as root: LMTP, too'; fi

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

lock: $(STAMPS)/dev ## remake requirements.lock and the other locks
	for lock in requirements:build requirements-dev:dev; do \
	  $(LOCK) pyproject.toml --group "$${lock##*:}" --output-file "$${lock%%:*}.lock" || exit 1; \
	done
	for group in sources fuzz; do \
	  $(LOCK) --group $$group --output-file requirements-$$group.lock || exit 1; \
	done

clean: ## remove .venv and everything that was built
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz

# --- how the environment is made ---------------------------------------------------------------

$(STAMPS)/venv:
	@./.ci/python | { read -r python && set -x && "$$python" -m venv $(VENV); }
	@mkdir -p $(STAMPS) && touch $@

# With --no-build-isolation builds use what the locks pinned, down to cmake and setuptools.
PINNED := --quiet --require-hashes --no-build-isolation --only-binary :all:
# These two come as sources alone, of Python, which setuptools packs.
AS_SOURCES := --no-binary dkimpy,pyspf
# Nobody compiles those on the way, and users who import them may not write into .venv.
COMPILE := $(BIN)/python -W ignore -m compileall -q $(VENV)/lib

$(STAMPS)/sources-builder: $(STAMPS)/venv requirements-sources.lock
	$(PIP) install $(PINNED) -r requirements-sources.lock
	@touch $@

$(STAMPS)/run: $(STAMPS)/sources-builder requirements.lock
	$(PIP) install $(PINNED) $(AS_SOURCES) -r requirements.lock
	@$(COMPILE)
	@touch $@

$(STAMPS)/dev: $(STAMPS)/sources-builder requirements-dev.lock
	$(PIP) install $(PINNED) $(AS_SOURCES) -r requirements-dev.lock
	@$(COMPILE)
	@touch $@ $(STAMPS)/run

$(STAMPS)/fuzz: $(STAMPS)/dev requirements-fuzz.lock
	$(PIP) install --quiet --require-hashes --only-binary :all: -r requirements-fuzz.lock
	@touch $@

$(STAMPS)/install: $(STAMPS)/run $(SOURCES) $(STAMPS)/sources
	$(PIP) install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@

# Changes only when the list of files does, so that a removed module is removed from .venv too.
$(STAMPS)/sources: FORCE
	@mkdir -p $(STAMPS)
	@echo '$(sort $(SOURCES))' | cmp -s - $@ || echo '$(sort $(SOURCES))' > $@
.PHONY: FORCE
FORCE:
