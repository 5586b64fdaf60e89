# The loop of this project. Each target sets up what it is missing; a second run changes nothing.
#   make demo [ARGS="--break unknown-ca"]   a fleet on loopback, watched; also ARGS="--rotate"; needs Python packages only
#   make test                               everything CI runs; needs the Debian packages too
#   make check                              the quick one before each commit
#   make drill [ARGS="--times 5"]           break a fleet, wait for the page, print the timeline
#   make drill-rollback                    force a bad rotation, wait until it is undone, print the timeline
#   make campaign                           the tests' long runs
#   make bench ARGS="PROGRAM [OPTIONS]"     one of the measurements in bench/
#   make pictures                           those of docs/ anew, from real runs (six minutes)
#   make lock [ARGS=--upgrade]              the lock files anew
# PYTHON=/path/to/python3 picks the interpreter (3.11 or newer); VENV another place than .venv.

VENV ?= .venv
PY := $(VENV)/bin/python
# Half of what tests do is waiting for daemons and clocks
WORKERS = $(shell expr 2 \* $$(nproc))
RULES = $(wildcard rules/*.rules.yml)
RULE_TESTS = $(wildcard tests/rules/*.yml tests/rules/*.yaml)
export VENV PYTHON

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test check drill drill-rollback campaign bench lock venv venv-dev debian static rules-checked

help:
	@sed -n 's/^#   //p' Makefile

demo: venv
	@exec $(PY) -m exporter demo $(ARGS)

test: debian venv-dev static rules-checked
	$(PY) -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term:skip-covered --durations=40 $(ARGS)
	$(PY) -m coverage report --fail-under=100 --include="$$($(PY) -m tools.pure_coverage)"

check: venv-dev static rules-checked
	$(PY) -m pytest -q -n $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

# Real Prometheus and Alertmanager with what rules/ and docs/ ship, real fleet, real webhook
drill: debian venv-dev
	@exec $(PY) -m tests.drill $(ARGS)

drill-rollback: debian venv-dev
	@exec $(PY) -m tests.drill.rollback $(ARGS)

# The long runs (hundreds of seeded kills and the like): the tests that read FLEET_TLS_CAMPAIGN do more of them
campaign: debian venv-dev
	FLEET_TLS_CAMPAIGN=1 $(PY) -m pytest -n auto --timeout 3600 $(ARGS)

# One program of bench/ by name; without ARGS the list of them
bench: debian venv-dev
	@if [ -n "$(ARGS)" ]; then exec $(PY) -m bench.$(ARGS); else \
	echo 'Which one? make bench ARGS="PROGRAM [OPTIONS]", PROGRAM one of:'; \
	grep -l '__main__' bench/*.py | xargs -n 1 basename -s .py | sed 's/^/  /'; exit 2; fi

pictures: debian venv-dev
	$(PY) -m tests.pictures $(ARGS)
	$(PY) -m tests.trust_page

# New pins and hashes; needs the package index. Review the difference before committing it
lock: venv-dev
	PY="$(PY)" sh tools/lock.sh $(ARGS)

venv:
	@sh tools/venv.sh run

venv-dev:
	@sh tools/venv.sh dev

debian:
	@sh tools/debian.sh

static:
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

rules-checked:
	$(if $(RULES),promtool check rules $(RULES))
	@printf '%s\n' $(RULE_TESTS) | xargs -P "$$(nproc)" -n 1 promtool test rules
