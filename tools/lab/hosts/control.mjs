import { closeSync, openSync } from "node:fs";
import { connect, createServer } from "node:net";
import { basename, dirname } from "node:path";

/**
 * Requests to a lab's supervisor: one JSON line there, one back, over a UNIX socket.
 * @typedef {{operation: string, node?: string, [option: string]: unknown}} ControlRequest
 */

/**
 * @param {string} path
 * @param {(request: ControlRequest) => Promise<unknown>} answer
 * @returns {Promise<import("node:net").Server>}
 */
export function serveControl(path, answer) {
  const server = createServer((socket) => {
    let received = "";
    socket.setEncoding("utf8");
    // The client may be gone before its answer is ready.
    socket.on("error", () => {});
    socket.on("data", (part) => {
      received += part;
      if (!received.includes("\n")) return;
      socket.pause();
      void Promise.resolve()
        .then(() => answer(JSON.parse(received)))
        .then((result) => ({ result: result ?? null }))
        .catch((error) => ({ error: /** @type {Error} */ (error).message }))
        .then((reply) => socket.end(`${JSON.stringify(reply)}\n`));
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    withShortPath(path, (short, done) =>
      server.listen(short, () => {
        done();
        resolve(server);
      }),
    );
  });
}

/**
 * @param {string} path
 * @param {ControlRequest} request
 * @param {number} [timeoutSec]
 * @returns {Promise<any>} the result
 */
export function requestControl(path, request, timeoutSec = 300) {
  return new Promise((resolve, reject) => {
    withShortPath(path, (short, done) => {
      let received = "";
      const socket = connect(short);
      const fail = (/** @type {string} */ why) => {
        done();
        socket.destroy();
        reject(new Error(`the lab's supervisor did not answer "${request.operation}": ${why}`));
      };
      socket.setEncoding("utf8");
      socket.setTimeout(timeoutSec * 1000, () => fail(`nothing within ${timeoutSec} s`));
      socket.on("connect", () => socket.write(`${JSON.stringify(request)}\n`));
      socket.on("error", (error) => fail(error.message));
      socket.on("data", (part) => {
        received += part;
      });
      socket.on("end", () => {
        if (!received.endsWith("\n")) return fail("it ended");
        done();
        socket.destroy();
        const { result, error } = JSON.parse(received);
        if (error === undefined) resolve(result);
        else reject(new Error(error));
      });
    });
  });
}

/**
 * The kernel takes socket paths of up to 107 bytes; a checkout may lie deeper.
 * @param {string} path
 * @param {(short: string, done: () => void) => void} use calls `done` when the path is resolved
 */
function withShortPath(path, use) {
  const fd = openSync(dirname(path), "r");
  let open = true;
  use(`/proc/self/fd/${fd}/${basename(path)}`, () => {
    if (open) closeSync(fd);
    open = false;
  });
}
