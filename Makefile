# make run   set up and run the whole experiment, from nothing to results/report.html
# make smoke the same on params/smoke.yaml, in a copy under .smoke/
# make sensitivity  what each reading of the paper changes, into docs/method.md; goes on where it was stopped
# make grid  tree breadth and beta varied (Table 3, Figure 5), then the report with them
# make study all environments, five seeds: params/study.yaml in .study/; what it finds goes to docs/study
# make test  all tests, the end-to-end run included
# make lint  what CI checks besides tests
# make docs  write every page that is made from code

PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
export PYTHONPATH :=
CORES ?= all
INSTALLED := .venv/.installed
PAGES := invalidation parameters presets

.PHONY: install run smoke sensitivity grid study check test lint docs format lock clean

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "w2sg needs Python 3.11 or newer, found " + sys.version.split()[0])'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

run: install
	snakemake --cores $(CORES)
	@cat results/table1.md
	@echo "The whole report: results/report.html"

smoke: install
	python workflow/studies/workspace.py params/smoke.yaml .smoke
	cd .smoke && snakemake --cores $(CORES)
	@cat .smoke/results/table1.md

sensitivity: install
	python workflow/studies/sensitivity.py --cores $(CORES)

grid: run
	python workflow/studies/grid.py $(GRID)
	snakemake --cores $(CORES) report

study: install
	python workflow/studies/study.py --cores $(CORES)

check: lint
	python -m pytest --numprocesses 2 --dist loadfile -m 'not slow'

test: install
	python -m pytest --numprocesses 2 --dist loadfile

lint: install
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile
	snakemake --lint

docs: install
	for page in $(PAGES); do python workflow/upkeep/$$page.py --write || exit 1; done

format: install
	ruff check --fix .
	ruff format .
	snakefmt Snakefile

# The lock file pins what this installs, and environment.yml repeats it for conda; torch keeps its plain version, whose build (CPU, CUDA) the registry chooses.
lock: install
	python workflow/upkeep/lock.py

clean:
	rm -rf .smoke .sensitivity .resume .snakemake
