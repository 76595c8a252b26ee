# Everything a contributor runs. Needs make (GNU make 3.81 will do) and Python 3.11 or newer; the rest is set up in .venv.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# PYTHON=… names the interpreter for a new .venv; JOBS=… the test processes; ARGS=… goes to pytest or the benchmarks.
PYTHON ?=
JOBS ?= 4
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak check lint types imports format protos bench ci constraints clean

help:
	@echo "make demo         set up and run the demo"
	@echo "make test         set up and run every test except the soak"
	@echo "make soak         the tests that take minutes"
	@echo "make check        lint, types and imports"
	@echo "make lint         ruff: format and rules"
	@echo "make types        mypy, strict"
	@echo "make imports      the directions between the rooms of the house"
	@echo "make format       let ruff format and fix what it can"
	@echo "make protos       generate gRPC's code from its .proto file"
	@echo "make bench        the figures, side by side"
	@echo "make ci           check and test"
	@echo "make setup        only create .venv and install"
	@echo "make constraints  pin newer versions in constraints.txt"
	@echo "make clean        remove .venv, caches and build output"

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@set -e; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		found=; old=; bare=; \
		for candidate in $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3); do \
			version=`$$candidate -c 'import platform; print(platform.python_version())' 2>/dev/null` || continue; \
			if ! $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then old="$$candidate is $$version"; continue; fi; \
			if ! $$candidate -c 'import ensurepip, venv' 2>/dev/null; then bare=$$candidate; continue; fi; \
			found=$$candidate; break; \
		done; \
		if [ -z "$$found" ]; then \
			if [ -n "$$bare" ]; then \
				echo "make: $$bare comes without its venv module; install it (Debian, Ubuntu: apt install python3-venv)" >&2; \
			else \
				echo "make: WTB needs Python 3.11 or newer and none was found$${old:+ ($$old)}; install one, or name it: make PYTHON=/path/to/python3" >&2; \
			fi; \
			exit 1; \
		fi; \
		echo "Creating $(VENV) with $$found ($$version)"; \
		$$found -m venv --clear $(VENV); \
	fi
	@echo "Installing WTB and everything it is tested with into $(VENV); the first time takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

demo: setup
	$(BIN)/wtb demo

test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

soak: setup
	$(BIN)/python -m pytest -m soak --timeout 3600 $(ARGS)

check: lint types imports

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/python -m mypy

imports: setup
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The generator finds its plugin for types by PATH.
protos: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I . --python_out=. --grpc_python_out=. \
		--mypy_out=quiet:. --mypy_grpc_out=quiet:. wtb/interfaces/grpc/executions.proto

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

ci: check test

constraints: setup
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
		--no-header --no-annotate --output-file constraints.txt

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* htmlcov .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find wtb tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
