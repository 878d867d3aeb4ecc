#!/bin/bash
# In the new namespaces of a host: builds its root file system, then becomes its systemd.
#
# environment: LAB_HOST       name of the host
#              LAB_ROOTFS     read-only lower directory, shared by all hosts
#              LAB_NODE_DIR   directory of this host: upper work root docker containerd
#              LAB_CONSOLE    tty that becomes /dev/console
#              LAB_FABRIC     directory with the state of the NPU network, one directory per host
#              LAB_MODELS     directory that appears as /srv/models, or empty
set -euo pipefail

root=$LAB_NODE_DIR/root

main() {
  mount --make-rprivate /
  hostname "$LAB_HOST"
  mount -t overlay overlay \
    -o "lowerdir=$LAB_ROOTFS,upperdir=$LAB_NODE_DIR/upper,workdir=$LAB_NODE_DIR/work" "$root"
  mount_proc
  # Read-only /sys tells systemd that it is not alone with the hardware: no udev.
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
  mount_cgroups
  make_devices
  mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
  mount -t tmpfs -o mode=1777,nosuid,nodev tmp "$root/tmp"
  give_boot_id
  mount_data
  enter_root
  # The kernel does not keep these three apart for hosts: the machine's clock, modules, ports.
  exec env -i container=lab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio /lib/systemd/systemd
}

mount_proc() {
  mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
  # These are the machine's settings; sys/net is the host's own and stays writable.
  local path
  for path in sys/kernel sys/vm sys/fs sys/dev sysrq-trigger; do
    [ -e "$root/proc/$path" ] || continue
    mount --bind "$root/proc/$path" "$root/proc/$path"
    mount -o remount,bind,ro "$root/proc/$path"
  done
}

mount_cgroups() {
  local top=$root/sys/fs/cgroup controllers directory
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$top"
    return
  fi
  mount -t tmpfs -o mode=755,nosuid,nodev,noexec cgroup "$top"
  while IFS=: read -r _ controllers _; do
    case $controllers in
      "") directory=unified ;;
      name=*) directory=${controllers#name=} ;;
      *) directory=$controllers ;;
    esac
    # What the machine does not mount, nobody has made a group in.
    [ -d "/sys/fs/cgroup/$directory" ] || continue
    mkdir "$top/$directory"
    case $controllers in
      "") mount -t cgroup2 cgroup2 "$top/$directory" ;;
      name=*) mount -t cgroup -o "none,$controllers" cgroup "$top/$directory" ;;
      *) mount -t cgroup -o "$controllers" cgroup "$top/$directory" ;;
    esac
  done < /proc/self/cgroup
  mount -o remount,ro,mode=755 "$top"
}

make_devices() {
  local dev=$root/dev node name major minor
  # A tmpfs: mknod in a bind of the machine's /dev would make the node on the machine.
  mount -t tmpfs -o mode=755,nosuid dev "$dev"
  for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 fuse:10:229; do
    IFS=: read -r name major minor <<< "$node"
    mknod -m 666 "$dev/$name" c "$major" "$minor"
  done
  # A tty, or what systemd says before journald runs (ordering cycles, failed mounts) is lost.
  touch "$dev/console"
  mount --bind "$LAB_CONSOLE" "$dev/console"
  mkdir "$dev/pts" "$dev/shm" "$dev/mqueue"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$dev/pts"
  mount -t tmpfs -o mode=1777,nosuid,nodev shm "$dev/shm"
  mount -t mqueue mqueue "$dev/mqueue"
  ln -s pts/ptmx "$dev/ptmx"
  ln -s /proc/self/fd "$dev/fd"
  ln -s fd/0 "$dev/stdin"
  ln -s fd/1 "$dev/stdout"
  ln -s fd/2 "$dev/stderr"
}

# The kernel's boot id is the machine's: without one of its own, each boot of the host would look
# like the same boot to `journalctl -b` and to whoever compares boot ids.
give_boot_id() {
  local target=$root/proc/sys/kernel/random/boot_id
  cat /proc/sys/kernel/random/uuid > "$root/run/boot_id"
  mount --bind "$root/run/boot_id" "$target"
  mount -o remount,bind,ro "$target"
}

mount_data() {
  local directory
  # overlay2 of docker cannot lie on an overlay.
  for directory in docker containerd; do
    mkdir -p "$root/var/lib/$directory"
    mount --bind "$LAB_NODE_DIR/$directory" "$root/var/lib/$directory"
  done
  mkdir -p "$root/etc/lab/fabric" "$root/etc/lab/self"
  mount --bind "$LAB_FABRIC" "$root/etc/lab/fabric"
  mount -o remount,bind,ro "$root/etc/lab/fabric"
  mount --bind "$LAB_FABRIC/$LAB_HOST" "$root/etc/lab/self"
  [ -n "$LAB_MODELS" ] || return 0
  mkdir -p "$root/srv/models"
  mount --bind "$LAB_MODELS" "$root/srv/models"
  mount -o remount,bind,ro "$root/srv/models"
}

enter_root() {
  cd "$root"
  mkdir -p .old
  pivot_root . .old
  cd /
  umount -l /.old
  rmdir /.old
  mount --make-rshared /
}

main
