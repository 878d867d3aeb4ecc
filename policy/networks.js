/** Networks that the internet does not route to (RFC 1918, 3927, 6598) and loopback. */
export const PRIVATE_NETWORKS = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "127.0.0.0/8",
];

/**
 * Whether an IPv4 address lies in one of the networks; never for other text.
 * @param {string} address
 * @param {readonly string[]} networks `<address>/<bits>`
 */
export function isWithin(address, networks) {
  const number = toNumber(address);
  if (number === undefined) return false;
  return networks.some((network) => {
    const [base = "", bits = "32"] = network.split("/");
    const first = toNumber(base);
    if (first === undefined) return false;
    const size = 2 ** (32 - Number(bits));
    return Math.floor(number / size) === Math.floor(first / size);
  });
}

/** @param {string} address */
function toNumber(address) {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address)?.slice(1).map(Number);
  if (parts === undefined || parts.some((part) => part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}
