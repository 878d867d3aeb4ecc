#!/bin/bash
# usage: commit.sh commit <manifest | commit.sh forget ray|serve
#
# Runs a step of the supervisor in this node's container, under the host's lock. Called by Pulumi over SSH with a
# constant command line, so that a library upgrade changes no resource. The supervisor knows the deadlines (manifest,
# stop time-outs of the releases); the caller ends what hangs.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

main() {
  local step=$1
  shift
  base=$(dirname "$(dirname "$(readlink -f "$0")")")
  container=vllm-cluster-$(basename "$base")
  node=$(cat "$base/node")

  exec 9>"$base/lock"
  flock -w 120 9 || fail "another change holds $base/lock for more than 120 s; try again when it has ended"

  case $step in
    commit)
      await_container || fail "container $container does not run: $(container_state)
next: journalctl -u $container.service; docker logs --tail 30 $container"
      # 9>&-: a process in the container must not keep the host's lock.
      docker exec -i "$container" python3 /vllm-cluster/in/supervisor commit 9>&-
      ;;
    forget)
      # On the way to destroy: a container that is gone or down has nothing to forget.
      is_running || exit 0
      docker exec "$container" python3 /vllm-cluster/in/supervisor forget "$1" </dev/null 9>&-
      ;;
    *) fail "unknown step $step" ;;
  esac
}

fail() {
  echo "node $node, $(basename "$0"): $1" >&2
  exit 1
}

is_running() {
  [ "$(docker inspect --format '{{.State.Running}}' "$container" 2>/dev/null </dev/null)" = true ]
}

# A container that was just created, or whose boot unit is between two attempts, is given a minute.
await_container() {
  local _
  for _ in $(seq 60); do
    if is_running; then return 0; fi
    sleep 1
  done
  return 1
}

container_state() {
  docker inspect --format '{{.State.Status}} (exit code {{.State.ExitCode}}) {{.State.Error}}' "$container" 2>&1 </dev/null || true
}

main "$@"
