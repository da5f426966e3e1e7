# Everything that a developer or a hospital's evaluator runs. Each target does its own set-up from Python 3.11+ and network
# access to the package registries; nothing needs root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEKMET := .sekmet
VALIDATORS := .npm-validators
CLIENTS := .npm-clients
ENGINES := .engines

.PHONY: demo test faults lint types imports wheel benchmark benchmark-delivery benchmark-service benchmark-views clean

demo: $(VENV)/.installed $(SEKMET)/.installed
	$(BIN)/outcome-bridge demo

test: $(VENV)/.installed-dev $(SEKMET)/.installed $(VALIDATORS)/.installed $(CLIENTS)/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

# All fault tests of delivery, of which `test` has a sample; a failing schedule is replayed by its seed.
faults: $(VENV)/.installed-dev $(SEKMET)/.installed
	$(BIN)/python -m pytest tests/faults -m faults -n 2 --dist worksteal

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

# The wheel, installed into a clean environment and used there from an empty folder.
wheel: $(VENV)/.installed-dev
	PYTHON=$(PYTHON) bash tests/smoke_wheel.sh

benchmark: $(VENV)/.installed-dev
	$(BIN)/python tests/benchmarks/run.py

benchmark-delivery: $(VENV)/.installed-dev $(SEKMET)/.installed
	$(BIN)/python tests/benchmarks/delivery.py

benchmark-service: $(VENV)/.installed-dev $(SEKMET)/.installed
	$(BIN)/python tests/benchmarks/service.py

benchmark-views: $(ENGINES)/.installed
	$(ENGINES)/bin/python tests/benchmarks/views.py

clean:
	rm -rf $(VENV) $(SEKMET) $(VALIDATORS) $(CLIENTS) $(ENGINES) .demo build dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --upgrade pip

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev
	touch $@

# The FHIR server of the demo and the tests has an environment of its own: its libraries are not ours.
$(SEKMET)/.installed: constraints-sekmet.txt
	$(PYTHON) -m venv $(SEKMET)
	$(SEKMET)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-sekmet.txt sekmet-fhir
	touch $@

# Two of the FHIR validators and one of the clients are Node programs; without Node their tests skip, and say so.
.npm-%/.installed: tests/%/package.json
	mkdir -p $(@D)
	if command -v npm >/dev/null; then \
	  cp $< $(@D)/ && npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --ignore-scripts --silent; \
	else echo "npm is not there: what is in $< is left out"; fi
	touch $@

# The engines that our views are held against want other versions of some libraries than we do.
$(ENGINES)/.installed: pyproject.toml
	$(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(ENGINES)/bin/python -m pip install --quiet --disable-pip-version-check -e . --group benchmark
	touch $@
