#!/bin/bash
# usage: image.sh <request
#
# Loads the image of the cluster from an archive of `docker save`, unless it is there. A request is two lines, `id<TAB>sha256:…` and
# `archive<TAB>/path`. Progress and reasons go to standard error.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

main() {
  local key value id='' archive=''
  node=$(cat "$(dirname "$(dirname "$(readlink -f "$0")")")/node")
  while IFS=$'\t' read -r key value; do
    case $key in
      id) id=$value ;;
      archive) archive=$value ;;
      *) fail "unknown key $key in the request" ;;
    esac
  done
  if is_present "$id"; then
    say "image $id is there"
    return
  fi
  [ -f "$archive" ] || fail "$archive is not there
next: copy the file of \`docker save\` there, or correct image.archive"
  check_disk "$archive"
  say "loading $archive"
  local loaded
  loaded=$(timeout -k 30 5000 docker load --quiet --input "$archive" 2>&1 </dev/null) || fail "docker load: $loaded
next: compare the file's checksum with the original's; journalctl -u docker"
  is_present "$id" || fail "$archive holds another image than $id: $loaded
next: correct image.archive, or image.id (docker image inspect --format '{{.Id}}')"
  say "image $id is loaded"
}

is_present() {
  timeout -k 5 60 docker image inspect "$1" >/dev/null 2>&1 </dev/null
}

# Layers lie unpacked on the disk, and docker writes them before it knows whether all fit.
check_disk() {
  local archive=$1 root size free need
  root=$(timeout -k 5 60 docker info --format '{{.DockerRootDir}}' </dev/null)
  size=$(stat -L -c %s -- "$archive")
  free=$(df --output=avail --block-size=1 -- "$root" | tail -n 1)
  case $archive in
    *.tar) need=$size ;;
    # Assumed: layers of Python and CANN shrink to about a third.
    *) need=$((size * 3)) ;;
  esac
  [ "$free" -ge $((need + 1000000000)) ] || fail "the image needs about $(gb "$need") and 1 GB to spare, but $root has $(gb "$free") free
next: make room on that file system (docker system df shows what docker holds)"
}

gb() {
  printf '%s.%s GB' $(($1 / 1000000000)) $(($1 / 100000000 % 10))
}

say() {
  echo "node $node: $1" >&2
}

fail() {
  say "$1"
  exit 1
}

main "$@"
