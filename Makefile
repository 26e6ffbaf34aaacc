# On a fresh machine: `make ready` and `make test`. Both install what they need.
PYTHON ?= python3
VENV   := .venv
# Most tests wait for a server; at most two time-sensitive ones run at a time.
TEST_WORKERS ?= 4
# Reference systems in parallel for proofs.
LANES ?= 3
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# A run has many processes; without bytecode each would compile everything again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help ready test test-fast test-matrix test-parts test-examples lint prove \
	prove-quick prove-sample bench lock docs docs-site sample dist clean
.DEFAULT_GOAL := help

help:
	@echo "make ready   judge the bundled reference system; writes reports/readiness.html"
	@echo "make test    run all tests: about twelve minutes on two cores"
	@echo "make test-fast  tests without servers, and each program once: two minutes"
	@echo "make test-matrix  database tests on PostgreSQL 13 to 18 (needs npm)"
	@echo "make test-parts   the healthy system without each of its parts: an hour"
	@echo "make test-examples  run an example, and build and run the container image"
	@echo "make prove   apply every fault and see that exactly its checks fail"
	@echo "make prove-quick  one fault per judgement: half an hour"
	@echo "make prove-sample one fault per check: a quarter of an hour"
	@echo "make lint    ruff, mypy, and whether the generated files are new"
	@echo "make bench   benchmarks, as ratios"
	@echo "make lock    renew the lock files"
	@echo "make docs    renew the generated files"
	@echo "make docs-site  build docs/ as pages in dist/site; a dead link is an error"
	@echo "make sample  renew reports/sample"
	@echo "make dist    build dist/readiness-VERSION: a wheel, and the sources"

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/test: $(VENV)/ready requirements-dev.lock
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/docs: $(VENV)/ready requirements-docs.lock
	$(PIP) install --quiet --require-hashes -r requirements-docs.lock
	@touch $@

ready: $(VENV)/ready
	$(BIN)/readiness run --reference

test: $(VENV)/test
	$(BIN)/python -m readiness.servers.programs
	$(BIN)/python -m pytest -rs -n $(TEST_WORKERS)

test-fast: $(VENV)/test
	$(BIN)/python -m readiness.servers.programs
	$(BIN)/python -m pytest -rs -n $(TEST_WORKERS) -m fast

test-matrix: $(VENV)/test
	$(BIN)/python -m tests.matrix

test-parts: $(VENV)/test
	$(BIN)/python -m tests.parts

test-examples: $(VENV)/test $(VENV)/docs
	$(BIN)/python -m readiness.servers.programs
	READINESS_TEST_EXAMPLES=1 $(BIN)/python -m pytest -rs tests/docs/test_examples.py tests/docs/test_image.py

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m readiness.cli.docs --check

prove: $(VENV)/ready
	$(BIN)/readiness prove -n $(LANES) --html reports/prove.html

prove-quick: $(VENV)/ready
	$(BIN)/readiness prove -n $(LANES) --quick --healthy 0 --optional timescale --html reports/prove.html

prove-sample: $(VENV)/ready
	$(BIN)/readiness prove -n $(LANES) --sample --healthy 0 --optional timescale --html reports/prove.html

bench: $(VENV)/test
	$(BIN)/python benchmarks/run.py

docs: $(VENV)/ready
	$(BIN)/python -m readiness.cli.docs

docs-site: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --config-file docs/site/mkdocs.yml
	@! grep -rE '<(script|img|iframe)[^>]* src="?https?:|<link[^>]* href="?https?:' dist/site --include=*.html

sample: $(VENV)/test
	$(BIN)/python -m tests.golden.sample

dist: $(VENV)/ready
	$(BIN)/python -m hatchling build -d dist

# With hashes, and without the address of an index.
lock: $(VENV)/test
	$(BIN)/python -m piptools compile --quiet --strip-extras --allow-unsafe --generate-hashes \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header \
	  --extra reference --extra migrations --extra load \
	  --output-file requirements.lock pyproject.toml requirements-build.in
	$(BIN)/python -m piptools compile --quiet --strip-extras --allow-unsafe --generate-hashes \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header \
	  --constraint requirements.lock --output-file requirements-dev.lock requirements-dev.in
	$(BIN)/python -m piptools compile --quiet --strip-extras --allow-unsafe --generate-hashes \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header \
	  --constraint requirements.lock --constraint requirements-dev.lock \
	  --output-file requirements-docs.lock requirements-docs.in

clean:
	rm -rf $(VENV) dist reports/*.html reports/*.json reports/*.xml reports/*.md reports/history
