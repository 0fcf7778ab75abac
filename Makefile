# What people type: demo, test, check, bench. Each makes its own virtual environment when there is none.

VENV ?= .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.medtui
DEV_STAMP := $(VENV)/.medtui-dev
DATA ?= data
# Each worker of the tests is one thread: they share the cores, and so do the kernels of torch. One more than there are
# cores, as a third of the time goes in waiting for the processes that tests start.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n + 1 : 4)))

export MEDTUI_PYTHON

.PHONY: help install demo test check format bench docs clean

help:
	@echo "make demo    train a phantom and look at it"
	@echo "make test    run the tests"
	@echo "make check   lint, format, types, import rules"
	@echo "make bench   measure speed and robustness"
	@echo "make format  format the code"
	@echo "make docs    write the generated parts of docs/"
	@echo "make install medtui into $(VENV)"

$(RUN_STAMP): pyproject.toml tools/bootstrap.sh
	@sh tools/bootstrap.sh $(VENV)
	@touch $@

$(DEV_STAMP): pyproject.toml tools/bootstrap.sh
	@sh tools/bootstrap.sh $(VENV) dev
	@touch $(RUN_STAMP) $@

install: $(RUN_STAMP)

demo: $(RUN_STAMP)
	$(BIN)/medtui run recipes/quickstart.toml --data $(DATA)

test: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal $(ARGS)

check: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(DEV_STAMP)
	@for file in benchmarks/[!_]*.py; do name=benchmarks.$$(basename $$file .py); \
		echo "== $$name"; $(BIN)/python -m $$name || exit 1; done

docs: $(DEV_STAMP)
	$(BIN)/python tools/reference.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
