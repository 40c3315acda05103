# All the set-up: `make demo` and `make test`. For contributors besides: `make lint` and `make docs`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
SEEDS ?= 3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.docs-installed

.PHONY: demo test lint docs clean

demo: $(INSTALLED)
	$(BIN)/python tools/ablate.py configs/studies/demo.py --work-dir work_dirs/demo --jobs $(JOBS) \
		--seeds $$(seq 0 $$(($(SEEDS) - 1)))

# One thread a process: workers must not take the cores from each other. A worker begins with a run of
# whole files, so that what the tests of a file share is made once.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

docs: $(DOCS_INSTALLED)
	$(BIN)/mkdocs build --strict

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info[:2] == (3, 11), "Python 3.11 is needed, got " + sys.version'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[lite,demo,dev]'
	touch $@

# On its own, so that the demo and the tests do not wait for it.
$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV)
