/**
 * How the people who own a host have set it up. What a product for real hosts must cope with is
 * here, not in the tests.
 *
 * @typedef {object} Profile
 * @property {string} user who logs in by ssh
 * @property {string} npuSmi
 * @property {Record<string, string>} files further files, mode 0644; below etc/sudoers.d 0440
 */

/** @type {Record<"root-debian" | "sudo-user", Profile>} */
export const profiles = {
  // Debian as installed: root may log in with a key, and only so (`prohibit-password`).
  "root-debian": {
    user: "root",
    npuSmi: "usr/local/bin/npu-smi",
    files: {},
  },
  // A hardened host, as platform teams hand it out: no root login, sudo without password but with
  // the search path of openEuler and CentOS (nothing of /usr/local), messages in Chinese.
  "sudo-user": {
    user: "ops",
    npuSmi: "usr/local/sbin/npu-smi",
    files: {
      "etc/ssh/sshd_config.d/10-hardening.conf": "PermitRootLogin no\nPasswordAuthentication no\n",
      "etc/sudoers.d/ops":
        "Defaults:ops secure_path=/sbin:/bin:/usr/sbin:/usr/bin\nops ALL=(ALL:ALL) NOPASSWD: ALL\n",
      "etc/default/locale": "LANG=zh_CN.UTF-8\n",
    },
  },
};

/** @typedef {keyof typeof profiles} ProfileName */

/** Driver's own account on real hosts; owns the device nodes. */
export const driverUser = { name: "HwHiAiUser", id: 1000 };
export const operatorId = 1001;
