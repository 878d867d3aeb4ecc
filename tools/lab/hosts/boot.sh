#!/bin/bash
# First process of a host's process namespace: enters the host's cgroups, then the other namespaces.
# The process that made the namespace stays outside of both, so that it can remove them.
#
# usage: boot.sh CGROUP...     environment: see init.sh
set -euo pipefail

for group in "$@"; do
  echo 0 > "$group/cgroup.procs"
done
exec unshare --mount --uts --ipc --cgroup -- bash "$(dirname "$0")/init.sh"
