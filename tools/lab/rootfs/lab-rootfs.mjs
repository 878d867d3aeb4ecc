import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runLogged } from "../../setup/run.mjs";
import { bootstrapDebian } from "../build/debian.mjs";
import { sourceDir } from "../build/paths.mjs";

const packages = [
  ...["systemd", "systemd-sysv", "libpam-systemd", "dbus", "kmod", "util-linux"],
  ...["openssh-server", "docker.io", "sudo", "locales", "ca-certificates"],
  ...["iproute2", "iputils-ping", "procps", "curl"],
  // The stand-ins for npu-smi and hccn_tool are Python scripts.
  "python3-minimal",
];

/** Units that need hardware, the internet or a console that a lab host does not have. */
const maskedUnits = [
  ...["console-getty.service", "getty@tty1.service"],
  ...["systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"],
  ...["systemd-udev-trigger.service", "systemd-timesyncd.service", "systemd-pstore.service"],
  ...["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer"],
  ...["e2scrub_all.timer", "e2scrub_reap.service"],
];

/** Each host has its own: made at its first boot, never shared. */
const identity = [
  "etc/ssh/ssh_host_rsa_key",
  "etc/ssh/ssh_host_rsa_key.pub",
  "etc/ssh/ssh_host_ecdsa_key",
  "etc/ssh/ssh_host_ecdsa_key.pub",
  "etc/ssh/ssh_host_ed25519_key",
  "etc/ssh/ssh_host_ed25519_key.pub",
  "etc/machine-id",
  "etc/hostname",
  "etc/resolv.conf",
  "var/lib/dbus/machine-id",
];

/**
 * Root file system that all lab hosts share as the read-only lower directory of their overlay.
 * @param {string} tree
 * @param {number} lock
 * @returns {Promise<void>}
 */
export async function buildLabRootfs(tree, lock) {
  await bootstrapDebian(tree, { packages, log: "lab-rootfs", lock });
  // A host profile speaks Chinese, as many real hosts do: parsers must not rely on English output.
  writeFileSync(join(tree, "etc/locale.gen"), "zh_CN.UTF-8 UTF-8\n");
  await runLogged("chroot", [tree, "/usr/sbin/locale-gen"], {
    what: "Generating the locale zh_CN.UTF-8",
    log: "lab-rootfs-locale",
    lock,
    timeoutSec: 300,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" },
  });
  for (const file of identity) rmSync(join(tree, file), { force: true });
  symlinkSync("/etc/machine-id", join(tree, "var/lib/dbus/machine-id"));
  // journald keeps its journal over reboots only if this directory is there.
  mkdirSync(join(tree, "var/log/journal"), { recursive: true });
  for (const unit of maskedUnits) {
    const link = join(tree, "etc/systemd/system", unit);
    rmSync(link, { force: true });
    symlinkSync("/dev/null", link);
  }
  cpSync(join(sourceDir, "rootfs", "overlay"), tree, { recursive: true });
}
