# Stages node node0 of cluster qwen; changes nothing that runs.
main() {
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
base=/var/lib/vllm-cluster/qwen
owner=acme/vllm-ascend/production
node=node0
driver=/usr/local/Ascend/driver/version.info
fail() { echo "node $node, staging: $1" >&2; exit 1; }
mkdir -p "$base"
exec 9>"$base/lock"
flock -w 120 9 || fail "another change holds $base/lock for more than 120 s; try again when it has ended"
read_line() { [ ! -e "$1" ] || cat "$1"; }
seen=$(read_line "$base/owner")
[ -z "$seen" ] || [ "$seen" = "$owner" ] || fail "this cluster name belongs to stack $seen on this machine, not to $owner; choose another cluster name or destroy that stack first"
seen=$(read_line "$base/node")
[ -z "$seen" ] || [ "$seen" = "$node" ] || fail "this machine is already node $seen of this cluster; two nodes of a stack have one address or one address was moved"
mkdir -p "$base/in/secrets" "$base/out"
put() {
  cat >"$base/$1.tmp"
  if cmp -s "$base/$1.tmp" "$base/$1"; then rm "$base/$1.tmp"; return; fi
  sync "$base/$1.tmp" # else a power cut can leave the new name with nothing in it
  mv "$base/$1.tmp" "$base/$1"
}
is_desired() { # is_desired FILE: a release that the group runs, or would go back to; members know it from their status
  local hash=${1##*-}
  grep -qsF "${hash%.json}" "$base/out/desired.json" "$base/out/status.json"
}
prune() { # prune FOLDER NAME PATTERN: the newest three of a kind stay; the one just staged counts as newest
  local old
  touch "$base/$1/$2"
  while read -r old; do
    is_desired "$old" || rm -rf -- "${base:?}/$1/$old"
  done < <(cd "$base/$1" && find . -maxdepth 1 -name "$3" -printf '%T@ %f\n' | sort -rn | tail -n +4 | cut -d' ' -f2)
}
printf '%s\n' "$owner" | put owner
printf '%s\n' "$node" | put node
# For vllm-cluster drift: what this host was when it was staged last.
{
  printf 'boot %s\n' "$(cat /proc/sys/kernel/random/boot_id)"
  sed -n 's/^Version=/driver /p' "$driver" 2>/dev/null || true
} | put machine
(cd "$base" && mkdir -p bin in in/releases in/supervisor-0afd91027df010a8/supervisor in/supervisor-0afd91027df010a8/supervisor/core)
put in/releases/serve-c5323acb39f1999f.json <<'END-3343bb1f3763'
{
 "cluster": "qwen",
 "command": [
  "vllm",
  "serve",
  "/data/models/Qwen3-235B-A22B",
  "--host=10.0.0.11",
  "--port=8000",
  "--data-parallel-size-local=1",
  "--api-server-count=2",
  "--data-parallel-size=2",
  "--data-parallel-address=10.0.0.11",
  "--data-parallel-rpc-port=13389",
  "--pipeline-parallel-size=1",
  "--tensor-parallel-size=8",
  "--enable-expert-parallel",
  "--seed=1024",
  "--max-model-len=8192",
  "--max-num-seqs=25",
  "--served-model-name=qwen",
  "--trust-remote-code",
  "--gpu-memory-utilization=0.9"
 ],
 "env": {
  "ASCEND_RT_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7",
  "GLOO_SOCKET_IFNAME": "enp67s0f0",
  "HCCL_IF_IP": "10.0.0.11",
  "HCCL_SOCKET_IFNAME": "enp67s0f0",
  "HF_HUB_OFFLINE": "1",
  "TP_SOCKET_IFNAME": "enp67s0f0",
  "VLLM_ENGINE_READY_TIMEOUT_S": "3600",
  "VLLM_HOST_IP": "10.0.0.11",
  "VLLM_NO_USAGE_STATS": "1"
 },
 "hash": "c5323acb39f1999f",
 "kind": "serve",
 "node": "node0",
 "nodes": [
  {
   "address": "10.0.0.11",
   "name": "node0",
   "npus": 8
  },
  {
   "address": "10.0.0.12",
   "name": "node1",
   "npus": 8
  }
 ],
 "ports": [
  8000,
  13389
 ],
 "ray": null,
 "readiness": {
  "engines": 2,
  "maxTokens": 8,
  "model": "qwen",
  "prompt": "tell me how to sleep well",
  "requestTimeoutSec": 300,
  "url": "http://10.0.0.11:8000"
 },
 "restart": {
  "backoffMaxSec": 60,
  "backoffSec": 2,
  "maxFailures": 5
 },
 "role": "head",
 "runtime": "0f61d59d4372a339",
 "secretEnv": {
  "VLLM_API_KEY": "api-key"
 },
 "startTimeoutSec": 3600,
 "stopTimeoutSec": 60
}
END-3343bb1f3763
put in/staged.json <<'END-46cb40a1cf84'
{"nodes":{"node0":"10.0.0.11","node1":"10.0.0.12"},"ray":null,"serve":"c5323acb39f1999f"}
END-46cb40a1cf84
put bin/commit.sh <<'END-07de6b17a9b2'
# commit.sh
END-07de6b17a9b2
put bin/secrets.sh <<'END-18c854e69135'
# secrets.sh
END-18c854e69135
put bin/token.sh <<'END-4f8ca67079c0'
# token.sh
END-4f8ca67079c0
put bin/boot.sh <<'END-492dc2279d9f'
# boot.sh
END-492dc2279d9f
put bin/image.sh <<'END-2042ec0cbdda'
# image.sh
END-2042ec0cbdda
put bin/model.sh <<'END-22efa64a2a1a'
# model.sh
END-22efa64a2a1a
put bin/fetch_model.py <<'END-a81f7ba4bfd0'
# fetch_model.py
END-a81f7ba4bfd0
put in/supervisor-0afd91027df010a8/supervisor/__init__.py <<'END-3cc2bcb6dca7'
# supervisor
END-3cc2bcb6dca7
put in/supervisor-0afd91027df010a8/supervisor/__main__.py <<'END-d5a323a7ea29'
# command line
END-d5a323a7ea29
put in/supervisor-0afd91027df010a8/supervisor/core/slot.py <<'END-90f3c2c3c84e'
# slot
END-90f3c2c3c84e
put in/supervisor <<'END-1fee1f569eef'
# Runs the version of the supervisor that was staged last.
import os
import sys

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor-0afd91027df010a8")
from supervisor.__main__ import main

sys.exit(main())
END-1fee1f569eef
prune in/releases serve-c5323acb39f1999f.json 'serve-*.json'
prune in supervisor-0afd91027df010a8 'supervisor-*'
}
main
