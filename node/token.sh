#!/bin/bash
# usage: token.sh
#
# Prints the group token of this cluster, made once on the head: members prove with it that they belong to the group.
# Pulumi keeps the output as a secret and gives it to the other nodes.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

main() {
  local file
  file=$(dirname "$(dirname "$(readlink -f "$0")")")/group-token
  if [ ! -s "$file" ]; then
    head -c 32 /dev/urandom | base64 -w 0 >"$file.tmp"
    mv "$file.tmp" "$file"
  fi
  cat "$file"
}

main "$@"
