# make repro: run the graph.  make test: run the tests.  make ui: Prefect and MLflow in the browser.
# Each first makes an environment of its own in .venv; nothing else is needed than Python 3.11+, git and a package index.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(CURDIR)/$(VENV)/bin
READY  := $(VENV)/.ready
export PATH := $(BIN):$(PATH)

.PHONY: repro test unit slow chaos bench bench-gpu data-docs reference ui lock lint clean

repro: $(READY)
	dvc repro
	@echo "Report: $(CURDIR)/report/index.html"

test: $(READY)
	ruff check .
	python -m pytest -n logical --dist loadfile

unit: $(READY)
	python -m pytest tests/unit

# What takes minutes of a real language model each, such as a teacher behind a real server; after make repro.
slow: $(READY)
	python -m pytest -m slow

# Kills, damage, absence, sweeps that lose a worker, made-up input: docs/operations.md has the table.
chaos: $(READY)
	pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[chaos]'
	python -m pytest tests/chaos -m '' -v
	for target in emoji voices corpus csv personality_edit; do python -m tests.chaos.fuzz $$target || exit 1; done

# Our engine beside the usual stack: docs/performance.md. On the CPU, a quarter of an hour, after make repro.
bench: $(READY)
	pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[bench]'
	python -m benchmarks.speed --topics 20 --usual-topics 2

bench-gpu: $(READY)
	pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[bench]'
	python -m benchmarks.llama_shape cache/bench/llama-2-7b
	python -m benchmarks.speed --workspace cache/bench/llama-2-7b --methods base qlora --rank 64 --batch 64 --rows 2048 \
	  --topics 200 --usual-topics 2 training answers

# Great Expectations' pages about the table: cache/data_docs/index.html.
data-docs: $(READY)
	dvc repro dataset
	python -m tasks validate --docs
	@echo "Data Docs: $(CURDIR)/cache/data_docs/index.html"

# All public functions with their docstrings: cache/reference/index.html.
reference: $(READY)
	pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[docs]'
	python -m pdoc --docformat google --output-directory cache/reference traitlab use flows tasks '!tasks.__main__' '!use.__main__'

ui: $(READY)
	python -m flows.ui

lint: $(READY)
	ruff check .

# A new lock: pyproject.toml resolved anew in an environment that holds nothing else.
lock:
	rm -rf $(VENV).lock
	$(PYTHON) -m venv $(VENV).lock
	$(VENV).lock/bin/pip install --quiet '.[test,bench,chaos,docs]'
	(echo "# Exact versions of everything, tried together; made by \`make lock\` from pyproject.toml."; \
	 $(VENV).lock/bin/pip freeze --all --exclude traitlab --exclude setuptools | sed 's/+cpu$$//') > requirements.lock
	rm -rf $(VENV).lock build

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint requirements.lock --editable '.[test]'
	# Byte code on all cores, where pip takes one; some packages bring files that are for another Python.
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >$(VENV)/compileall.log || true
	touch $(READY)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
