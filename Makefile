# make run    explore the design space of BitNet b1.58 2B4T and print the best cores
# make test   lint, then the whole test suite (a quarter of an hour on two processors at most)
# make docs   the documentation as a site, in build/site; make reference pictures: what is made for it
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
JOBS ?= 2

.DELETE_ON_ERROR:
.PHONY: run test test-long lint bench calibrate validate train clean preflight
.PHONY: train-lm train-lm-ternary train-lm-float
.PHONY: docs reference pictures comparison pythons against

run: preflight $(VENV)/.installed
	@$(BIN)/hwgen sweep examples/bitnet-2b4t.yaml

test: lint
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not long"

test-long: lint
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: preflight $(VENV)/.installed-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: preflight $(VENV)/.installed-test
	@$(BIN)/python benchmarks/runner.py

calibrate: preflight $(VENV)/.installed-test
	@$(BIN)/hwgen calibrate generic

validate: preflight $(VENV)/.installed-test
	@$(BIN)/hwgen validate --recompute 54

docs: preflight $(VENV)/.installed-docs
	@$(BIN)/zensical build --strict
	@echo build/site/index.html

# Tables that are made from the code, in all pages.
reference: preflight $(VENV)/.installed-docs
	@$(BIN)/python -m scripts.reference

pictures: preflight $(VENV)/.installed-docs
	@$(BIN)/python -m scripts.pictures

# Synthesis in all technologies whose Liberty files are there: a quarter of an hour.
comparison: preflight $(VENV)/.installed-docs
	@$(BIN)/python -m scripts.comparison
	@$(BIN)/python -m scripts.reference

# The wheel in every Python that is here, outside the checkout.
pythons: preflight $(VENV)/.installed-test
	@$(BIN)/python -m scripts.pythons

# Decoders and vocabularies against transformers and SentencePiece.
against: preflight $(VENV)/.installed-against
	@$(BIN)/python -m scripts.against_others

train: preflight $(VENV)/.installed-train
	@$(BIN)/python examples/digits/train.py

# Half an hour on two processors, one for each of the two networks.
train-lm: preflight $(VENV)/.installed-train-lm
	@$(MAKE) --no-print-directory -j2 train-lm-ternary train-lm-float

train-lm-ternary: $(VENV)/.installed-train-lm
	@$(BIN)/python examples/tinylm/train.py

train-lm-float: $(VENV)/.installed-train-lm
	@$(BIN)/python examples/tinylm/train.py --float

preflight:
	@sh scripts/preflight.sh $(PYTHON)

$(VENV)/bin/python:
	@echo "Creating the virtual environment .venv …" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing hwgen and its dependencies (a few minutes the first time) …" >&2
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	@echo "Installing hwgen with its test tools (a few minutes the first time) …" >&2
	@$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	@$(PIP) --editable '.[docs]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-train: pyproject.toml | $(VENV)/bin/python
	@$(PIP) --editable '.[train]'
	@touch $@

$(VENV)/.installed-train-lm: pyproject.toml | $(VENV)/bin/python
	@echo "Installing hwgen with PyTorch (a few minutes the first time) …" >&2
	@$(PIP) --editable '.[train-lm]'
	@touch $@

$(VENV)/.installed-against: pyproject.toml | $(VENV)/bin/python
	@echo "Installing hwgen with transformers (a few minutes the first time) …" >&2
	@$(PIP) --editable '.[against]'
	@touch $@

clean:
	rm -rf $(VENV) results build .cache .pytest_cache .mypy_cache .ruff_cache
