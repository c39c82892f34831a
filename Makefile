# Everything a fresh machine with Python 3.11 and make needs: `make reproduce` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: reproduce test lint types rooms clean-install bench figures

reproduce: .venv/installed
	$(BIN)/spectral-edge reproduce --profile quick --out runs/quick

test: .venv/installed
	$(BIN)/python -m pytest -n 2

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

rooms: .venv/installed
	$(BIN)/lint-imports

# A new environment with the declared dependencies only: an undeclared import fails here.
clean-install: .venv/installed
	rm -rf .venv/clean
	$(PYTHON) -m venv .venv/clean
	.venv/clean/bin/python -m pip install --quiet --constraint requirements.txt .
	cd .venv/clean && bin/python -c "$$IMPORT_ALL"
	.venv/clean/bin/spectral-edge --help > /dev/null
	rm -rf .venv/clean

bench: .venv/installed
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.responses

define IMPORT_ALL
import importlib, pkgutil, spectral_edge
names = [m.name for m in pkgutil.walk_packages(spectral_edge.__path__, "spectral_edge.") if not m.name.endswith("__main__")]
for name in names: importlib.import_module(name)
print(f"clean install: {len(names)} modules import")
endef
export IMPORT_ALL

.venv/installed: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@
