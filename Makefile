# make demo   environment, install, then a tiny Llama 4 trained in the cockpit
# make test   environment, install, linters, types, import rules, all tests
# Needs Python >= 3.11, make and a C++ compiler; tests of disk offload need libaio's headers.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Without an NVIDIA GPU torch is the CPU build, and nothing pulls CUDA packages.
CONSTRAINTS := $(if $(shell command -v nvidia-smi),,--constraint constraints/cpu.txt)
TORCH := $(if $(CONSTRAINTS),torch==2.13.0,torch)

.PHONY: demo test lint unit e2e clean
export PATH := $(CURDIR)/$(BIN):$(PATH)

demo: $(VENV)/train
	$(BIN)/l4cockpit run tiny

# Two files at a time, but end-to-end runs one after the other: each of them is several processes.
test: lint
	$(BIN)/pytest -n 2 --dist loadfile tests/unit tests/ui
	$(BIN)/pytest tests/e2e tests/gpu

lint: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/dev
	$(BIN)/pytest -n 2 --dist loadfile tests/unit tests/ui

e2e: $(VENV)/dev
	$(BIN)/pytest tests/e2e

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "l4cockpit needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/train: $(VENV)/bin/python pyproject.toml constraints/cpu.txt
	@echo "installing the trainer and the cockpit into $(VENV) (a minute or two)"
	$(PIP) $(CONSTRAINTS) $(TORCH)
	$(PIP) $(CONSTRAINTS) --editable '.[train]'
	@touch $@

$(VENV)/dev: $(VENV)/train
	$(PIP) $(CONSTRAINTS) --editable '.[train,dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
