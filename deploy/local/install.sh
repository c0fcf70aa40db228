#!/bin/sh
# Makes .venv hold exactly requirements/dev.txt. Free when the lock is the one installed last.
set -eu
cd "$(dirname "$0")/../.."
lock=requirements/dev.txt
stamp=.venv/installed.txt
if cmp -s "$lock" "$stamp" 2>/dev/null && [ -x .venv/bin/python ]; then
    exit 0
fi
if uv --version >/dev/null 2>&1; then
    uv=uv
    [ -x .venv/bin/python ] || uv venv --quiet --python 3.11 .venv
else
    uv=.venv/bin/uv
    if [ ! -x "$uv" ]; then
        command -v python3.11 >/dev/null || { echo "Python 3.11 is needed: no python3.11 on PATH" >&2; exit 1; }
        # uv alone, at the version and with the hashes of the lock.
        mkdir -p .venv
        awk '/^[^ #]/ { take = /^uv==/ } take' "$lock" > .venv/uv.txt
        if python3.11 -m pip --version >/dev/null 2>&1; then
            # To put another pip into the environment takes longer than all the rest of this.
            python3.11 -m venv --without-pip .venv
            pip="python3.11 -m pip --python .venv/bin/python"
        else
            python3.11 -m venv .venv
            pip=".venv/bin/python -m pip"
        fi
        $pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
    fi
fi
echo "Installing the packages of $lock …" >&2
VIRTUAL_ENV="$PWD/.venv" "$uv" pip sync --quiet --require-hashes "$lock"
cp "$lock" "$stamp"
