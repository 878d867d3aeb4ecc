#!/bin/bash
# usage: boot.sh install UNIT <unit text | boot.sh remove UNIT | boot.sh wait PATH...
#
# The systemd unit that starts the container: puts it in place, takes it away, and is its bounded wait for device nodes and
# mounts at boot.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

main() {
  local step=$1
  shift
  case $step in
    install) install_unit "$1" ;;
    wait) await_paths "$@" ;;
    *)
      echo "boot.sh: unknown step $step" >&2
      exit 1
      ;;
  esac
}

install_unit() {
  local unit=$1 file=/etc/systemd/system/$1
  cat >"$file.tmp"
  if ! cmp -s "$file.tmp" "$file"; then
    mv "$file.tmp" "$file"
    systemctl daemon-reload
  else
    rm "$file.tmp"
  fi
  systemctl --quiet enable "$unit"
  systemctl --quiet --no-block start "$unit"
}

# Ends after 300 s; systemd tries the unit again after RestartSec, so a device that comes after an hour is found too.
await_paths() {
  local path missing _
  for _ in $(seq 600); do
    missing=
    for path in "$@"; do
      if [ ! -e "$path" ]; then missing="$missing $path"; fi
    done
    if [ -z "$missing" ]; then return 0; fi
    sleep 0.5
  done
  echo "still missing after 300 s:$missing" >&2
  return 1
}

main "$@"
