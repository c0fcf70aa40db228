# Everything starts here: `make run`, `make test`. See README.md.
PYTHON := .venv/bin/python
ARGS ?=
# Extra words for pytest: make test PYTEST_ARGS="tests/engine -k relay"
PYTEST_ARGS ?=

# Bytecode is kept, in one folder beside the sources: it halves every start of a process.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/pycache
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test lint rules fmt bench faults stream-faults large flakes soak pictures manage proto lock install chromium
.DEFAULT_GOAL := run

run: install
	@exec $(PYTHON) -m deploy.local.run

# Types are checked beside the tests, which leave the processors idle now and then. In a new clone
# one process compiles what the tests load: each of pytest's workers would compile all of it.
test: install chromium rules
	@mkdir -p .cache; nice .venv/bin/mypy >.cache/types.txt 2>&1 & types=$$!; \
		[ -e .cache/compiled ] || $(PYTHON) -m pytest --collect-only -qq -n0 >/dev/null 2>&1; \
		touch .cache/compiled; \
		CHROMIUM_PATH="$$(sh deploy/local/chromium.sh)" \
		$(PYTHON) -m pytest -n 4 --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS); tests=$$?; \
		wait $$types || { cat .cache/types.txt >&2; exit 1; }; exit $$tests

lint: rules
	.venv/bin/mypy

rules: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/djlint --lint --quiet templates

fmt: install
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# ARGS="p1 p5", ARGS=quick, ARGS="--domain interventions", ARGS=--list
bench: install
	@$(PYTHON) -m benchmarks $(ARGS)

# Three stacks side by side: most of the time they wait.
faults: install chromium
	@TESTS_AT_FULL_SIZE=1 CHROMIUM_PATH="$$(sh deploy/local/chromium.sh)" $(PYTHON) -m pytest \
		tests/faults tests/interventions/test_failure_table.py tests/streams/test_event_faults.py -n 3 --dist load $(PYTEST_ARGS)

# What make test runs small, at full size: batches of 500 and 20,000, 300 decisions in a browser,
# every page in both themes at both widths and with every address that nobody means, the API, the
# ledger and approvals under more random input, a directory of 200,000 keys, 10,000 claims that wait.
large: install chromium
	@TESTS_AT_FULL_SIZE=1 CHROMIUM_PATH="$$(sh deploy/local/chromium.sh)" $(PYTHON) -m pytest \
		tests/interventions/test_batch_workflow.py tests/interventions/test_budgets.py \
		tests/approvals/test_races.py tests/approvals/test_property.py \
		tests/console/test_admin.py tests/console/test_inbox.py tests/console/test_pages.py \
		tests/e2e tests/api/test_fuzz.py tests/simulators/directory/test_process.py \
		tests/pix/claims/test_many.py $(PYTEST_ARGS)

# FLAKES_TIMES, FLAKES_ONLY (as pytest -k), FLAKES_SECONDS, FLAKES_WORKERS, FLAKES_LOOPS,
# FLAKES_FRESH=1: every test that waits, 20 times with both processors busy. Ctrl-C ends it; the next
# call goes on from there.
flakes: install chromium
	@CHROMIUM_PATH="$$(sh deploy/local/chromium.sh)" $(PYTHON) -m tests.flakes $(PYTEST_ARGS)

# SOAK_SECONDS, SOAK_SAGAS, SOAK_SEED; Ctrl-C ends it early and proves what was done.
soak: install
	@$(PYTHON) -m tests.faults.soak

# SIZE (20000), SOURCE (redis; kafka), LANE (event; batch), SEED: payment events through a stream while
# its consumer, the worker and Temporal are killed; the count of what became of each.
stream-faults: install
	@$(PYTHON) -m tests.faults.stream_command

# Every picture of docs/images, from the running program. ARGS="home inbox": only these.
pictures: install chromium
	@CHROMIUM_PATH="$$(sh deploy/local/chromium.sh)" $(PYTHON) -m deploy.local.pictures $(ARGS)

# A management command against the stack of `make run`; say `make -s` to see its output alone.
manage:
	@if [ ! -x $(PYTHON) ]; then echo "Nothing runs here: start it with make run" >&2; exit 1; fi
	@exec $(PYTHON) -m deploy.local.manage $(ARGS)

# The Python of the .proto files; it is committed.
proto: install
	@$(PYTHON) -m deploy.local.proto

# Compile the hashed requirements. Registry addresses never get into them.
lock: install
	@constraint=; for name in base dev; do \
		UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet --generate-hashes --python-version 3.11 \
			--no-emit-index-url --no-emit-find-links $$constraint $(ARGS) requirements/$$name.in -o requirements/$$name.txt || exit 1; \
		constraint="-c requirements/base.txt"; \
	done

install:
	@sh deploy/local/install.sh

chromium:
	@sh deploy/local/chromium.sh --install >/dev/null
