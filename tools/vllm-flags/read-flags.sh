#!/bin/bash
# usage: read-flags.sh VERSION        in the chroot of the lab's vLLM image
#
# Puts vLLM's Python files of that version before those of the image and asks its argument parser. The image brings what
# they import; nothing of it runs a model.
set -euo pipefail
cd /run/cache
export UV_CACHE_DIR=/tmp/uv TORCHDYNAMO_DISABLE=1 VLLM_PLUGINS=
/opt/uv/bin/uv pip install --quiet --python /opt/venv/bin/python --target /tmp/vllm --no-deps \
  --require-hashes --only-binary :all: -r requirements.txt
export PYTHONPATH=/tmp/vllm
found=$(/opt/venv/bin/python -c 'import vllm; print("version", vllm.__file__, vllm.__version__)' | grep ^version)
[[ $found == "version /tmp/vllm/vllm/__init__.py $1"* ]] || {
  echo "read-flags.sh: wanted vLLM $1 in /tmp/vllm, found: $found" >&2
  exit 1
}
# vLLM logs to standard output while it is imported.
/opt/venv/bin/python /run/source/vllm/dump_flags.py | sed -n '/^\[$/,$p' >flags.json
