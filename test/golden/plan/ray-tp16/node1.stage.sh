# Stages node node1 of cluster qwen; changes nothing that runs.
main() {
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
base=/var/lib/vllm-cluster/qwen
owner=acme/vllm-ascend/production
node=node1
fail() { echo "node $node, staging: $1" >&2; exit 1; }
mkdir -p "$base"
exec 9>"$base/lock"
flock -w 120 9 || fail "another change holds $base/lock for more than 120 s; try again when it has ended"
read_line() { [ ! -e "$1" ] || cat "$1"; }
seen=$(read_line "$base/owner")
[ -z "$seen" ] || [ "$seen" = "$owner" ] || fail "this cluster name belongs to stack $seen on this machine, not to $owner; choose another cluster name or destroy that stack first"
seen=$(read_line "$base/node")
[ -z "$seen" ] || [ "$seen" = "$node" ] || fail "this machine is already node $seen of this cluster; two nodes of a stack have one address or one address was moved"
mkdir -p "$base/in/releases" "$base/in/secrets" "$base/in/vllm" "$base/bin" "$base/out"
put() {
  cat >"$base/$1.tmp"
  if cmp -s "$base/$1.tmp" "$base/$1"; then rm "$base/$1.tmp"; else mv "$base/$1.tmp" "$base/$1"; fi
}
prune() { # the newest three releases of a kind stay; the one just staged counts as newest
  touch "$base/in/releases/$1"
  (cd "$base/in/releases" && find . -maxdepth 1 -name "$2" -printf '%T@ %f\n' | sort -rn | tail -n +4 | cut -d' ' -f2 | xargs -r rm -f --)
}
printf '%s\n' "$owner" | put owner
printf '%s\n' "$node" | put node
put in/releases/ray-d0381f1e39070020.json <<'END-75b56bc11567'
{
 "cluster": "qwen",
 "command": [
  "ray",
  "start",
  "--address=10.0.0.11:6379",
  "--node-ip-address=10.0.0.12",
  "--node-manager-port=6380",
  "--object-manager-port=6381",
  "--runtime-env-agent-port=6382",
  "--dashboard-agent-grpc-port=6383",
  "--dashboard-agent-listen-port=6384",
  "--metrics-export-port=6385",
  "--min-worker-port=10002",
  "--max-worker-port=10999",
  "--object-store-memory=10737418240",
  "--disable-usage-stats",
  "--block"
 ],
 "env": {
  "ASCEND_RT_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7",
  "GLOO_SOCKET_IFNAME": "enp67s0f0",
  "HCCL_IF_IP": "10.0.0.12",
  "HCCL_SOCKET_IFNAME": "enp67s0f0",
  "HF_HUB_OFFLINE": "1",
  "RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES": "1",
  "TP_SOCKET_IFNAME": "enp67s0f0",
  "VLLM_CONFIG_ROOT": "/vllm-cluster/in/vllm",
  "VLLM_HOST_IP": "10.0.0.12",
  "VLLM_NO_USAGE_STATS": "1"
 },
 "hash": "d0381f1e39070020",
 "kind": "ray",
 "node": "node1",
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
  6380,
  6381,
  6382,
  6383,
  6384,
  6385
 ],
 "rayAddress": "10.0.0.11:6379",
 "restart": {
  "backoffMaxSec": 60,
  "backoffSec": 2,
  "maxFailures": 5
 },
 "role": "member",
 "runtime": "da0a63a5fc31f698",
 "secretEnv": {},
 "startTimeoutSec": 300,
 "stopTimeoutSec": 30
}
END-75b56bc11567
put in/releases/serve-65fbc30a3aed3024.json <<'END-902ecdffd457'
{
 "cluster": "qwen",
 "command": null,
 "env": {
  "ASCEND_RT_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7",
  "GLOO_SOCKET_IFNAME": "enp67s0f0",
  "HCCL_IF_IP": "10.0.0.12",
  "HCCL_SOCKET_IFNAME": "enp67s0f0",
  "HF_HUB_OFFLINE": "1",
  "RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES": "1",
  "TP_SOCKET_IFNAME": "enp67s0f0",
  "VLLM_CONFIG_ROOT": "/vllm-cluster/in/vllm",
  "VLLM_HOST_IP": "10.0.0.12",
  "VLLM_NO_USAGE_STATS": "1"
 },
 "hash": "65fbc30a3aed3024",
 "kind": "serve",
 "node": "node1",
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
 "ports": [],
 "ray": "d0381f1e39070020",
 "restart": {
  "backoffMaxSec": 60,
  "backoffSec": 2,
  "maxFailures": 5
 },
 "role": "member",
 "runtime": "da0a63a5fc31f698",
 "secretEnv": {},
 "startTimeoutSec": 3600,
 "stopTimeoutSec": 60
}
END-902ecdffd457
put in/vllm/ray_non_carry_over_env_vars.json <<'END-42c2bf526690'
["VLLM_API_KEY","VLLM_CLUSTER_PROCESS","HCCL_IF_IP","HCCL_SOCKET_IFNAME","GLOO_SOCKET_IFNAME","TP_SOCKET_IFNAME","ASCEND_RT_VISIBLE_DEVICES"]
END-42c2bf526690
put in/supervisor.py <<'END-2678ec634535'
# supervisor.py
END-2678ec634535
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
prune ray-d0381f1e39070020.json 'ray-*.json'
prune serve-65fbc30a3aed3024.json 'serve-*.json'
}
main
