#!/usr/bin/env bash
# Makes .venv from the hashed lock. uv comes from the system when there, else into .tools, from its own hashed lock.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Unwind needs Python 3.11 or newer" >&2; exit 1; }
if ! uv="$(command -v uv)"; then
  uv=.tools/bin/uv
  if [ ! -x "$uv" ]; then
    "$python" -m venv .tools
    .tools/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
  fi
fi
export VIRTUAL_ENV=.venv
[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$python" .venv
"$uv" pip sync --quiet --require-hashes requirements/dev.txt
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
