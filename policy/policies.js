import { isWithin, PRIVATE_NETWORKS } from "./networks.js";
import { flagOf, releasesIn } from "./releases.js";

/**
 * @typedef {object} Policy
 * @property {string} name
 * @property {string} description
 * @property {"mandatory" | "advisory"} level unless the pack's configuration says otherwise
 * @property {Record<string, object>} [settings] JSON Schema of what can be configured
 * @property {(resource: Resource) => string[]} violations never with a value that could be a secret: policies see them in clear
 *
 * @typedef {object} Resource
 * @property {string} type
 * @property {Record<string, any>} props inputs; reading one that a preview cannot know throws
 * @property {Record<string, any>} settings
 */

/** @type {readonly Policy[]} */
export const POLICIES = [
  {
    name: "host-keys-pinned",
    description:
      "Whoever answers in place of a server gets no login: its host key stands in the stack file.",
    level: "mandatory",
    violations({ type, props }) {
      if (isRemote(type)) {
        const { hostKey } = props["connection"] ?? {};
        if (hostKey === undefined || hostKey === "") {
          return ["connection.hostKey is not set: @pulumi/command then trusts any host"];
        }
        return KEY_TYPES.test(hostKey)
          ? []
          : ["connection.hostKey must be one line of type ssh-ed25519 or ecdsa-sha2-nistp*"];
      }
      if (type !== "pulumi:providers:docker" || !String(props["host"]).startsWith("ssh://"))
        return [];
      // The engine hands the configuration of a provider over as JSON texts.
      const given = props["sshOpts"];
      const options = listOf(typeof given === "string" ? JSON.parse(given) : given);
      const isPinned =
        options.includes("StrictHostKeyChecking=yes") &&
        options.some((option) => /^(KnownHostsCommand|UserKnownHostsFile)=/.test(option));
      return isPinned ? [] : ["sshOpts must have StrictHostKeyChecking=yes and the host's key"];
    },
  },
  {
    name: "agent-only",
    description:
      "The key of a login stays in the SSH agent: as an input it would enter Pulumi's state.",
    level: "mandatory",
    violations({ type, props }) {
      if (!isRemote(type)) return [];
      const connection = props["connection"] ?? {};
      return ["privateKey", "privateKeyPassword", "password", "agentSocketPath"]
        .filter((field) => connection[field] !== undefined)
        .map((field) => `connection.${field} must not be set; load the key into the SSH agent`);
    },
  },
  {
    name: "no-privileged-container",
    description: "A container gets the devices that it needs, not the machine.",
    level: "mandatory",
    violations({ type, props }) {
      if (type !== "docker:index/container:Container") return [];
      const added = listOf(props["capabilities"]?.adds);
      return [
        ...(props["privileged"] === true ? ["privileged must not be set; list the devices"] : []),
        ...(added.length > 0 ? [`capabilities.adds must be empty, got ${added.join(", ")}`] : []),
        ...["pidMode", "ipcMode", "usernsMode"]
          .filter((mode) => props[mode] === "host")
          .map((mode) => `${mode} must not be host`),
        ...(listOf(props["securityOpts"]).some((option) =>
          /^no-new-privileges(:true)?$/.test(option),
        )
          ? []
          : ["securityOpts must have no-new-privileges"]),
      ];
    },
  },
  {
    name: "images-pinned",
    description:
      "An image is named by its digest or its id: a tag can be another image tomorrow, or on the next node.",
    level: "mandatory",
    violations({ type, props }) {
      const field = IMAGE_FIELDS[type];
      if (field === undefined) return [];
      const image = known(() => props[field]);
      return image === undefined || /(^|@)sha256:[0-9a-f]{64}$/.test(image)
        ? []
        : [`${field} must end with @sha256:<digest> or be an image id, got ${image}`];
    },
  },
  {
    name: "no-secret-in-clear",
    description:
      "Secrets come on standard input into files of mode 0600, never in a command, an argument or a variable of a plan.",
    level: "mandatory",
    violations({ type, props }) {
      if (type === "docker:index/container:Container") {
        const variables = listOf(known(() => props["envs"])).map(
          (text) => text.split("=", 1)[0] ?? "",
        );
        return [
          ...variables
            .filter(isSecretName)
            .map((name) => `envs has ${name}: docker inspect shows it`),
          ...flagsWithSecrets(listOf(known(() => props["command"])).join(" "), "command"),
        ];
      }
      if (type !== "command:local:Command" && !isRemote(type)) return [];
      return [
        ...["create", "update", "delete"].flatMap((field) => {
          const text = known(() => props[field]);
          return typeof text === "string" ? flagsWithSecrets(text, field) : [];
        }),
        ...Object.keys(known(() => props["environment"]) ?? {})
          .filter(isSecretName)
          .map(
            (name) => `environment has ${name}: it is sent in clear to sshd and shown by errors`,
          ),
        ...releasesIn(known(() => props["stdin"])).flatMap(({ node, kind, env }) =>
          Object.entries(env)
            .filter(([name, value]) => isSecretName(name) && value !== "")
            .map(([name]) => `env of ${kind} on ${node} has ${name}: previews and files show it`),
        ),
      ];
    },
  },
  {
    name: "api-key-set",
    description: "vLLM answers nobody without a key.",
    level: "mandatory",
    violations({ type, props }) {
      if (!isRemote(type)) return [];
      return releasesIn(known(() => props["stdin"]))
        .filter(
          ({ kind, role, secretEnv }) =>
            kind === "serve" && role === "head" && secretEnv["VLLM_API_KEY"] === undefined,
        )
        .map(
          ({ node }) => `vllm serve on ${node} has no API key: pulumi config set --secret apiKey`,
        );
    },
  },
  {
    name: "no-public-binding",
    description:
      "vLLM and Ray listen on addresses that the internet does not reach, and Ray's dashboard not at all.",
    level: "mandatory",
    settings: {
      allowedNetworks: {
        type: "array",
        items: { type: "string" },
        default: PRIVATE_NETWORKS,
        description: "Networks in which a node may listen, as <IPv4 address>/<bits>.",
      },
    },
    violations({ type, props, settings }) {
      if (!isRemote(type)) return [];
      const networks = settings["allowedNetworks"] ?? PRIVATE_NETWORKS;
      return releasesIn(known(() => props["stdin"])).flatMap((release) => {
        const { kind, node, command } = release;
        if (command === null) return [];
        const flag = kind === "ray" ? "node-ip-address" : "host";
        const address = flagOf(release, flag);
        // A headless rank has no API.
        const isListening = kind === "ray" || !command.includes("--headless");
        return [
          ...(isListening && (address === undefined || !isWithin(address, networks))
            ? [
                `${kind} on ${node} listens on ${address ?? "all addresses"}, which is in none of ${networks.join(", ")}`,
              ]
            : []),
          ...(command.includes("--head") && flagOf(release, "include-dashboard") !== "false"
            ? [`Ray's dashboard runs on ${node}: whoever reaches it runs code`]
            : []),
        ];
      });
    },
  },
];

