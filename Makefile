# All the set-up: `make demo` and `make test`. For contributors besides: `make lint` and `make docs`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
SEEDS ?= 3
# All heads instead of BMN alone: make demo FULL=1
FULL ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.docs-installed

.PHONY: demo test test-slow lint docs matrix clean
SHELL := /bin/bash -o pipefail
comma := ,

demo: $(INSTALLED)
	$(BIN)/python tools/ablate.py configs/studies/demo$(if $(FULL),_full).py --work-dir work_dirs/demo \
		--jobs $(JOBS) --seeds $$(seq 0 $$(($(SEEDS) - 1)))

# One thread a process: workers must not take the cores from each other. A worker begins with a run of
# whole files, so that what the tests of a file share is made once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

test: $(INSTALLED)
	$(PYTEST) --numprocesses $(JOBS) --dist worksteal

# Only what `make test` leaves out: kills, random input in numbers, the tutorial, the benchmarks.
test-slow: $(INSTALLED)
	$(PYTEST) -m slow --numprocesses $(JOBS) --dist worksteal tests

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

docs: $(DOCS_INSTALLED)
	$(BIN)/mkdocs build --strict

# One line for a step, and the file that pip is at while somebody looks; all that pip says is in
# $(VENV)/set-up.log, and its end is shown where it fails.
define install
	@echo 'set-up: $(1)'
	@if [ -t 1 ]; then show='{ printf "\r\033[K    %s", substr($$0, 1, 70); fflush() } END { printf "\r\033[K" }'; \
	else show='{ seen = NR }'; fi; \
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt $(2) 2>&1 \
	| tee -a $(VENV)/set-up.log | awk "$$show" \
	|| { grep -v '^WARNING' $(VENV)/set-up.log | tail -20; \
	echo 'set-up failed: all that pip said is in $(VENV)/set-up.log'; exit 1; }
endef

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info[:2] == (3, 11), "Python 3.11 is needed, got " + sys.version'
	@echo 'set-up: $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	$(call install,PyTorch,torch)
	$(call install,the package and what it needs,--editable '.[lite$(comma)demo$(comma)dev]')
	@touch $@

# On its own, so that the demo and the tests do not wait for it.
$(DOCS_INSTALLED): $(INSTALLED)
	$(call install,tools for the documentation,--editable '.[docs]')
	@touch $@

# Environments as users have them, see noxfile.py; the table of docs/install.md. One: make matrix CELLS=numpy1
matrix: $(INSTALLED)
	$(call install,nox,nox)
	$(BIN)/nox --non-interactive $(if $(CELLS),--sessions $(CELLS))

clean:
	rm -rf $(VENV)
