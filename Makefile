# make run   set up and run the whole experiment, from the published bases to results/report.html
# make run SCRATCH=1  the same from nothing, in .scratch, and whether the bases come out as published
# make publish       the bases that this project has trained take the place of the published ones
# make smoke the same on params/smoke.yaml, in a copy under .smoke/
# make sensitivity  what each reading of the paper changes, into docs/method.md; goes on where it was stopped
# make grid  tree breadth and beta varied (Table 3, Figure 5), then the report with them
# make study all environments, five seeds: params/study.yaml in .study/; what it finds goes to docs/study
# make study SEEDS="2 3"  plays these alone and keeps them in docs/study/seeds; the report is of all that are kept
# make study POOL=1  plays none: the report again
# make study STUDY=dose  TreeDPO by dose and labels, one seed: params/dose.yaml, docs/dose
# make credit RUN=.scratch  what single steps of a finished run's paths are worth, and luck; into docs/credit
# make iterate RUN=.study SEEDS=0  a second round on a finished run, the student exploring; in .iterate/, into docs/iteration
# make study STUDY=middle; make iterate RUN=.study ITERATE="--explorer .middle"  weak to middle to strong; into docs/middle, docs/chain
# make map RUN=.study SEEDS=0      where learning from trees pays: gap, samples, hidden places, dose; in .map/, into docs/map
# make chaos         a run on params/smoke.yaml that is killed KILLS times gives the bytes of an undisturbed one
# make twin          real models: SmolLM2-135M weak, Gemma-3-270M strong, on one GPU; in .twin/ (TWIN=twin_worlds: in all worlds)
# make install       what a run needs; make install-test adds what tests and checks need
# make check style, types and every test that is not slow: three minutes, before each commit
# make test  all tests, the end-to-end run included
# make lint  what CI checks besides tests
# make fuzz N=20000  hostile inputs: counts by class, and how to repeat a bad one (SEED, KIND, NUMBER)
# make docs  write every page that is made from code

PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
export PYTHONPATH :=
# Where it is set, every process would compile the project's modules anew.
unexport PYTHONDONTWRITEBYTECODE
CORES ?= all
# Whether a switch is on: 0, no and false are off, as nothing is.
on = $(filter-out 0 no false,$(strip $($(1))))

# Goals that play for hours: what they would take for nothing, and play everything, is refused.
LONG := $(filter study iterate map,$(MAKECMDGOALS))
ifneq ($(LONG),)
given = $(filter-out undefined file,$(origin $(1)))
ifneq ($(call given,SEED),)
$(error SEED=$(SEED): make $(firstword $(LONG)) takes SEEDS="2 3"; SEED is of make fuzz)
endif
$(foreach name,SEEDS STUDY RUN,$(if $(call given,$(name)),$(if $(strip $($(name))),,$(error $(name)= is empty: give it a value, or leave it out))))
ifneq ($(call on,POOL),)
$(if $(strip $(SEEDS)),$(error POOL=$(POOL) plays nothing and SEEDS=$(SEEDS) is what to play: give one of the two))
$(if $(filter-out study map,$(LONG)),$(error POOL=$(POOL) is of make study and make map))
endif
endif

# What a goal does not take it would do without, in silence. Of the command line alone: a shell may have such names.
OF_SEEDS := study iterate map
OF_POOL := study map
OF_STUDY := study
OF_RUN := iterate map credit
OF_SCRATCH := run
OF_GRID := grid
OF_MAP := map
OF_ITERATE := iterate
OF_CREDIT := credit
OF_TWIN := twin
OF_KILLS := chaos
OF_N := fuzz
OF_KIND := fuzz
OF_NUMBER := fuzz
$(foreach name,$(patsubst OF_%,%,$(filter OF_%,$(.VARIABLES))),$(if $(filter command,$(origin $(name))),\
$(if $(filter $(OF_$(name)),$(MAKECMDGOALS)),,$(error $(name)=$($(name)): make $(or $(firstword $(MAKECMDGOALS)),install) does not take it; it is of make $(OF_$(name))))))

# With none Snakemake would wait for ever.
$(if $(filter 0,$(CORES)),$(error CORES=0: give a number from 1, or all))

INSTALLED := .venv/.installed
INSTALLED_TEST := .venv/.installed-test
PAGES := invalidation parameters presets
# Files one by one in the order of tests/conftest.py; on two cores three, as tests of pipelines wait a fifth of their time.
PYTEST := python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: install install-test run publish smoke chaos twin sensitivity grid study iterate map credit check test lint fuzz style types docs format lock clean

# A virtual environment is taken as it is only if it is whole: not left half-made, not moved, its Python still there.
WHOLE := test ! -e .venv/.unfinished && grep -qsF '$(BIN)/' .venv/bin/pip && .venv/bin/python -c 'import pip' 2> /dev/null
$(shell $(WHOLE) || rm -f $(INSTALLED) $(INSTALLED_TEST))
PIP := .venv/bin/python -m pip --quiet --disable-pip-version-check
# All processors compile what pip, which would use one, leaves; some packages carry files of newer Pythons.
COMPILE := .venv/bin/python -m compileall -qq -j 0 -x '/tests/' .venv/lib || true

