#!/bin/bash
# usage: load-image.sh ROOTFS SCRATCH ARCHIVE        in mount, pid, network, UTS and IPC namespaces
#
# Loads the unpacked docker archive ARCHIVE with the lab hosts' own dockerd, whose data root is
# SCRATCH/data. The daemon and all mounts end with the namespaces.
set -euo pipefail
rootfs=$1 scratch=$2 archive=$3
root=$scratch/root

mount --make-rprivate /
mkdir -p "$root" "$scratch/upper" "$scratch/work" "$scratch/data"
mount -t overlay overlay \
  -o "lowerdir=$rootfs,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
# dockerd refuses to start without the controllers, although loading runs no container.
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
for node in null:3 zero:5 random:8 urandom:9; do
  mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
mkdir "$root/run/archive" "$root/run/old-root"
mount --bind "$archive" "$root/run/archive"
# overlay2 does not work on an overlay: the data root is the plain directory.
mkdir -p "$root/var/lib/docker"
mount --bind "$scratch/data" "$root/var/lib/docker"
cd "$root"
pivot_root . run/old-root
cd /
umount -l /run/old-root

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# Layers are loaded from files and nothing runs: no network, no firewall rules.
echo '{"bridge": "none", "iptables": false, "storage-driver": "overlay2"}' >/run/daemon.json
dockerd --config-file=/run/daemon.json >/run/dockerd.log 2>&1 &
dockerd=$!
for ((try = 0; try < 150; try++)); do
  docker version >/dev/null 2>&1 && break
  if ! kill -0 "$dockerd" 2>/dev/null; then
    echo "dockerd ended:" >&2
    tail -n 20 /run/dockerd.log >&2
    exit 1
  fi
  sleep 0.2
done
if ! tar -C /run/archive -cf - . | docker load; then
  tail -n 20 /run/dockerd.log >&2
  exit 1
fi
docker image ls --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}'
kill "$dockerd"
wait "$dockerd" || true
