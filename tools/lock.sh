#!/bin/sh
# Writes the lock files anew: pins with hashes of every file, and no word on where they come from.
# The oldest supported Python resolves; every wheel of a version is hashed, so newer ones fit too.
set -eu
cd "$(dirname "$0")/.."

if ! "$PY" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "Lock with Python 3.11, the oldest supported: make lock VENV=/tmp/lock PYTHON=python3.11" >&2
    exit 2
fi
# A tool of its own environment: it must not show up among what it locks
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
"$PY" -m venv "$tool"
"$tool/bin/python" -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.6'

compile() {
    output=$1
    shift
    # The machine's own pip configuration (a mirror, a folder of wheels) must not leak into the lock
    env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
        CUSTOM_COMPILE_COMMAND="make lock" \
        "$tool/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
        --annotation-style=line --output-file "$output" "$@" pyproject.toml
}

compile requirements-build.lock --build-deps-for wheel --only-build-deps
compile requirements.lock "$@"
# With the run-time pins as they are: one set of versions for the service and its tests
compile requirements-dev.lock --extra dev --constraint requirements.lock "$@"
