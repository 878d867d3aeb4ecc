#!/bin/bash
# usage: relock.sh        in the chroot: resolves *.in anew, writes the locks to /run/cache/output
set -euo pipefail
cd /run/source
mkdir -p /run/cache/output
export UV_CACHE_DIR=/run/cache
compile() {
  /opt/uv/bin/uv pip compile --quiet --python /usr/bin/python3 --only-binary :all: --generate-hashes \
    --no-header --no-annotate --output-file "/run/cache/output/$1.lock" "${@:2}" "$1.in"
}
compile gpustack
compile vllm --override vllm-overrides.in
# The vLLM image lies on the Ray image's layers, so both need the same versions.
compile ray --constraint /run/cache/output/vllm.lock
