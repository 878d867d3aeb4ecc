#!/bin/bash
# usage: model.sh <request
#
# Downloads the model of the cluster to this node, before anything starts. A request is one `key<TAB>value` a line: path, timeoutSec,
# source, repository, revision, endpoint, image. Progress and reasons go to standard error.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# The container may read the weights as another user than root.
umask 022

main() {
  local key value
  declare -A request=()
  base=$(dirname "$(dirname "$(readlink -f "$0")")")
  node=$(cat "$base/node")
  while IFS=$'\t' read -r key value; do request[$key]=$value; done
  path=${request[path]}
  limit=${request[timeoutSec]}
  download
}

# In the cluster's own image, because a host needs no Python. A download that lost its connection to the operator still runs;
# it is ended, and this one goes on where it was.
download() {
  local name
  name=vllm-cluster-$(basename "$base")-model
  timeout -k 5 60 docker rm --force "$name" >/dev/null 2>&1 </dev/null || true
  mkdir -p -- "$path"
  local status
  set +e
  timeout -k 30 "$limit" docker run --rm --name "$name" --label "vllm-cluster.owner=$(cat "$base/owner")" \
    --runtime runc --network host --log-driver none \
    --mount "type=bind,source=$path,target=$path" \
    --mount "type=bind,source=$base/bin/fetch_model.py,target=/fetch_model.py,readonly" \
    --entrypoint python3 "${request[image]}" -u /fetch_model.py \
    --source "${request[source]}" --repository "${request[repository]}" --revision "${request[revision]}" \
    --endpoint "${request[endpoint]}" --directory "$path" 2>&1 </dev/null | sed -u "s/^/node $node: /" >&2
  status=${PIPESTATUS[0]}
  set -e
  if [ "$status" -eq 0 ]; then return; fi
  timeout -k 5 60 docker rm --force "$name" >/dev/null 2>&1 </dev/null || true
  [ "$status" -ne 124 ] || fail "the download did not end within $limit s
next: the next \`pulumi up\` goes on from here; timeouts.modelSec is the limit"
  fail "the download ended with exit code $status, see above"
}

fail() {
  echo "node $node, model: $1" >&2
  exit 1
}

main "$@"
