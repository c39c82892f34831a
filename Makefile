# Everything a fresh machine with Python 3.11 and make needs. Each target installs what it needs, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: reproduce paper decide results experiment experiment-results test check roundings docs lint types rooms bench

reproduce: .venv/core
	$(BIN)/spectral-edge reproduce --profile quick --out runs/quick

# The paper's own runs, with the further numbers of every claim: about two hours on two cores; interrupted, it continues.
paper: .venv/core
	$(BIN)/spectral-edge reproduce --profile paper --out runs/paper

# The runs that decide the claims, by docs/protocol.md: arms seeds, copies, paper_seed, controls, trunk. Interrupted, each
# continues; its small table goes to results/decision when it ends.
ARM ?= seeds
decide: .venv/core
	$(BIN)/spectral-edge decide --arm $(ARM) --out runs/decision --kept results/decision

# What of the decision and of `make reproduce` is kept in the repository.
results: .venv/core
	$(BIN)/spectral-edge decide --kept results/decision --quiet
	$(BIN)/spectral-edge report results/decision --findings README.md
	rm -rf results/quick
	mkdir -p results/quick/figures
	cp runs/quick/claims.json runs/quick/numbers.json results/quick/
	cp runs/quick/figures/spectra.png runs/quick/figures/placed.png runs/quick/figures/forest.png results/quick/figures/

# Questions beside the claims: discovery (every model that it is tested on), early-warning (half a minute; needs the runs
# of paper and discovery), rounding (60 runs, most of an hour on two cores), language (two hours), causes (seven hours).
# Interrupted, each continues.
NAME ?= discovery
FOLDER = $(subst -,_,$(NAME))
experiment: .venv/core
	$(BIN)/spectral-edge experiment $(NAME) --out runs/$(FOLDER)

# What of it is kept in the repository.
experiment-results: .venv/core
	$(BIN)/spectral-edge experiment $(NAME) --out runs/$(FOLDER) --findings docs/findings.md
	rm -rf results/$(FOLDER)
	mkdir -p results/$(FOLDER)/figures results/$(FOLDER)/tables
	find runs/$(FOLDER) -maxdepth 1 \( -name '*.json' -o -name '*.html' -o -name '*.parquet' \) -exec cp {} results/$(FOLDER)/ \;
	cp runs/$(FOLDER)/figures/*.png results/$(FOLDER)/figures/
	cp runs/$(FOLDER)/tables/*.csv results/$(FOLDER)/tables/

# The behaviour of every room.
test: .venv/test
	$(BIN)/python -m pytest -n 2

# Everything else: style, types, rooms; frameworks, browsers, groups of processes, the whole tiny paper, the documentation,
# a wheel in a bare environment (files check_*.py); and the rooms that compute, under other arithmetic.
check: test lint types rooms .venv/full
	$(BIN)/python -m pytest -n 2 --dist loadfile -o python_files='check_*.py'
	$(MAKE) roundings

# Both make one machine round like another.
NUMERICAL := bases calibration comparison discovery grokking intervention language laws modes recording representation spectrum statistics
roundings: .venv/test
	MKL_CBWR=COMPATIBLE ATEN_CPU_CAPABILITY=default $(BIN)/python -m pytest -n 2 $(addprefix tests/,$(NUMERICAL))

# The documentation site, docs/_build/html/index.html. A reference that leads nowhere fails; nothing is fetched.
docs: .venv/docs
	$(BIN)/python -m sphinx -n -W --keep-going -b html docs docs/_build/html

lint: .venv/full
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/full
	$(BIN)/mypy

rooms: .venv/full
	$(BIN)/lint-imports

# An hour of an idle machine; `make bench PARTS=training` runs one part.
bench: .venv/full
	$(BIN)/python -m benchmarks $(PARTS)

EXTRAS_core :=
EXTRAS_test := [pandas,serve,test]
EXTRAS_docs := [docs,serve,test]
EXTRAS_full := [check,dask,docs,hf,lightning,pandas,serve,slurm,tensorboard,test,wandb]

# Versions are those of requirements.txt. Modules that are imported are compiled then, not all of PyTorch's now.
.venv/%: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --constraint requirements.txt --editable '.$(EXTRAS_$*)'
	touch $@
