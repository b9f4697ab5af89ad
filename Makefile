# Everything starts from a bare clone: each target makes its own .venv, installs what it needs from PyPI and builds
# the package, then does its work. Nothing is installed outside this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# Tests and demo use the installed package, whatever the shell that calls make has set.
unexport PYTHONPATH PYTHONHOME LAMMPS_PLUGIN_PATH

# Folders are listed too: a deleted file changes the time of its folder.
SOURCES := CMakeLists.txt pyproject.toml \
  $(shell find src lammps_plugin cmake python -name __pycache__ -prune -o -print 2>/dev/null)
CPP_FILES = $(shell find src lammps_plugin python/bindings tests/cpp -name '*.cpp' -o -name '*.h' 2>/dev/null)
PY_FOLDERS := $(wildcard python tests benchmarks examples)
# The longest first, so that no core waits at the end.
TEST_FOLDERS := $(wildcard tests/integration tests/mpi tests/python)
# Processes of pytest, each of which takes whole files; 0: one that shows what it does
TEST_JOBS ?= 2

CREATED := $(VENV)/.created
INSTALLED := $(VENV)/.installed
LINT := $(VENV)/.lint
DOCS := $(VENV)/.docs

CMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cmake
CTEST := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ctest

.PHONY: help
help: ## Say what can be made
	@echo "lammps-dpgen: DP-GEN inside LAMMPS"; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- set-up ----------------------------------------------------------------------------------------------------------

define NEEDS
fail() { echo "make: $$1" >&2; echo "      On Debian and Ubuntu: apt-get install $$2" >&2; exit 1; }; \
command -v $(PYTHON) >/dev/null || fail "no $(PYTHON) found; choose one with 'make PYTHON=...'." "python3 python3-venv python3-dev"; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
  fail "$(PYTHON) is $$($(PYTHON) --version 2>&1), but 3.10 or newer is needed; choose another with 'make PYTHON=...'." "python3.11 python3.11-venv python3.11-dev"; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || fail "$(PYTHON) cannot make virtual environments (no ensurepip)." python3-venv; \
test -f "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || \
  fail "the C headers of $(PYTHON) are missing (Python.h)." python3-dev; \
command -v c++ >/dev/null || fail "no C++ compiler found (c++)." g++; \
echo 'static_assert(__cplusplus >= 201703L);' | c++ -std=c++17 -x c++ -include optional -fsyntax-only - || \
  fail "$$(c++ --version | head -n 1) does not compile C++17." g++
endef

$(CREATED):
	@if ! test -x $(BIN)/python; then $(NEEDS); $(PYTHON) -m venv $(VENV); fi
	@touch $@

$(INSTALLED): $(CREATED) $(SOURCES)
	$(PIP) install '.[test]'
	@touch $@

# The package is there already, so that pip only adds what the extra names.
$(LINT): $(INSTALLED)
	$(PIP) install --quiet 'lammps-dpgen[lint]'
	@touch $@

$(DOCS): $(INSTALLED)
	$(PIP) install --quiet 'lammps-dpgen[docs]'
	@touch $@

.PHONY: install
install: $(INSTALLED) ## Build the package and install it, with all that it needs, into .venv

# ---- what it is for --------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(INSTALLED) ## Aluminium heated into the melt while it learns: runs/demo/report.html
	$(BIN)/python examples/03-melt-aluminium/run.py $(DEMO_ARGS)

.PHONY: bench
bench: $(INSTALLED) ## Measure the cost of fix dpgen against pair_style deepmd: a table
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

.PHONY: validate-paper
validate-paper: $(INSTALLED) ## The MEAM column of the paper from lammps-dpgen validate: STRUCTURES=folder for Table S9
	$(BIN)/python examples/09-validate-meam/run.py $(if $(STRUCTURES),--structures $(STRUCTURES))

.PHONY: validate-melting
validate-melting: $(INSTALLED) ## Melting points, enthalpies of fusion and diffusion of the MEAM potential: hours, goes on where it stopped
	$(BIN)/lammps-dpgen validate examples/09-validate-meam/$(if $(REDUCED),melting-reduced,melting).yaml

# ---- tests -----------------------------------------------------------------------------------------------------------

# One thread each: repeatable figures, and ranks that do not fight for the cores.
test test-cpp test-python sanitize: export OMP_NUM_THREADS = 1
test test-cpp test-python sanitize: export DP_INTRA_OP_PARALLELISM_THREADS = 1
test test-cpp test-python sanitize: export DP_INTER_OP_PARALLELISM_THREADS = 1
test test-cpp test-python sanitize: export TF_CPP_MIN_LOG_LEVEL = 3

.PHONY: test
test: test-cpp test-python ## All tests: C++ core, then Python, MPI and integration against the installed package

.PHONY: test-cpp
test-cpp: $(INSTALLED) ## Tests of the C++ core alone
	$(CMAKE) -S . -B build/cpp -G Ninja -DDPGEN_CORE_ONLY=ON -DBUILD_TESTING=ON -DCMAKE_BUILD_TYPE=Release
	$(CMAKE) --build build/cpp
	$(CTEST) --test-dir build/cpp --output-on-failure --no-tests=error

.PHONY: test-python
test-python: $(INSTALLED) ## pytest alone; choose tests with PYTEST_ARGS='-k name'
	$(BIN)/pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder $(TEST_FOLDERS) $(PYTEST_ARGS)

.PHONY: sanitize
sanitize: $(INSTALLED) ## The C++ core and its tests under the address and undefined-behaviour sanitizers
	$(CMAKE) -S . -B build/sanitize -G Ninja -DDPGEN_CORE_ONLY=ON -DBUILD_TESTING=ON -DDPGEN_SANITIZE=ON \
	  -DCMAKE_BUILD_TYPE=Debug
	$(CMAKE) --build build/sanitize
	$(CTEST) --test-dir build/sanitize --output-on-failure --no-tests=error

# ---- style and documentation -----------------------------------------------------------------------------------------

.PHONY: lint
lint: $(LINT) ## ruff, mypy, import-linter, codespell, clang-format: changes nothing
	@status=0; \
	check() { echo "$$(basename $$1)"; "$$@" || status=1; }; \
	check $(BIN)/ruff check $(PY_FOLDERS); \
	check $(BIN)/ruff format --check $(PY_FOLDERS); \
	check $(BIN)/mypy; \
	check $(BIN)/lint-imports; \
	check $(BIN)/codespell $(PY_FOLDERS) $(wildcard src lammps_plugin docs *.md Makefile .ci); \
	$(if $(CPP_FILES),check $(BIN)/clang-format --dry-run -Werror $(CPP_FILES);) \
	exit $$status

.PHONY: format
format: $(LINT) ## Bring Python and C++ sources into the project's form
	$(BIN)/ruff check --fix-only $(PY_FOLDERS)
	$(BIN)/ruff format $(PY_FOLDERS)
	$(if $(CPP_FILES),$(BIN)/clang-format -i $(CPP_FILES))

.PHONY: docs
docs: $(DOCS) ## The documentation as a web site: build/site/index.html
	$(BIN)/mkdocs build --strict

.PHONY: reference
reference: $(INSTALLED) ## docs/configuration.md and docs/schema/, written from the settings' own definitions
	$(BIN)/python -m lammps_dpgen.config.reference docs

.PHONY: clean
clean: ## Remove what was built; .venv and runs/ stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find python tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
