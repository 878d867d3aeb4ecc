#!/bin/bash
# usage: make-tiny-model.sh dense|moe        in the chroot: writes the model to /run/cache/model
set -euo pipefail
export HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
exec /opt/venv/bin/python /run/source/vllm/make_tiny_model.py /run/cache/model "$1"
