# Every target that is meant for people has a line `target: ## what it does`; `make help` prints them.
PYTHON ?= python3
UV     ?= uv
ARGS   ?=
NAME   ?=
# Processes that share the tests. They wait for servers more than they compute: one more than cores have them busy.
AT_ONCE ?= 3
ONCE   ?=
PAYMENTS ?= 20000

VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps
TESTS  := $(BIN)/python -m pytest

PROTOS        := $(shell find protos/quittance protos/vendor -name '*.proto')
PROTO_FOLDERS := $(shell find protos/quittance protos/vendor -type d)

# A virtual environment names its own place in its programs: one that was copied along with the checkout is of no use.
ifneq ($(shell cat $(STAMPS)/place 2>/dev/null),$(CURDIR))
$(STAMPS)/place: FORCE
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## This list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /	/' | expand -t 14

.PHONY: demo
demo: install temporal ## Start everything and tell the story of one order; ONCE=1 ends by itself with an exit code
	@$(BIN)/python -m deploy.local.demo $(if $(filter-out 0,$(ONCE)),--once)

.PHONY: up
up: install temporal ## Run the whole stack in the foreground; Ctrl-C stops it and keeps its data
	@$(BIN)/python -m deploy.local

.PHONY: test
test: install temporal ## Run every test; ARGS=... goes to pytest
	$(TESTS) -n $(AT_ONCE) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: unwind
unwind: install temporal ## The long version of the fault tests: every process killed at every step of an order
	QUITTANCE_UNWIND=full $(TESTS) tests/faults/test_unwind.py tests/faults/test_repair_faults.py $(ARGS)

.PHONY: load
load: install temporal ## The long version of the load tests: a backlog of 5,000 orders, workers killed for a minute
	QUITTANCE_LOAD=full $(TESTS) tests/faults/test_load.py -s -o faulthandler_timeout=0 $(ARGS)

.PHONY: chaos
chaos: install temporal ## Payments in bad weather: webhooks lost, processes killed; 20,000, or PAYMENTS=...
	QUITTANCE_CHAOS=$(PAYMENTS) $(TESTS) tests/faults/test_bad_weather.py -s -o faulthandler_timeout=0 $(ARGS)

.PHONY: screenshots
screenshots: install temporal ## Take the pictures of docs/pictures anew from Temporal's UI (needs Chromium)
	$(BIN)/python -m tests.screenshots

.PHONY: histories
histories: install temporal ## Record histories of workflows that are missing; ARGS=... names some to record anew
	$(BIN)/python -m tests.orchestrator.record_histories $(ARGS)

.PHONY: bench
bench: install temporal ## Benchmarks, a table and build/bench.json; NAME=... runs one
	$(BIN)/python -m tests.bench $(NAME)

.PHONY: lint
lint: install ## Code style, types, protos and manifests; says which program is missing
	@$(BIN)/python -m deploy.lint

.PHONY: format
format: install ## Put code and protos into their one format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .
	$(BIN)/python -m deploy.lint --fix-protos

.PHONY: verify
verify: lint test ## What continuous integration runs: lint and test

.PHONY: install
install: $(STAMPS)/install protos/gen/.made ## Virtual environment, generated code and package; quick when nothing changed

.PHONY: temporal
temporal: install ## Find Temporal's server, or download or build it once
	@$(BIN)/python -m deploy.local.temporal_cli

.PHONY: gen
gen: protos/gen/.made ## Generate the Python code of the protos

.PHONY: relock
relock: ## Renew requirements.lock and deploy/requirements-runtime.lock from pyproject.toml (needs uv)
	@command -v $(UV) >/dev/null || { echo 'make relock needs uv, a package installer; name it by UV=...' >&2; exit 1; }
	$(UV) $(RELOCK) --upgrade --extra local --extra dev pyproject.toml -o requirements.lock
	$(UV) $(RELOCK) --constraint requirements.lock --upgrade pyproject.toml -o deploy/requirements-runtime.lock

RELOCK := pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make relock'

.PHONY: clean
clean: ## Remove what install, gen, test and bench made; the stack's data stays
	rm -rf $(VENV) protos/gen build *.egg-info deploy/lint/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: reset
reset: install ## Delete all data of the (stopped) stack
	$(BIN)/python -m deploy.local --reset

FORCE:

$(STAMPS)/place:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Quittance needs Python 3.11 or newer; \
	$(PYTHON) is %d.%d. Name a newer one: make PYTHON=python3.12 ..." % v[:2])'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && echo '$(CURDIR)' > $@

$(STAMPS)/lock: $(STAMPS)/place requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

protos/gen/.made: $(STAMPS)/lock deploy/generate_protos.py $(PROTOS) $(PROTO_FOLDERS)
	$(BIN)/python deploy/generate_protos.py

# After the first generation: the package maps `quittance` and `buf` to folders of protos/gen.
$(STAMPS)/install: $(STAMPS)/lock pyproject.toml | protos/gen/.made
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
