#!/bin/bash
# usage: secrets.sh <lines of "NAME BASE64"
#
# Writes the secret files of this node and removes those that are not named. Secrets arrive on standard input only: an
# argument would be readable by every user of the host.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

main() {
  local dir name value keep=" "
  dir=$(dirname "$(dirname "$(readlink -f "$0")")")/in/secrets
  while read -r name value; do
    case $name in
      "" | *[!a-z-]*)
        echo "secrets.sh: bad name of a secret file" >&2
        exit 1
        ;;
    esac
    base64 -d <<<"$value" >"$dir/.$name.tmp"
    mv "$dir/.$name.tmp" "$dir/$name"
    keep="$keep$name "
  done
  for path in "$dir"/*; do
    name=$(basename "$path")
    case $keep in
      *" $name "*) ;;
      *) rm -f "$path" ;;
    esac
  done
}

main "$@"
