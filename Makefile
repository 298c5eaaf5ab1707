# The commands people run. `make demo` and `make test` do all set-up on a fresh machine, each alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWEST := .triton-newest

.PHONY: demo test check golden bench gpu clean

demo: $(VENV)/installed
	$(BIN)/twill compile kernels/attention.py --arch hopper --no-tune -o build/demo

test: $(VENV)/installed $(NEWEST)/installed
	TWILL_NEWEST_TRITON=$(abspath $(NEWEST)) $(BIN)/python -m pytest -n 2

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 -m "not slow"

golden: $(VENV)/installed
	$(BIN)/python -m twill.shipped
	TWILL_GOLDEN=1 $(BIN)/python -m pytest -n 2 tests/golden

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.compile_time
	$(BIN)/python -m benchmarks.solve_time --runs 3 --time-limit 60
	$(BIN)/python -m benchmarks.solve_scale
	$(BIN)/python -m benchmarks.register_error
	$(BIN)/python -m benchmarks.emulate_speed
	$(BIN)/python -m benchmarks.mutation
	$(BIN)/python -m benchmarks.mutation_page

# On a machine with a Hopper GPU, with the Python that has its torch and triton; nothing is installed.
gpu:
	$(PYTHON) -m benchmarks.gpu

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# The generated kernels are also compiled with the newest Triton, kept beside the environment.
$(NEWEST)/installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(NEWEST) "triton>=3.9"
	touch $@

clean:
	rm -rf $(VENV) $(NEWEST) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
