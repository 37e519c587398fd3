#!/usr/bin/env bash
# Renews the hashed locks. The files name no registry, so that they are the same wherever they are made.
set -euo pipefail
cd "$(dirname "$0")/../requirements"
uv="$(command -v uv || echo ../.tools/bin/uv)"
for name in runtime dev uv; do
  "$uv" pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
    --custom-compile-command "make lock" -o "$name.txt" "$name.in"
done
