VENV := .venv
# A pyenv shim of a missing version is found on PATH and fails when run, so each candidate has to prove itself.
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3)
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check -qq
UV := .lock-venv/bin/uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

.PHONY: help setup demo demo-openldap demo-service test check bench simulate lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.dev ## make .venv with everything that developing needs

demo: $(VENV)/.runtime ## a company in a minute: plan, apply and explain on files
	@$(IN_VENV) examples/demo.sh

demo-openldap: $(VENV)/.runtime ## the same against a real OpenLDAP server
	@sh tests/servers/install.sh slapd
	@$(IN_VENV) examples/demo.sh openldap

demo-service: $(VENV)/.runtime ## the service: one signed resignation, and the access is gone
	@sh tests/servers/install.sh slapd
	@$(IN_VENV) examples/demo-service.sh

test: $(VENV)/.dev ## all tests, real servers included (ARGS="-k ldap -x" goes to pytest)
	@sh tests/servers/install.sh
	$(IN_VENV) pytest -n auto $(ARGS)

check: $(VENV)/.dev ## format, lint, types, import rules, dead code, dependencies, starter policies
	$(IN_VENV) ruff format --check .
	$(IN_VENV) ruff check .
	$(IN_VENV) mypy
	$(IN_VENV) lint-imports
	$(IN_VENV) vulture
	$(IN_VENV) deptry --no-ansi .
	$(IN_VENV) reconciler check --workspace examples/reconciler.yaml

bench: $(VENV)/.dev ## measure against the budgets (BENCH=name for one of them)
	$(IN_VENV) python -m tests.bench $(BENCH)

simulate: $(VENV)/.dev ## random companies under faults, crashes and clock steps (SEEDS=5000, or SEED=1234 for one, step by step)
	$(IN_VENV) python -m tests.simulation $(if $(SEED),--seed $(SEED) --verbose,--seeds $(or $(SEEDS),500) --from $(or $(FROM),1))

lock: $(UV) ## bring the locks in line with pyproject.toml (UPGRADE=1 takes newer versions)
	$(COMPILE) pyproject.toml --group dev -o requirements-dev.lock
	$(COMPILE) pyproject.toml -c requirements-dev.lock -o requirements.lock
	$(COMPILE) --group pyproject.toml:build -c requirements-dev.lock -o requirements-build.lock

clean: ## remove the environments and everything generated
	rm -rf $(VENV) .lock-venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@for candidate in $(PYTHONS); do \
	    $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && python=$$candidate && break; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "No Python 3.11 or newer runs here (tried: $(PYTHONS)). Install one, or name it: make setup PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip' >/dev/null 2>&1; then \
	    package=$$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	    if [ "$$(id -u)" = 0 ]; then root=; elif sudo -n true 2>/dev/null; then root="sudo -n"; else root=false; fi; \
	    if [ "$$root" = false ] || ! command -v apt-get >/dev/null; then \
	        echo "$$python cannot make virtual environments. Install the package $$package and try again." >&2; \
	        exit 1; \
	    fi; \
	    echo "Installing $$package"; \
	    $$root apt-get -qq update && \
	    $$root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$package >/dev/null || exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$python --version)"; \
	$$python -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created requirements.lock requirements-build.lock pyproject.toml
	@echo "Installing what running needs"
	@$(PIP) install --no-deps --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "Installing what developing needs"
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

$(UV): $(VENV)/.created
	@$(VENV)/bin/python -m venv .lock-venv
	@.lock-venv/bin/python -m pip --disable-pip-version-check -qq install 'uv>=0.9,<1'
