# make run: starts the app on http://127.0.0.1:8501. make test: lint, types, tests. Both install what they need, once.

PYTHON ?= python3
PY := .venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Even where it is set: the hundred processes that the tests start would each compile the code again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test browser clean

run: .venv/run.ok
	@$(PY) app.py

test: .venv/test.ok browser
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -n 2 --dist worksteal

# Try to download MNIST once: without a network the app starts on the embedded sample and offers the download later.
.venv/run.ok: .venv/installed.ok
	@test -n "$$MNIST_APP_DATA" || $(PY) -m mnist_app data fetch || \
		echo "Continuing with the embedded sample; the Data page can download the rest later."
	@touch $@

# On a Debian without python3-venv, "python3 -m venv" leaves a .venv without pip: make it again.
.venv/installed.ok: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed. Name one, for example: make run PYTHON=python3.12"; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --quiet --editable .
	@touch $@

.venv/test.ok: .venv/installed.ok
	$(PY) -m pip install --quiet --editable '.[test,mlflow]'
	@touch $@

browser: .venv/test.ok
	@$(PY) tests/browser/chromium.py

clean:
	rm -rf .venv *.egg-info .pytest_cache .mypy_cache .ruff_cache
