#!/bin/bash
# usage: chroot-on-layers.sh UPPER LOWER[:LOWER...] SOURCE CACHE COMMAND [ARGUMENT...]
#
# Runs COMMAND as root in the file system LOWER..., what it writes lands in UPPER. The caller puts it
# into mount and pid namespaces of its own: all mounts and processes end with it.
# In there: /run/source = SOURCE (read-only), /run/cache = CACHE, /run/ca.crt = the machine's
# certificates, /tmp and /run do not land in UPPER.
set -euo pipefail
upper=$1 lower=$2 source=$3 cache=$4
shift 4
root=$upper.root work=$upper.work

mount --make-rprivate /
mkdir -p "$root" "$work" "$cache"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
# A tmpfs: nodes made in the machine's /dev would stay there.
mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
  mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777,nosuid,nodev shm "$root/dev/shm"
mount -t tmpfs -o mode=1777,nosuid,nodev tmp "$root/tmp"
mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
mkdir "$root/run/source" "$root/run/cache"
mount --bind "$source" "$root/run/source"
mount -o remount,bind,ro "$root/run/source"
mount --bind "$cache" "$root/run/cache"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
for certificates in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt \
  "$root/etc/ssl/certs/ca-certificates.crt"; do
  [[ -n $certificates && -s $certificates ]] || continue
  cp -L "$certificates" "$root/run/ca.crt"
  break
done
export SSL_CERT_FILE=/run/ca.crt PIP_CERT=/run/ca.crt HOME=/root TMPDIR=/tmp LC_ALL=C.UTF-8
export PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec chroot "$root" "$@"
