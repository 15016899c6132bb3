# Every target makes the virtual environment that it needs; python3 must be 3.11 or newer.
# The environment lives in $(VENV); it is brought up to date whenever pyproject.toml changes.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# $CXX counts only where it names a program that exists: make itself sets it to g++ by default.
ifeq ($(origin CXX),default)
CXX :=
endif
COMPILER := $(firstword $(foreach name,$(firstword $(CXX)) g++ clang++,$(shell command -v $(name) 2>/dev/null)))
# Without a C++ compiler the demo uses clang from the `ziglang` wheel.
comma := ,
DEMO_EXTRAS := bench$(if $(COMPILER),,$(comma)compiler)
DEMO_READY := $(VENV)/.ready-demo$(if $(COMPILER),,-compiler)
PEERS_READY := $(VENV)/.ready-peers$(if $(COMPILER),,-compiler)

.DEFAULT_GOAL := help
.PHONY: help demo test conformance fuzz sanitize check format bench clean

help:  ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO_READY)  ## Compile ResNet-50 to C++, check it against ONNX Runtime and time both
	$(BIN)/python -m benchmarks.demo

test: $(VENV)/.ready-dev  ## Run all tests on two processes
	$(BIN)/python -m pytest -n 2

conformance: $(VENV)/.ready-dev  ## Run the ONNX standard's own tests, which are a part of all tests
	$(BIN)/python -m pytest -n 2 tests/conformance

fuzz: $(VENV)/.ready-dev  ## Compile ten thousand damaged models: each must work or be refused; minutes
	$(BIN)/python -W ignore -m tests.fuzz.run

sanitize: $(VENV)/.ready-dev  ## Run compiled models under the address, undefined-behaviour and thread sanitizers; minutes
	DLFUSION_SANITIZE=1 $(BIN)/python -m pytest -n 2 -m sanitizer

check: $(VENV)/.ready-dev  ## Format, lint, strict types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready-dev  ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(PEERS_READY)  ## Measure all models beside ONNX Runtime, OpenVINO, ncnn and MNN; about an hour
	$(BIN)/python -m benchmarks.table

clean:  ## Remove the environment and everything that was made
	rm -rf $(VENV) build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(DEMO_READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$(DEMO_EXTRAS)]'
	touch $@

# pnnx, the converter for ncnn, names torch as what it depends on, for functions that are not used here.
$(PEERS_READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[peers,tuning$(if $(COMPILER),,$(comma)compiler)]'
	$(BIN)/python -m pip install --quiet --no-deps pnnx
	touch $@

$(VENV)/.ready-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
