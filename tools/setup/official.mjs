import { createHash } from "node:crypto";
import { createWriteStream, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { engineDir } from "./paths.mjs";
import { messageOf, runLogged } from "./run.mjs";
import { ensurePart, isFresh } from "./stamp.mjs";

const RELEASES = "https://get.pulumi.com/releases/sdk";
const PROBE_TIMEOUT_MS = 4_000;
const DOWNLOAD_TIMEOUT_MS = 15 * 60_000;

/** @typedef {{reachable: true, checksum: string} | {reachable: false, reason: string}} Offer */

/** @returns {string} folder of the official CLI with its language hosts */
export function officialBin() {
  return join(engineDir, "official", "pulumi");
}

/** @param {string} version */
export function isOfficialInstalled(version) {
  return isFresh(officialPart(version));
}

/**
 * Asks for the published checksum of the CLI's archive: one small request that also tells whether
 * official downloads are possible from here.
 * @param {string} version
 * @param {string} [releases]
 * @returns {Promise<Offer>}
 */
export async function probeOfficial(version, releases = RELEASES) {
  try {
    const response = await fetch(`${releases}/pulumi-${version}-checksums.txt`, {
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    if (!response.ok) return { reachable: false, reason: `HTTP ${response.status}` };
    const checksum = findChecksum(await response.text(), archiveName(version));
    if (checksum === undefined) {
      return { reachable: false, reason: `no checksum is published for ${archiveName(version)}` };
    }
    return { reachable: true, checksum };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { reachable: false, reason: messageOf(cause) };
  }
}

/**
 * @param {string} version
 * @param {string} checksum SHA-256 in hex
 * @param {string} [releases]
 */
export async function ensureOfficial(version, checksum, releases = RELEASES) {
  await ensurePart({
    ...officialPart(version),
    title: `official Pulumi CLI ${version}`,
    expectedSec: 60,
    make: async (lock) => {
      const target = join(engineDir, "official");
      const partial = `${target}.partial`;
      rmSync(partial, { recursive: true, force: true });
      mkdirSync(partial, { recursive: true });
      const archive = join(partial, archiveName(version));
      await download(`${releases}/${archiveName(version)}`, archive, checksum);
      await runLogged("tar", ["-xzf", archive, "-C", partial], {
        what: "Unpacking the official Pulumi CLI",
        log: "setup-official",
        timeoutSec: 300,
        lock,
      });
      rmSync(archive);
      rmSync(target, { recursive: true, force: true });
      renameSync(partial, target);
    },
  });
}

/**
 * @param {string} list lines of `<hex>  <file name>`
 * @param {string} file
 * @returns {string | undefined}
 */
export function findChecksum(list, file) {
  for (const line of list.split("\n")) {
    const match = /^([0-9a-f]{64})\s+\*?(\S+)$/i.exec(line.trim());
    if (match?.[2] === file) return match[1]?.toLowerCase();
  }
  return undefined;
}

/** @param {string} version */
export function archiveName(version) {
  return `pulumi-v${version}-linux-${process.arch}.tar.gz`;
}

/** @param {string} version */
function officialPart(version) {
  return {
    name: "official-cli",
    inputs: `${version} ${process.arch}`,
    outputs: [join(officialBin(), "pulumi"), join(officialBin(), "pulumi-language-nodejs")],
  };
}

/**
 * @param {string} url
 * @param {string} file
 * @param {string} checksum
 */
async function download(url, file, checksum) {
  const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS) });
  if (!response.ok || response.body === null) throw new Error(`${url}: HTTP ${response.status}`);
  const hash = createHash("sha256");
  const tap = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(
    Readable.fromWeb(/** @type {import("node:stream/web").ReadableStream} */ (response.body)),
    tap,
    createWriteStream(file),
  );
  const got = hash.digest("hex");
  if (got !== checksum) {
    throw new ChecksumError(
      `${url} has SHA-256 ${got}, but ${checksum} is published: the download was changed on its way. ` +
        "Look for a proxy that rewrites downloads; nothing was installed.",
    );
  }
}

export class ChecksumError extends Error {}
