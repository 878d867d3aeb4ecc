#!/bin/bash
# usage: compile-python.sh        in the chroot: byte code for /opt/venv, which halves vLLM's start
set -euo pipefail
cd /opt/venv/lib/python3.11/site-packages

# Only what has none yet: compileall writes hash-based files anew, which would copy the byte code of
# the layers below into this one.
sources_without_byte_code() {
  python3 - <<'PYTHON'
import importlib.util
import pathlib

for source in pathlib.Path.cwd().rglob("*.py"):
    if not pathlib.Path(importlib.util.cache_from_source(str(source))).exists():
        print(source)
PYTHON
}

# Hash-based: the files' times may change on the way into an image. Some packages ship templates and
# code for other versions of Python, which do not compile and are not imported.
sources_without_byte_code |
  /opt/venv/bin/python -m compileall -q -j 2 --invalidation-mode unchecked-hash -i - \
    >/tmp/compileall.log 2>&1 || tail -n 5 /tmp/compileall.log
