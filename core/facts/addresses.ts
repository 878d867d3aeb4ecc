/** An IPv4 address as a number, or `undefined` for a text that is none. */
export function ipv4Number(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) {
    return undefined;
  }
  const numbers = parts.map(Number);
  if (numbers.some((number) => number > 255)) return undefined;
  return numbers.reduce((sum, number) => sum * 256 + number, 0);
}

/** The length of a netmask, or `undefined` for a text that is none. */
export function netmaskLength(text: string): number | undefined {
  const number = ipv4Number(text);
  if (number === undefined) return undefined;
  const bits = number.toString(2).padStart(32, "0");
  return /^1+0*$/.test(bits) ? bits.lastIndexOf("1") + 1 : undefined;
}

/** Whether a text is an IPv6 address; an IPv4 tail is accepted. */
export function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (!text.includes(":") || halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  const last = groups.at(-1) ?? "";
  const hasIpv4 = last.includes(".");
  if (hasIpv4 && ipv4Number(last) === undefined) return false;
  const hex = hasIpv4 ? groups.slice(0, -1) : groups;
  const count = hex.length + (hasIpv4 ? 2 : 0);
  return (
    hex.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) &&
    (halves.length === 2 ? count < 8 : count === 8)
  );
}

/** Whether two IPv4 addresses are in one network of the given mask. */
export function isSameSubnet(one: string, other: string, netmask: string): boolean {
  const [a, b, length] = [ipv4Number(one), ipv4Number(other), netmaskLength(netmask)];
  if (a === undefined || b === undefined || length === undefined) return false;
  const size = 2 ** (32 - length);
  return Math.floor(a / size) === Math.floor(b / size);
}
