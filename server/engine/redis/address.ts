/** Where a shard of Redis is: the form of the addresses in the setting `redis`. */

export type RedisShard = {
  /** Its name on the ring: what it is called in logs, too. */
  readonly name: string;
  /** How large its part of the rooms is, in comparison with the other shards; 0: it holds none. */
  readonly weight: number;
  /** Its weight before a change that is being rolled out; `undefined` where there is none. */
  readonly was: number | undefined;
  readonly form: "standalone" | "sentinel" | "cluster";
  /** The server; or the sentinels; or some servers of the cluster. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** What the sentinels call the primary. */
  readonly primary: string | undefined;
  readonly tls: boolean;
  readonly db: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
};

const FORMS = {
  "redis:": { form: "standalone", tls: false, port: 6379 },
  "rediss:": { form: "standalone", tls: true, port: 6379 },
  "redis+sentinel:": { form: "sentinel", tls: false, port: 26_379 },
  "rediss+sentinel:": { form: "sentinel", tls: true, port: 26_379 },
  "redis+cluster:": { form: "cluster", tls: false, port: 6379 },
  "rediss+cluster:": { form: "cluster", tls: true, port: 6379 },
} as const;

const ADDRESS = /^([a-z+]+:)\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?$/;
const NAME = /^[A-Za-z0-9_.:@[\]-]{1,128}$/;

const expected =
  "an address such as redis://host:6379, rediss://host, redis+sentinel://host:26379+host:26379/primary or redis+cluster://host:6379+host:6379";

/** Throws a `TypeError` that says what was expected, and never repeats the address: there may be a password in it. */
export function parseRedisShard(address: string): RedisShard {
  const [, scheme = "", login, hostList = "", path = "", query = ""] = ADDRESS.exec(address) ?? [];
  if (!Object.hasOwn(FORMS, scheme)) throw new TypeError(`expected ${expected}`);
  const { form, tls, port } = FORMS[scheme as keyof typeof FORMS];
  const hosts = hostList.split("+").map((text) => parseHost(text, port));
  if (form === "standalone" && hosts.length > 1) throw new TypeError(`expected one host, or ${expected}`);
  const primary = form === "sentinel" ? path : undefined;
  if (primary === "")
    throw new TypeError("expected the primary's name behind the sentinels: redis+sentinel://host/name");
  if (form === "cluster" && path !== "") throw new TypeError("expected no path behind the hosts of a cluster");
  const first = hosts[0] as { host: string; port: number };
  const named = primary ?? `${first.host}:${first.port}${path === "" ? "" : `/${path}`}`;
  const { name = named, weight = 1, was } = parseQuery(query);
  const [username, password] = parseLogin(login);
  const db = form === "standalone" && path !== "" ? whole(path, "the number of a database behind the host", 99) : 0;
  return { name, weight, was, form, hosts, primary, tls, db, username, password };
}

function whole(text: string, what: string, most: number): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > most) throw new TypeError(`expected ${what}, 0 to ${most}`);
  return Number(text);
}

function parseHost(text: string, usualPort: number): { host: string; port: number } {
  const [, host, port] = HOST.exec(text) ?? [];
  if (host === undefined) throw new TypeError(`expected ${expected}`);
  const number = port === undefined ? usualPort : whole(port, "a port", 65_535);
  return { host: host.replace(/^\[|\]$/g, ""), port: number };
}

function parseLogin(login: string | undefined): [string | undefined, string | undefined] {
  if (login === undefined) return [undefined, undefined];
  const colon = login.indexOf(":");
  const parts = colon < 0 ? [login, ""] : [login.slice(0, colon), login.slice(colon + 1)];
  try {
    const [username = "", password = ""] = parts.map(decodeURIComponent);
    return [username === "" ? undefined : username, password === "" ? undefined : password];
  } catch {
    throw new TypeError("expected a user and a password in percent-encoding");
  }
}

function parseQuery(query: string): { name?: string; weight?: number; was?: number } {
  const values: { name?: string; weight?: number; was?: number } = {};
  for (const [key, text] of new URLSearchParams(query)) {
    if (key === "name") {
      if (!NAME.test(text)) throw new TypeError("expected a shard's name: 1 to 128 of A-Z a-z 0-9 _ - . : @ [ ]");
      values.name = text;
    } else if (key === "weight" || key === "was") {
      values[key] = parseWeight(key, text);
    } else {
      throw new TypeError("expected name, weight or was behind the ?");
    }
  }
  return values;
}

function parseWeight(key: string, text: string): number {
  const weight = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && weight <= 1000) return weight;
  throw new TypeError(`expected a number from 0 to 1000 as ${key}`);
}
