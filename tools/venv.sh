#!/bin/sh
# Makes the virtual environment from the lock files: "run" what the exporter needs, "dev" also what
# the tests need. A stamp with the lock files' hash makes the second run a matter of milliseconds.
set -eu

root=$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)
cd "$root"
kind=$1
venv=${VENV:-.venv}
run_locks="requirements-build.lock requirements.lock"
dev_locks="requirements-build.lock requirements-dev.lock"
case $kind in
run) locks=$run_locks ;;
dev) locks=$dev_locks ;;
*) echo "venv.sh: '$kind' is neither run nor dev" >&2 && exit 2 ;;
esac

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

can_make_venv() {
    "$1" -c 'import venv, ensurepip' >/dev/null 2>&1
}

# Prints the first interpreter that is recent and can make an environment; else one that is recent
find_python() {
    recent=
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        is_recent "$name" || continue
        if can_make_venv "$name"; then
            echo "$name"
            return
        fi
        recent=${recent:-$name}
    done
    echo "$recent"
}

# The checkout's own place is part of it: an environment that was moved does not work
stamp_of() {
    { echo "$root" && cat "$@" pyproject.toml; } | sha256sum | cut -d ' ' -f 1
}

has_stamp() {
    file=$venv/.$1-stamp
    shift
    [ -f "$file" ] && [ "$(cat "$file")" = "$(stamp_of "$@")" ] && is_recent "$venv/bin/python"
}

# shellcheck disable=SC2086 # lists of names
if has_stamp "$kind" $locks || has_stamp dev $dev_locks; then exit 0; fi

if ! is_recent "$venv/bin/python"; then
    python=$(find_python)
    if [ -z "$python" ] || ! can_make_venv "$python"; then
        sh tools/debian.sh python3-venv
        python=$(find_python)
    fi
    if [ -z "$python" ]; then
        echo "No Python 3.11 or newer was found; name one: make $kind PYTHON=/path/to/python3" >&2
        exit 1
    fi
    "$python" -m venv --clear "$venv"
fi

echo "Setting up $venv (once) ..." >&2
for lock in $locks; do
    # Every file is checked against the lock; nothing comes in that is not in it
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --no-deps -r "$lock"
done
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --no-build-isolation --no-index --editable .
# shellcheck disable=SC2086
stamp_of $locks >"$venv/.$kind-stamp"
