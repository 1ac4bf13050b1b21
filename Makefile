# GNU make and Python >= 3.10 are all that is needed; everything else goes into .venv.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PACKAGING := pyproject.toml setup.py constraints.txt

.PHONY: help demo test lint bench docs venv clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.run ## Render a scene, track it, evaluate it; the result is in demo/
	$(BIN)/mot-perception demo --out $(OUT) --force

test: $(VENV)/.develop ## Run the whole test suite
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.develop ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/typos

bench: $(VENV)/.bench ## Time the tracker on this machine, beside roboflow/trackers' OC-SORT
	$(BIN)/mot-perception bench
	$(BIN)/python benchmarks/update_speed.py

docs: $(VENV)/.run ## Write from the settings what docs/ and launch/ show of them
	$(BIN)/python docs/make_configuration.py
	$(BIN)/python docs/make_nodes.py

venv: $(VENV)/.develop ## Make the virtual environment for development

clean: ## Remove the virtual environment and what the tools left behind
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo 'error: Python 3.10 or newer is needed: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo 'error: Python has no venv: sudo apt install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# trackeval asks for opencv-python, whose wheel needs libGL and overwrites the headless one's
# files; without its dependencies it works beside opencv-python-headless.
$(VENV)/.run: $(PACKAGING) | $(BIN)/python
	@echo 'Installing into $(VENV) (some minutes the first time) …'
	$(PIP) --editable '.[evaluation,models]'
	$(PIP) --no-deps trackeval
	@touch $@

$(VENV)/.develop: $(VENV)/.run
	$(PIP) --editable '.[evaluation,lap,live,models,onnx,training,dev]'
	@touch $@

# supervision asks for opencv-python, as trackeval does.
$(VENV)/.bench: $(VENV)/.run
	$(PIP) --editable '.[benchmarks]'
	$(PIP) --no-deps supervision trackers
	@touch $@
