import { randomUUID } from "node:crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { sourceDir } from "../build/paths.mjs";
import { must } from "./command.mjs";
import { hccnConf } from "./npu-doc.mjs";
import { driverUser, operatorId, profiles } from "./profiles.mjs";

/**
 * Writes what makes one host of the shared root file system: into the upper directory of its
 * overlay, before its first boot.
 * @param {object} host
 * @param {string} host.name
 * @param {import("./profiles.mjs").ProfileName} host.profile
 * @param {ReturnType<ReturnType<typeof import("./paths.mjs").labPaths>["node"]>} host.paths
 * @param {string} host.rootfs
 * @param {string} host.hosts content of /etc/hosts
 * @param {string} host.publicKey line for authorized_keys
 * @param {import("./npu-doc.mjs").NpuDoc} host.npuDoc
 * @returns {Promise<string>} public host key, `ssh-ed25519 AAAA...`
 */
export async function writeIdentity({ name, profile, paths, rootfs, hosts, publicKey, npuDoc }) {
  const { upper } = paths;
  for (const dir of [upper, paths.work, paths.root, paths.docker, paths.containerd]) {
    mkdirSync(dir, { recursive: true });
  }
  const put = (/** @type {string} */ path, /** @type {string} */ content, mode = 0o644) => {
    mkdirSync(dirname(join(upper, path)), { recursive: true });
    writeFileSync(join(upper, path), content);
    chmodSync(join(upper, path), mode);
  };
  put("etc/machine-id", `${randomUUID().replaceAll("-", "")}\n`);
  put("etc/hostname", `${name}\n`);
  put("etc/hosts", hosts);
  // Refuses at once. A name server that cannot be reached costs vLLM 30 s per look-up, Ray minutes.
  put("etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
  installOverlay(upper, profile);
  addUsers({ upper, rootfs, profile, put });
  allowLogin({ upper, profile, publicKey });
  put("etc/hccn.conf", hccnConf(npuDoc));
  mkdirSync(join(upper, "etc/lab"), { recursive: true });
  symlinkSync("self/npu.json", join(upper, "etc/lab/npu.json"));
  for (const [path, content] of Object.entries(profiles[profile].files)) {
    put(path, content, path.startsWith("etc/sudoers.d/") ? 0o440 : 0o644);
  }
  return makeHostKey(upper, name);
}

/**
 * Copies images into a host's docker: directories are new, files are hard links, so a host costs
 * two seconds and no disk, and all hosts share the page cache.
 * @param {string} golden dockerd data root: `image`, `overlay2`
 * @param {string} docker data root of the host
 */
export async function linkImages(golden, docker) {
  mkdirSync(docker, { recursive: true });
  await must(["cp", "-a", join(golden, "image"), `${docker}/`], { timeoutSec: 300 });
  await must(["cp", "-al", join(golden, "overlay2"), `${docker}/`], { timeoutSec: 300 });
}

/** @param {string} upper @param {import("./profiles.mjs").ProfileName} profile */
function installOverlay(upper, profile) {
  const overlay = join(sourceDir, "overlay");
  const copy = (/** @type {string} */ path) => {
    for (const entry of readdirSync(join(overlay, path), { withFileTypes: true })) {
      const child = join(path, entry.name);
      if (entry.name === "__pycache__") continue;
      if (entry.isDirectory()) {
        copy(child);
        continue;
      }
      const target = join(upper, child === npuSmi ? profiles[profile].npuSmi : child);
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(join(overlay, child), target);
      // Not the checkout's modes: its umask is not the hosts' business.
      const executable = (statSync(join(overlay, child)).mode & 0o100) !== 0;
      chmodSync(target, executable ? 0o755 : 0o644);
    }
  };
  copy("");
  for (const unit of ["npu-driver.service"]) {
    const wants = join(upper, "etc/systemd/system/multi-user.target.wants");
    mkdirSync(wants, { recursive: true });
    symlinkSync(`../${unit}`, join(wants, unit));
  }
}

/**
 * @param {object} args
 * @param {string} args.upper
 * @param {string} args.rootfs
 * @param {import("./profiles.mjs").ProfileName} args.profile
 * @param {(path: string, content: string, mode?: number) => void} args.put
 */
function addUsers({ upper, rootfs, profile, put }) {
  const { user } = profiles[profile];
  const users = [
    { ...driverUser, shell: "/usr/sbin/nologin", groups: /** @type {string[]} */ ([]) },
  ];
  if (user !== "root") {
    users.push({ name: user, id: operatorId, shell: "/bin/bash", groups: ["docker"] });
  }
  const base = (/** @type {string} */ file) => readFileSync(join(rootfs, "etc", file), "utf8");
  let [passwd, shadow, group, gshadow] = ["passwd", "shadow", "group", "gshadow"].map(base);
  for (const { name, id, shell, groups } of users) {
    passwd += `${name}:x:${id}:${id}::/home/${name}:${shell}\n`;
    // "*": no password, but not locked, or sshd refuses the key, too.
    shadow += `${name}:*:19000:0:99999:7:::\n`;
    group += `${name}:x:${id}:\n`;
    gshadow += `${name}:!::\n`;
    for (const member of groups) {
      if (!new RegExp(`^${member}:`, "m").test(group ?? "")) {
        throw new Error(`the lab's root file system has no group "${member}": rebuild it`);
      }
      group = addMember(group ?? "", member, name);
      gshadow = addMember(gshadow ?? "", member, name);
    }
    mkdirSync(join(upper, "home", name), { recursive: true });
    chownSync(join(upper, "home", name), id, id);
    chmodSync(join(upper, "home", name), 0o750);
  }
  const shadowGroup = Number(/^shadow:[^:]*:(\d+):/m.exec(group ?? "")?.[1] ?? 0);
  put("etc/passwd", passwd ?? "");
  put("etc/group", group ?? "");
  for (const [path, content] of [
    ["etc/shadow", shadow],
    ["etc/gshadow", gshadow],
  ]) {
    put(/** @type {string} */ (path), content ?? "", 0o640);
    chownSync(join(upper, /** @type {string} */ (path)), 0, shadowGroup);
  }
}

/** @param {string} table @param {string} group @param {string} name */
function addMember(table, group, name) {
  return table.replace(new RegExp(`^(${group}:.*:)([^:\n]*)$`, "m"), (_, head, members) =>
    members === "" ? `${head}${name}` : `${head}${members},${name}`,
  );
}

/** @param {{upper: string, profile: import("./profiles.mjs").ProfileName, publicKey: string}} args */
function allowLogin({ upper, profile, publicKey }) {
  const { user } = profiles[profile];
  const [home, id] = user === "root" ? ["root", 0] : [`home/${user}`, operatorId];
  const ssh = join(upper, /** @type {string} */ (home), ".ssh");
  mkdirSync(ssh, { recursive: true });
  if (user === "root") chmodSync(join(upper, "root"), 0o700);
  chmodSync(ssh, 0o700);
  writeFileSync(join(ssh, "authorized_keys"), publicKey, { mode: 0o600 });
  for (const path of [ssh, join(ssh, "authorized_keys")]) chownSync(path, Number(id), Number(id));
}

/** @param {string} upper @param {string} name */
async function makeHostKey(upper, name) {
  const key = join(upper, "etc/ssh/ssh_host_ed25519_key");
  mkdirSync(dirname(key), { recursive: true });
  if (!existsSync(key)) {
    await must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key]);
  }
  return readFileSync(`${key}.pub`, "utf8").split(" ").slice(0, 2).join(" ");
}

/** Where the overlay has it; the profile says where it goes. */
const npuSmi = "usr/local/bin/npu-smi";
