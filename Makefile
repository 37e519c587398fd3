# Everything a person types. Each target sets up what it needs; see CONTRIBUTING.md.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: .venv/.done ## environment in .venv, from the hashed lock

.venv/.done: requirements/dev.txt requirements/uv.txt pyproject.toml scripts/setup.sh
	bash scripts/setup.sh
	touch $@

run: setup ## the demo at http://127.0.0.1:8080, first time included
	$(BIN)/unwind demo

test: lint ## everything
	$(BIN)/python -m pytest

test-fast: setup ## domain, flow, policy: under a minute
	$(BIN)/python -m pytest tests/domain tests/tagging tests/policy tests/flow

lint: setup ## style, types, import rules, generated documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate_docs.py --check

bench: setup ## throughput beside the database's own limit, in one run
	$(BIN)/python -m benchmarks.hot_path

bench-desk: setup ## ten agents, five hundred cases in bursts, every stroke and hint counted (3 minutes)
	$(BIN)/python -m benchmarks.desk

bench-lookup: setup ## every kind of look-up among 250,000 orders, over HTTP
	$(BIN)/python -m benchmarks.lookup

bench-scan: setup ## every kind of scan among 120,000 orders, over HTTP
	$(BIN)/python -m benchmarks.scan

lock: setup ## renew requirements/*.txt from *.in
	bash scripts/lock.sh

.PHONY: help setup run test test-fast lint bench bench-desk bench-lookup bench-scan lock
