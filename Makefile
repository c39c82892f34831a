# Everything a fresh machine with Python 3.11 and make needs: `make reproduce` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: reproduce paper results discovery discovery-results early-warning early-warning-results rounding rounding-results test docs lint types rooms clean-install bench

reproduce: .venv/installed
	$(BIN)/spectral-edge reproduce --profile quick --out runs/quick

# All runs and all claims: about two hours on two cores; interrupted, it continues.
paper: .venv/installed
	$(BIN)/spectral-edge reproduce --profile paper --out runs/paper

# What of it is kept in the repository.
results: .venv/installed
	$(BIN)/spectral-edge report runs/paper --findings docs/findings.md
	rm -rf results/paper
	mkdir -p results/paper/figures results/paper/tables
	cp runs/paper/claims.json results/paper/
	cp runs/paper/figures/*.png results/paper/figures/
	cp runs/paper/tables/verdicts.md runs/paper/tables/runs.csv runs/paper/tables/claims.tex results/paper/tables/

# Every model that basis discovery is tested on, and its seven points. What it shares with `make paper` is trained again,
# unless runs/discovery/runs has it.
discovery: .venv/installed
	$(BIN)/spectral-edge discover-evidence --out runs/discovery

# What of it is kept in the repository.
discovery-results: .venv/installed
	$(BIN)/spectral-edge discover-evidence --out runs/discovery --findings docs/findings.md
	rm -rf results/discovery
	mkdir -p results/discovery/figures results/discovery/tables
	cp runs/discovery/discoveries.json runs/discovery/discovery.html results/discovery/
	cp runs/discovery/figures/*.png results/discovery/figures/
	cp runs/discovery/tables/point_*.csv results/discovery/tables/

# Does the spectrum warn before a run generalises? Trains nothing, half a minute; needs the runs of paper and discovery.
early-warning: .venv/installed
	$(BIN)/spectral-edge early-warning --paper runs/paper --discovery runs/discovery --out runs/early_warning

# What of it is kept in the repository.
early-warning-results: .venv/installed
	$(BIN)/spectral-edge early-warning --out runs/early_warning --findings docs/findings.md
	rm -rf results/early_warning
	mkdir -p results/early_warning/figures results/early_warning/tables
	cp runs/early_warning/early_warning.json results/early_warning/
	cp runs/early_warning/figures/*.png results/early_warning/figures/
	cp runs/early_warning/tables/early_warning_*.csv results/early_warning/tables/

# What of a run is its seed's and what is rounding's? 60 runs, most of an hour on two cores; interrupted, it continues.
rounding: .venv/installed
	$(BIN)/spectral-edge rounding --out runs/rounding

# What of it is kept in the repository.
rounding-results: .venv/installed
	$(BIN)/spectral-edge rounding --out runs/rounding --findings docs/findings.md
	rm -rf results/rounding
	mkdir -p results/rounding/figures results/rounding/tables
	cp runs/rounding/rounding.json results/rounding/
	cp runs/rounding/figures/*.png results/rounding/figures/
	cp runs/rounding/tables/rounding_*.csv results/rounding/tables/

test: .venv/installed
	$(BIN)/python -m pytest -n 2

# The documentation site, docs/_build/html/index.html. A reference that leads nowhere fails; nothing is fetched.
docs: .venv/installed
	$(BIN)/python -m sphinx -n -W --keep-going -b html docs docs/_build/html

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
	.venv/clean/bin/python -m pip install --quiet --constraint requirements.txt '.[serve]'
	cd .venv/clean && bin/python -c "$$SERVE_PAGES"
	rm -rf .venv/clean

# An hour of an idle machine; `make bench PARTS=training` runs one part.
bench: .venv/installed
	$(BIN)/python -m benchmarks $(PARTS)

define SERVE_PAGES
import pathlib, spectral_edge.serve as serve
pages = list((pathlib.Path(serve.__file__).parent / "static").iterdir())
assert {"shell.html", "style.css", "modes.js", "film_export.html"} <= {page.name for page in pages}, pages
print(f"clean install: serve has {len(pages)} files of its pages")
endef
export SERVE_PAGES

define IMPORT_ALL
import importlib, pkgutil, spectral_edge
extras = ("__main__", "recording.lightning", "recording.hugging_face", "engines.dask", "engines.slurm", "serve")  # need an extra
names = [m.name for m in pkgutil.walk_packages(spectral_edge.__path__, "spectral_edge.") if not m.name.endswith(extras) and ".serve." not in m.name]
for name in names: importlib.import_module(name)
print(f"clean install: {len(names)} modules import")
endef
export IMPORT_ALL

.venv/installed: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@
