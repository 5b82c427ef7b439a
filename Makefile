# The commands of README.md. Everything they make lies in .venv and build.
#
# Needs: Linux, make, Python 3.11 or later with its venv module. Another interpreter than python3 is
# named like this: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c edgekit/constraints.txt
INSTALLED := $(VENV)/installed-all
INSTALLED_DEV := $(VENV)/installed-dev
# A worker a processor, each with files of its own: fixtures are made once in each.
TEST := $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile

.NOTPARALLEL:
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help demo demo-distill demo-tasks test test-slow test-all check docs bench clean moved

help:
	@echo 'make demo      export the embedded model, verify the bundle, run three sentences'
	@echo 'make demo-distill'
	@echo '               half the layers of the embedded model, trained and exported; some ten minutes'
	@echo 'make demo-tasks'
	@echo '               four task packs: fine-tuned, exported, their artifacts scored; some minutes'
	@echo 'make test      run the tests; those that need adb or an arm64 emulator are skipped where it is'
	@echo '               missing'
	@echo 'make test-slow the tests that build large artifacts, very many small ones, or the Android app'
	@echo 'make test-all  both, those that take longest, nothing skipped: builds the arm64 runners first'
	@echo 'make check     style, types, house rules, freshness of the generated pages'
	@echo 'make docs      write the generated pages of docs/ again'
	@echo 'make bench     measure artifacts and commands here; prints tables, takes some minutes'
	@echo 'make clean     remove build and caches; $(VENV) stays'

demo: $(INSTALLED)
	$(PY) examples/demo.py

demo-distill: $(INSTALLED)
	$(PY) -m examples.demo_distill

demo-tasks: $(INSTALLED)
	$(PY) -m examples.demo_tasks

test: $(INSTALLED_DEV)
	$(TEST) -m 'not slow'

test-slow: $(INSTALLED_DEV)
	$(TEST) -m 'slow and not long'

test-all: $(INSTALLED_DEV)
	$(PY) -m edgekit runner build
	EDGEKIT_REQUIRE_ARM64=1 EDGEKIT_REQUIRE_ANDROID=1 EDGEKIT_REQUIRE_CHROMIUM=1 $(TEST)

check: $(INSTALLED_DEV)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_house.py tests/cli/test_docs.py tests/bundle/test_schema.py

# Written beside first: a generator that fails leaves the old page as it was.
docs: $(INSTALLED)
	mkdir -p build
	$(PY) -m edgekit.cli.reference > build/page && mv build/page docs/cli.md
	$(PY) -m edgekit.cli.error_table > build/page && mv build/page docs/errors.md
	$(PY) -m edgekit.bundle.schema > build/page && mv build/page docs/bundle-schema.json
	cp docs/bundle-schema.json android-demo/core/src/main/resources/edgekit/core/

bench: $(INSTALLED)
	$(PY) -m benchmarks.encoder
	$(PY) -m benchmarks.attention
	$(PY) -m benchmarks.commands

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	find . -path './$(VENV)' -prune -o -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# What is installed knows the checkout by its full path: after a move it is installed again.
ifneq ($(shell cat $(VENV)/place 2>/dev/null),$(CURDIR))
$(INSTALLED): moved
endif

$(INSTALLED): pyproject.toml edgekit/constraints.txt
	@if ! $(PY) -c 'import pip' 2>/dev/null; then \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "edgekit needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	         "Install one and name it: make PYTHON=python3.11 demo" >&2; exit 1; }; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) has no venv module. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }; \
	  echo "Making a virtual environment in $(VENV) with $$($(PYTHON) --version)"; \
	  $(PYTHON) -m venv --clear $(VENV); fi
	@echo "Installing edgekit with what it needs into $(VENV)."
	@echo "The first time this fetches torch (about 3 GB, 6 GB on the disk) and takes some minutes."
	$(PIP) -e ".[all]"
	@pwd -P > $(VENV)/place
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@echo "Installing the tools for tests and checks into $(VENV)."
	$(PIP) -e ".[all,dev]"
	@touch $@
