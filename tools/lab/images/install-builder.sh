#!/bin/bash
# usage: install-builder.sh        in the chroot: what builds the images but is not part of them
set -euo pipefail
dpkg --install --force-unsafe-io /run/cache/*.deb
python3 -m venv /opt/uv
/opt/uv/bin/pip install --quiet --no-cache-dir --require-hashes --only-binary :all: \
  -r /run/source/uv.lock