const KEY_TYPES = /^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}$/;

/** @type {Readonly<Record<string, string>>} */
const IMAGE_FIELDS = {
  "docker:index/remoteImage:RemoteImage": "name",
  "docker:index/container:Container": "image",
};

/** @param {string} type */
function isRemote(type) {
  return type === "command:remote:Command" || type === "command:remote:CopyToRemote";
}

/** @param {unknown} value @returns {string[]} */
function listOf(value) {
  return Array.isArray(value) ? value.map(String) : [];
}

/**
 * What a preview knows of a value; `undefined` for what only the update will know.
 * @param {() => any} read
 */
function known(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && error.constructor.name === "UnknownValueError") return undefined;
    throw error;
  }
}

/** Names that end so hold a secret; with `_PATH` or `_FILE` behind it they say where one lies. @param {string} name */
function isSecretName(name) {
  return /(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$/i.test(name);
}

/** @param {string} text @param {string} field */
function flagsWithSecrets(text, field) {
  const flags = text.matchAll(
    /(?:^|\s)(--(?:[a-z-]+-)?(?:api-key|token|password|secret))(?:=|\s+)["']?[^\s"'-]/g,
  );
  return [...flags].map(
    ([, flag]) => `${field} has ${flag} with a value: every user of the machine reads arguments`,
  );
}
