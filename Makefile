# make demo   denoise a simulated camera picture and look at it
# make test   lint, types, layers and the whole test suite, on all cores
# make test-gui   the tests in a real screen, in memory: napari, and pages in a browser
# make fuzz   random bytes against every reader of ours, for hours; goes on where it was stopped
# make mutate  small faults in the code, which its tests must see; goes on where it was stopped
# make coverage   which lines and branches of the package no test runs
# make flaky   the suite in random orders on a busy machine, tests of threads and processes 20 times
# make sbom   unnoise.cdx.json: what .venv is made of, in the words of CycloneDX
# make audit   what pypi.org knows of faults in the pinned packages; needs the network
# make test-oldest-napari   those of napari with the oldest release that is supported, in .venv-oldest-napari
# make bench-quick   a bit of every benchmark, below 10 minutes
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
READY_GUI := $(VENV)/.ready-gui
GUI_TESTS ?= tests/app
ON_SCREEN = OMP_NUM_THREADS=1 xvfb-run -a -s "-screen 0 1600x1200x24"
PYTEST_GUI = -m pytest -m gui -p pytest-qt -p napari -p npe2 -W ignore::pydantic.warnings.PydanticDeprecatedSince20
AUDIT := .venv-audit
OLDEST := .venv-oldest-napari
PYTEST = $(VENV)/bin/python -m pytest --numprocesses=auto --dist=worksteal

.PHONY: demo test test-slow test-gui test-oldest-napari bench-quick fuzz sbom audit soak load mutate coverage flaky lint clean

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

$(READY_GUI): $(READY) .ci/gui_packages
	.ci/gui_packages
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,formats-em,test-gui]"
	touch $@

# One process: windows of several would take the keyboard from one another.
test-gui: $(READY_GUI)
	$(ON_SCREEN) $(VENV)/bin/python $(PYTEST_GUI) $(GUI_TESTS)

# Its own versions of what napari is made of; all else as it is pinned.
$(OLDEST)/.ready: pyproject.toml constraints.txt .ci/gui_packages
	.ci/gui_packages
	$(PYTHON) -m venv $(OLDEST)
	grep -vE '^(app-model|magicgui|napari.*|npe2|psygnal|pydantic.*|superqt|vispy)==' constraints.txt > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c $(OLDEST)/constraints.txt -e ".[test,napari]" "napari==0.8.0" PySide6-Essentials pytest-qt
	touch $@

test-oldest-napari: $(OLDEST)/.ready
	$(ON_SCREEN) $(OLDEST)/bin/python $(PYTEST_GUI) tests/app/napari

# An environment of its own, as atheris has no place among the tests.
.venv-fuzz/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[app,formats-em,fuzz]"
	touch $@

fuzz: .venv-fuzz/.ready
	OMP_NUM_THREADS=1 .venv-fuzz/bin/python tests/fuzz/run.py --folder .fuzz

# Every fault at every act on files, hours; goes on where it was stopped (.soak/faults.jsonl).
soak: $(READY)
	PYTHONPATH=tests $(VENV)/bin/python -m faults.soak --kills 200 --meetings 50 --queue 40 --refused 100 --disturbed 100 --power 500 --ends --full-disks --system --all

# Many files, steps and visitors, an hour and more; what .load/ledger.jsonl has of this code is not run again.
load: $(READY)
	failed=0; for one in "batch --files 1000" "batch --files 1000 --each" "steps" "page"; do \
	  PYTHONPATH=tests OMP_NUM_THREADS=1 nice -n 12 $(VENV)/bin/python -m load.$$one || failed=1; done; \
	PYTHONPATH=tests $(VENV)/bin/python -m load.ledger; exit $$failed

# A sample of mutants of seven parts; survivors are judged in tests/mutation/judged.tsv.
mutate: $(READY)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(VENV)/bin/python -m mutation.run

coverage: $(READY)
	$(PYTEST) --cov --cov-report=term:skip-covered -m "not slow and not gpu"
	$(VENV)/bin/coverage json -q -o .coverage.json
	$(VENV)/bin/python tests/packages_covered.py .coverage.json --least 92

# Hours; what was run is in .flaky/ledger.jsonl, and it goes on from there.
flaky: $(READY)
	$(VENV)/bin/python tests/flaky.py --folder .flaky

# Tools that look at other environments have one of their own.
$(AUDIT)/.ready:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check "cyclonedx-bom>=7" "pip-audit>=2.9"
	touch $@

sbom: $(READY) $(AUDIT)/.ready
	$(AUDIT)/bin/cyclonedx-py environment $(VENV)/bin/python --pyproject pyproject.toml --of JSON -o unnoise.cdx.json

audit: $(AUDIT)/.ready
	@$(AUDIT)/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt || \
		{ echo "Faults that are known stand above. Where pypi.org was not reached, nothing was audited."; exit 1; }

bench-quick: $(READY)
	$(VENV)/bin/python benchmarks/run.py --suite quick

clean:
	rm -rf $(VENV) $(OLDEST) $(AUDIT) demo
