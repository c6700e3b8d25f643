# One door for every check and every command: .ci/run and people call the same targets.
# Needs make, git and Python 3.11 or newer with venv; everything else goes into .venv.

BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# pyright: no look for a newer version, and the node of its own wheel.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PYRIGHT_PYTHON_GLOBAL_NODE := 0

# What must be covered branch by branch; the rest together must reach 95 %.
CORE := src/supportflow/machine/*,src/supportflow/playbook.py,src/supportflow/flow.py,src/supportflow/sla/*,src/supportflow/stores/codec.py,src/supportflow/desk/*

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help demo test e2e coverage lint types docs bench prove format clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.ready-demo ## Serve customers on two local platforms, and check every line that is told
	@$(BIN)/python examples/demo.py

test: .venv/.ready-test ## Run all tests and the examples in the documentation
	@echo "Running the tests on two processes ..."
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --ignore tests/differential $(ARGS)

e2e: .venv/.ready-e2e .venv/.ready-servers ## Run the stories on real servers, and beside other client libraries
	@echo "Running the tests on real servers and beside other libraries ..."
	@$(BIN)/python -m pytest tests/e2e tests/differential $(ARGS)

coverage: .venv/.ready-test ## Measure, with fewer examples of each property, what the tests cover
	@echo "Running the tests again, watched line by line (twice as slow) ..."
	@rm -f .coverage .coverage.*
	@HYPOTHESIS_PROFILE=watched $(BIN)/python -m coverage run -m pytest -q -n 2 --dist loadgroup --ignore tests/crash --ignore tests/differential $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@echo "Coverage with branches: all of it, at least 95 % ..."
	@$(BIN)/python -m coverage report --fail-under=95
	@echo "Coverage with branches: machine, playbook, flow, sla, codec and desk, 100 % ..."
	@$(BIN)/python -m coverage report --fail-under=100 --include='$(CORE)'

lint: .venv/.ready-lint ## Check style and format
	@echo "Checking style and format ..."
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .

types: .venv/.ready-types ## Check types: the sources, the public API, and what users write
	@echo "Checking types with mypy ..."
	@$(BIN)/python -m mypy
	@echo "Checking with pyright that every public name is typed ..."
	@# (it looks for the package with the first python on the PATH, and fails where anything is inferred)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pyright --outputjson --verifytypes supportflow --ignoreexternal \
	  > .venv/public-types.json || test -s .venv/public-types.json
	@PYTHONPATH=docs $(BIN)/python tools/public_types.py < .venv/public-types.json
	@echo "Checking with pyright what users write ..."
	@$(BIN)/python -m pyright

docs: .venv/.ready-docs ## Build the documentation into docs/_build/html
	@echo "Building the documentation ..."
	@$(BIN)/python -m sphinx -q -W --keep-going -E -b html -d docs/_build/doctrees docs docs/_build/html
	@echo "Built: docs/_build/html/index.html"

bench: .venv/.ready-bench ## Measure the speed beside a named floor and the peers
	@echo "Measuring (takes some minutes) ..."
	@$(BIN)/python tests/benchmarks/run.py --json bench.json

prove: .venv/.ready-prove ## Kill and freeze workers by the thousand, and write docs/guide/scoreboard.md
	@echo "Proving (takes a quarter of an hour or more) ..."
	@$(BIN)/python tools/prove.py $(ARGS)
	@echo "Fuzzing what reads from outside (half a minute each) ..."
	@$(BIN)/python tools/fuzz.py --seconds 30 --jobs 2

format: .venv/.ready-lint ## Rewrite the sources in the house format
	@$(BIN)/python -m ruff check --fix-only --quiet .
	@$(BIN)/python -m ruff format .

clean: ## Remove everything that make has made
	rm -rf .venv bench.json docs/_build docs/_generated .coverage .coverage.* .hypothesis .pytest_cache .ruff_cache .mypy_cache
	find src tests docs examples -name __pycache__ -type d -prune -exec rm -rf {} +

# --- setting up -------------------------------------------------------------------------------------------------------
# A .ready file says that a step is done; it is made again when pyproject.toml is newer.

.venv/.ready-python:
	@found=; for candidate in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "supportflow needs Python 3.11 or newer, and $${PYTHON:-python3} is not one: install it, or name it with 'make PYTHON=/path/to/python'." >&2; exit 1; \
	fi; \
	echo "Setting up .venv with $$("$$found" -V) (first time only) ..."; \
	"$$found" -m venv .venv || { \
	  echo "$$found cannot make a virtual environment: install its venv module (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; \
	}
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

.venv/.ready-package: .venv/.ready-python pyproject.toml
	@echo "Installing supportflow into .venv ..."
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# Bluesky's own servers, from npm. No package runs a script but one that is built from its source, with
# node's own headers, so that nothing comes from anywhere else. Without node those tests are skipped.
.venv/.ready-servers: tests/e2e/bluesky/package.json .venv/.ready-python
	@if ! command -v npm >/dev/null; then \
	  echo "There is no node here: tests that need it will be skipped (install node 20 or newer, with npm, to run them)."; exit 0; \
	fi; \
	prefix=$$(node -p 'require("path").resolve(process.execPath, "../..")'); \
	if ! test -e "$$prefix/include/node/node.h"; then \
	  echo "node's headers are not in $$prefix/include/node: install them (on Debian and Ubuntu: apt install libnode-dev)." >&2; exit 1; \
	fi; \
	echo "Installing Bluesky's servers into .venv/e2e-node (first time only, some minutes) ..."; \
	mkdir -p .venv/e2e-node && cp $< .venv/e2e-node/ && cd .venv/e2e-node && \
	npm install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error && \
	npm rebuild better-sqlite3 --build-from-source --nodedir="$$prefix" --loglevel=error && \
	touch ../../$@

.venv/.ready-%: .venv/.ready-package pyproject.toml
	@echo "Installing what 'make $*' needs into .venv ..."
	@$(BIN)/python -m pip install --quiet --group $*
	@touch $@