install: $(INSTALLED)

install-test: $(INSTALLED_TEST)

# The lock files are complete, so nothing is resolved, but what torch's CUDA build needs where the registry gives that. Older pips build without PEP 517 unless they are told. What has no wheel is pure Python, built with the setuptools pinned first.
$(INSTALLED): requirements.lock requirements-cuda.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "w2sg needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(WHOLE) || $(PYTHON) -m venv --clear .venv
	touch .venv/.unfinished
	$(PIP) install --no-deps --no-compile `grep '^setuptools==' requirements.lock`
	$(PIP) install --no-deps --no-compile --no-build-isolation --use-pep517 --requirement requirements.lock
	$(PIP) install --no-compile --no-warn-conflicts --only-binary :all: --constraint requirements.lock --constraint requirements-cuda.lock torch
	$(PIP) install --no-deps --no-compile --no-build-isolation --editable .
	$(COMPILE)
	rm .venv/.unfinished
	touch $@

# TextWorld and its planner are compiled: this needs C and C++ compilers and CMake.
$(INSTALLED_TEST): requirements-test.lock $(INSTALLED)
	touch .venv/.unfinished
	$(PIP) install --no-deps --no-compile --requirement requirements-test.lock
	$(COMPILE)
	rm .venv/.unfinished
	touch $@

ifneq ($(call on,SCRATCH),)
run: install
	python workflow/studies/workspace.py params.yaml .scratch
	cd .scratch && snakemake --cores $(CORES)
	@cat .scratch/results/table1.md
	python workflow/studies/published.py compare .scratch
else
run: install
	python workflow/studies/published.py fetch
	snakemake --cores $(CORES)
	@cat results/table1.md
	@echo "The whole report: results/report.html"
endif

publish: install
	snakemake --cores $(CORES) pretrain experts
	python workflow/studies/published.py publish $(wildcard .study)

smoke: install
	python workflow/studies/workspace.py params/smoke.yaml .smoke
	cd .smoke && snakemake --cores $(CORES)
	@cat .smoke/results/table1.md

# An hour for 100 kills on two free cores.
KILLS ?= 100

chaos: install
	rm -rf .chaos
	for name in undisturbed disturbed; do python workflow/studies/workspace.py params/smoke.yaml .chaos/$$name || exit 1; done
	python tests/snakemake_dvc/chaos.py .chaos/undisturbed .chaos/disturbed --kills $(KILLS) --cores $(CORES)

# On a processor: make twin TWIN=twin_smoke, or twin_worlds_smoke
TWIN ?= twin

# Stages side by side share the card's memory. A cache that grows leaves blocks behind that are too small for it, and a
# neighbour cannot have them.
twin: CORES = 2
twin: export PYTORCH_ALLOC_CONF ?= expandable_segments:True
twin: install
	python workflow/studies/workspace.py params/$(TWIN).yaml .$(TWIN)
	cd .$(TWIN) && snakemake --cores $(CORES)
	@cat .$(TWIN)/results/table1.md

sensitivity: install
	python workflow/studies/sensitivity.py --cores $(CORES)

GRID ?= --breadth 3 4 5 6 7 8 9 10

grid: run
	python workflow/studies/grid.py $(GRID)
	snakemake --cores $(CORES) report

STUDY ?= study

study: install
	python workflow/studies/published.py fetch
	python workflow/studies/study.py $(STUDY) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(call on,POOL),--pool) --cores $(CORES)

RUN ?= .

iterate: install
	python workflow/studies/iterate.py --run "$(RUN)" $(ITERATE) $(if $(SEEDS),--seeds $(SEEDS)) --cores $(CORES)

map: install
	python workflow/studies/regime_map.py --run "$(RUN)" $(if $(call on,POOL),--pool,$(if $(SEEDS),--seeds $(SEEDS))) $(MAP) --cores $(CORES)

credit: install
	python workflow/studies/credit.py --run "$(RUN)" $(CREDIT)

check: lint
	$(PYTEST) -m 'not slow'

test: install-test
	$(PYTEST)

N ?= 2000

fuzz: install-test
	PYTHONPATH=tests python -m fuzz $(N) $(if $(SEED),--seed $(SEED)) $(if $(KIND),--kind $(KIND)) $(if $(NUMBER),--number $(NUMBER))

# Side by side, as each takes one processor.
lint: install-test
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target types style

style: install-test
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile
	snakemake --lint

types: install-test
	mypy

docs: install
	for page in $(PAGES); do python workflow/upkeep/$$page.py --write || exit 1; done

format: install-test
	ruff check --fix .
	ruff format .
	snakefmt Snakefile

# The lock files pin what this installs, requirements-cuda.lock what torch's CUDA build adds, and environment.yml repeats the first for conda; torch keeps its plain version, whose build (CPU, CUDA) the registry chooses.
lock: install-test
	python workflow/upkeep/lock.py

clean:
	rm -rf .scratch .smoke .chaos .twin_smoke .twin_worlds_smoke .sensitivity .resume .snakemake
