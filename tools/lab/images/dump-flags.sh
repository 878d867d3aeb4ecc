#!/bin/bash
# usage: dump-flags.sh        in the chroot of the vLLM image
set -euo pipefail
export TORCHDYNAMO_DISABLE=1
mkdir -p /run/cache/output
# vLLM logs to standard output while it is imported.
/opt/venv/bin/python /run/source/vllm/dump_flags.py | sed -n '/^\[$/,$p' \
  >/run/cache/output/vllm-flags.json
