/** Which addresses hooks may be posted to: public ones, and those that the settings allow. */
import { type LookupAddress, lookup } from "node:dns";
import { BlockList, isIP } from "node:net";

/** What is not the public Internet, or reaches what is not. */
const CLOSED_V4 = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const;
/** Public IPv6 is in 2000::/3 alone, but for what of it leads elsewhere. IPv4 within IPv6 is looked at as IPv4. */
const CLOSED_V6 = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["3fff::", 20],
] as const;
const PUBLIC_V6 = ["2000::", 3] as const;

function listOf(ranges: readonly (readonly [string, number])[], family: "ipv4" | "ipv6"): BlockList {
  const list = new BlockList();
  for (const [address, bits] of ranges) list.addSubnet(address, bits, family);
  return list;
}
const closedV4 = listOf(CLOSED_V4, "ipv4");
const closedV6 = listOf(CLOSED_V6, "ipv6");
const publicV6 = listOf([PUBLIC_V6], "ipv6");

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const [, head = "", a, b, c, d] = dotted ?? [];
  const hex = (high = "0", low = "0") => ((Number(high) << 8) | Number(low)).toString(16);
  const text = dotted === null ? address : `${head}${hex(a, b)}:${hex(c, d)}`;
  const [front = "", back] = text.split("::");
  const read = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const first = read(front);
  if (back === undefined) return first;
  const last = read(back);
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
}

/** The IPv4 address that an IPv6 one stands for: mapped, compatible, translated (NAT64), 6to4. */
function within(address: string): string | undefined {
  const groups = groupsOf(address);
  const dotted = (at: number) =>
    [groups[at] ?? 0, groups[at + 1] ?? 0].flatMap((group) => [group >> 8, group & 255]).join(".");
  const starts = (...prefix: number[]) => prefix.every((group, at) => groups[at] === group);
  if (starts(0, 0, 0, 0, 0, 0xffff) || starts(0, 0, 0, 0, 0xffff, 0)) return dotted(6);
  if (starts(0, 0, 0, 0, 0, 0)) return dotted(6);
  if (starts(0x64, 0xff9b, 0, 0, 0, 0)) return dotted(6);
  if (starts(0x2002)) return dotted(1);
  return undefined;
}

/** Whether the IP address is one of the public Internet: not private, loopback, link-local, shared, multicast, or a form of those. */
export function isPublic(address: string): boolean {
  const [bare = ""] = address.split("%");
  const version = isIP(bare);
  if (version === 4) return !closedV4.check(bare, "ipv4");
  if (version !== 6 || bare !== address) return false;
  const inner = within(bare);
  if (inner !== undefined) return isPublic(inner);
  return publicV6.check(bare, "ipv6") && !closedV6.check(bare, "ipv6");
}

/** The IPv4 address where it came mapped into IPv6, else what it is: for those who allow addresses by ranges of IPv4. */
const plainAddress = (address: string): string => {
  const mapped = isIP(address) === 6 && groupsOf(address).slice(0, 6).join() === "0,0,0,0,0,65535";
  return mapped ? (within(address) ?? address) : address;
};

/** A hook's address is one that hooks are not posted to. */
export class AddressRefused extends Error {
  override readonly name = "AddressRefused";

  constructor(host: string) {
    super(`${host}: expected a public address, or one in hookNetworks`);
  }
}

type Found = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;
type Options = { readonly all?: boolean | undefined; readonly family?: number | "IPv4" | "IPv6" | undefined };

/** How all addresses of a host are found. Rejects with what the resolver says. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

const bySystem: Resolve = (host) =>
  new Promise((resolve, reject) => {
    lookup(host, { all: true }, (error, found) => (error === null ? resolve(found) : reject(error)));
  });

/**
 * Looks hosts up for `net.connect`, and gives it only addresses that may be connected to: nobody looks the name up
 * again, so that an answer that changes in between (DNS rebinding) changes nothing. One look-up at a time for a host,
 * however many ask: they take turns in the few threads that the process has for files and names.
 */
export class Addresses {
  readonly #allows: (address: string) => boolean;
  readonly #resolve: Resolve;
  readonly #asked = new Map<string, Promise<readonly LookupAddress[]>>();

  /** `allows`: addresses beside the public ones; `resolve`: by default as the system does. */
  constructor(allows: (address: string) => boolean, resolve: Resolve = bySystem) {
    this.#allows = allows;
    this.#resolve = resolve;
  }

  /** Whether the IP address may be connected to. */
  admits(address: string): boolean {
    return isPublic(address) || this.#allows(plainAddress(address));
  }

  /** Throws `AddressRefused` for a host that is an IP address, in any of its forms, that may not be connected to. */
  checkLiteral(url: URL): void {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    if (isIP(host) !== 0 && !this.admits(host)) throw new AddressRefused(host);
  }

  /** For the option `lookup` of a request. */
  readonly lookup = (host: string, { all, family }: Options, found: Found): void => {
    const wanted = family === 4 || family === "IPv4" ? 4 : family === 6 || family === "IPv6" ? 6 : 0;
    this.#find(host).then(
      (addresses) => {
        const admitted = addresses.filter(
          (each) => (wanted === 0 || each.family === wanted) && this.admits(each.address),
        );
        const [first] = admitted;
        if (first === undefined) found(new AddressRefused(host), "", 0);
        else if (all) found(null, admitted);
        else found(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => found(error, "", 0),
    );
  };

  #find(host: string): Promise<readonly LookupAddress[]> {
    let asked = this.#asked.get(host);
    if (asked === undefined) {
      asked = this.#resolve(host).finally(() => this.#asked.delete(host));
      this.#asked.set(host, asked);
    }
    return asked;
  }
}
