import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runLogged } from "../../setup/run.mjs";
import { keyring, suite, workingApt } from "./apt.mjs";
import { outputOf } from "./command.mjs";
import { workDir } from "./paths.mjs";

/**
 * Makes a minimal Debian with the given packages in an empty directory, from the mirror that the
 * machine's own apt uses. debootstrap is unpacked, not installed; neither the machine's packages
 * nor apt's state change.
 * @param {string} target
 * @param {object} options
 * @param {string[]} options.packages
 * @param {string} options.log
 * @param {number} options.lock
 * @returns {Promise<void>}
 */
export async function bootstrapDebian(target, { packages, log, lock }) {
  const { mirror, debootstrap, apt } = await fetchDebootstrap();
  const cache = join(workDir, "debs");
  mkdirSync(cache, { recursive: true });
  // Own namespaces: what debootstrap mounts or starts is gone with it, whatever happens.
  await runLogged(
    "unshare",
    [
      ...["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
      ...["/bin/sh", join(debootstrap, "usr/sbin/debootstrap"), "--variant=minbase"],
      ...[`--keyring=${keyring}`, `--cache-dir=${cache}`, `--include=${packages.join(",")}`],
      ...[suite, target],
      // debootstrap knows Debian's own address and few schemes: apt's mirror lists are none of them.
      ...(/^https?:/.test(mirror) ? [mirror] : []),
    ],
    {
      what: "Building a Debian root file system",
      log,
      lock,
      timeoutSec: 3600,
      env: {
        APT_CONFIG: apt.config,
        PATH: `${apt.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
        DEBOOTSTRAP_DIR: join(debootstrap, "usr/share/debootstrap"),
        // A tree that a crash leaves half written is thrown away, so dpkg need not wait for the disk.
        DPKG_FORCE: "unsafe-io",
        LC_ALL: "C.UTF-8",
      },
    },
  );
  for (const leftover of ["var/cache/apt", "var/lib/apt/lists"])
    emptyDirectory(join(target, leftover));
}

/** debootstrap, unpacked. */
async function fetchDebootstrap() {
  const { apt, mirror } = await workingApt();
  const debootstrap = join(workDir, "debootstrap");
  rmSync(debootstrap, { recursive: true, force: true });
  mkdirSync(debootstrap, { recursive: true });
  await outputOf("apt-get", ["download", "-qq", "debootstrap"], {
    env: apt.env,
    cwd: debootstrap,
  });
  const deb = readdirSync(debootstrap).find((name) => name.endsWith(".deb"));
  if (deb === undefined) throw new Error(`${mirror} has no debootstrap`);
  await outputOf("dpkg-deb", ["--extract", join(debootstrap, deb), debootstrap]);
  return { mirror, debootstrap, apt };
}

/** @param {string} path */
function emptyDirectory(path) {
  for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true });
}
