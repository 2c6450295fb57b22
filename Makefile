# Two commands do everything: `make run` and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Arguments for bench run, for example: make run ARGS="decode --batch 1,8"
ARGS ?=

.PHONY: run test quick check fix wheel gallery clean

run: $(VENV)/.ready
	$(BIN)/bench calibrate -d cpu --if-missing
	$(BIN)/bench run $(ARGS)

test: check
	$(BIN)/python -m pytest

# The tests that neither measure for real nor build a wheel: about a minute.
quick: check
	$(BIN)/python -m pytest -m "not slow"

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.ready
	$(BIN)/python -m pip wheel --no-deps -w dist .

# The reports in docs/gallery and their pictures; a test fails where they are no longer what these commands give.
gallery: $(VENV)/.ready
	$(BIN)/python docs/gallery/make.py

# torch comes from the constraints file's pin; a venv made before is brought up to date when either file changes.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
