# make demo   denoise a simulated camera picture and look at it
# make test   lint, types, layers and the whole test suite, on all cores
# make bench-quick   a bit of every benchmark, below 10 minutes
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
PYTEST = $(VENV)/bin/python -m pytest --numprocesses=auto --dist=worksteal

.PHONY: demo test test-slow bench-quick lint clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,formats-em]"
	touch $@

demo: $(READY)
	$(VENV)/bin/unnoise demo -o demo

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: lint
	$(PYTEST) -m "not slow and not gpu"

test-slow: $(READY)
	$(PYTEST) -m "slow"

bench-quick: $(READY)
	$(VENV)/bin/python benchmarks/run.py --suite quick

clean:
	rm -rf $(VENV) demo
