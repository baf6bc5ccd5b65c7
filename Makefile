# Everything below sets up .venv first, with pip. Nothing is fetched after that.
#
#   make lab       open the course in JupyterLab
#   make demo      the three routes, end to end, on the simulated samples -> demo/report.html
#   make test      every notebook from top to bottom, all tests, style and floors
#   make check     the quick ones of them: style, floors, notebooks and modules in step
#   make bench     how fast it is, against other libraries; RHEUMKIT_REAL=folder for those on real images
#   make results   the tables over doses and seeds that the pitfalls show (long; goes on where it stopped)
#   make realism   real images (RHEUMKIT_REAL=folder) beside simulated ones -> realism/; ARGS=--transfer also trains on simulated ones and tries on real ones (long)
#   make samples   data_samples/, the small simulated cohort (same versions, seed and kind of processor: same bytes)
#   make refresh   run notebooks and clean them in place; make refresh NB=nbs/3_learning/00_convolution.ipynb for one
#   make export    notebooks -> modules
#   make docs      the course as a web page, with search and API, to be read offline -> build/docs/html/index.html
#   make readme    nbs/index.ipynb -> README.md
#   make clean     take away what was made

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: venv lab demo test check bench results realism samples refresh export readme docs clean

$(READY): pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

venv: $(READY)

lab: $(READY)
	$(BIN)/rheumkit lab

demo: $(READY)
	$(BIN)/rheumkit demo --out demo

# Two at a time, each with one thread: threads of two processes on two cores wait for each other.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/python tools/notebooks.py check

bench: $(READY)
	for f in tests/benchmarks/bench_*.py; do echo "$$f"; $(BIN)/python "$$f" || exit 1; done

results: $(READY)
	$(BIN)/rheumkit results

realism: $(READY)
	$(BIN)/python tools/realism.py $(ARGS)

samples: $(READY)
	$(BIN)/python tools/samples.py

refresh: $(READY)
	$(BIN)/python tools/notebooks.py run $(NB)

export: $(READY)
	$(BIN)/python tools/notebooks.py export

readme: $(READY)
	$(BIN)/python tools/readme.py

docs: $(READY)
	$(BIN)/python tools/docs.py

clean:
	rm -rf build dist *.egg-info demo demo-real realism artefacts .pytest_cache .hypothesis .ruff_cache .import_linter_cache
	find nbs rheumkit tests -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf
