/** The address of a shard: one Redis server, a primary that Sentinels watch, or a Redis Cluster. Pure. */

export type Host = { readonly host: string; readonly port: number };

export type RedisShard = {
  readonly kind: "standalone" | "sentinel" | "cluster";
  /** The server; the Sentinels; or those of the Cluster's servers that are asked first. */
  readonly hosts: readonly [Host, ...Host[]];
  /** What the Sentinels call the primary. */
  readonly primary: string | undefined;
  readonly tls: boolean;
  readonly db: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Its place on the ring, and what people are told of it. */
  readonly name: string;
  /** Its share of the rooms; 0: it holds none. */
  readonly weight: number;
  /** Its share before a change that is being rolled out; without one the same as `weight`. */
  readonly was: number;
};

const FORMS =
  "redis://host:6379, rediss://…, redis+sentinel://host:port+host:port/primary-name or redis+cluster://host:port+host:port";
const ADDRESS = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/?]*)@)?([^@/?]*)(?:\/([^/?]*))?(?:\?(.*))?$/;
const HOST = /^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$/;
const NAME = /^[A-Za-z0-9_.:[\]-]{1,128}$/;
const PORTS = { standalone: 6379, sentinel: 26_379, cluster: 6379 } as const;

/** What came is not in it: it may hold a password. */
const expected = (what: string): TypeError => new TypeError(`expected ${what}`);

/**
 * Reads `redis://[user:password@]host[:6379][/db]`, `rediss://` the same over TLS, `redis+sentinel://host:port+host:port/name`
 * or `redis+cluster://host:port+host:port` (`rediss+…` over TLS), each with `?name=a&weight=2&was=1` where wanted.
 * Throws a `TypeError` that says what was expected, and never what came.
 */
export function parseRedisShard(text: string): RedisShard {
  const match = ADDRESS.exec(text);
  if (match === null) throw expected(FORMS);
  const [, secure, form, login, list = "", path = "", query = ""] = match;
  const kind = form === "sentinel" || form === "cluster" ? form : "standalone";
  const hosts = readHosts(list, kind);
  if (kind === "sentinel" && path === "") throw expected("the primary's name after the Sentinels, as in …/mymaster");
  if (kind === "cluster" && path !== "") throw expected("no database: a Redis Cluster has only one");
  const primary = kind === "sentinel" ? decoded(path) : undefined;
  const db = kind === "standalone" && path !== "" ? numberOf(path, "a database number after the host") : 0;
  const first = hosts[0];
  const { name, weight, was } = readQuery(query, primary ?? `${first.host}:${first.port}`);
  return { kind, hosts, primary, tls: secure === "s", db, ...readLogin(login), name, weight, was };
}

function readHosts(list: string, kind: RedisShard["kind"]): readonly [Host, ...Host[]] {
  const hosts = list.split("+").map((text): Host => {
    const [, host, port] = HOST.exec(text) ?? [];
    const number = port === undefined ? PORTS[kind] : Number(port);
    if (host === undefined || number < 1 || number > 65_535) throw expected(`host:port, joined by +, in ${FORMS}`);
    return { host: host.startsWith("[") ? host.slice(1, -1) : host, port: number };
  });
  if (kind === "standalone" && hosts.length > 1) throw expected("one host, or redis+sentinel:// or redis+cluster://");
  return hosts as [Host, ...Host[]];
}

function readLogin(login: string | undefined): Pick<RedisShard, "username" | "password"> {
  if (login === undefined) return { username: undefined, password: undefined };
  const colon = login.indexOf(":");
  const username = decoded(colon < 0 ? login : login.slice(0, colon));
  const password = colon < 0 ? "" : decoded(login.slice(colon + 1));
  return { username: username === "" ? undefined : username, password: password === "" ? undefined : password };
}

function readQuery(query: string, standard: string): Pick<RedisShard, "name" | "weight" | "was"> {
  const given = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(query)) {
    if (key !== "name" && key !== "weight" && key !== "was") throw expected("name, weight and was after the ?");
    if (given.has(key)) throw expected(`${key} once`);
    given.set(key, value);
  }
  const name = given.get("name") ?? standard;
  if (!NAME.test(name)) throw expected("as name 1 to 128 of A-Z a-z 0-9 _ - . :");
  const weight = numberOf(given.get("weight") ?? "1", "as weight a number from 0 to 1000");
  const was = numberOf(given.get("was") ?? String(weight), "as was a number from 0 to 1000");
  if (weight > 1000 || was > 1000) throw expected("as weight and was a number from 0 to 1000");
  return { name, weight, was };
}

function numberOf(text: string, what: string): number {
  if (!/^[0-9]{1,5}(\.[0-9]{1,5})?$/.test(text)) throw expected(what);
  return Number(text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw expected("%XX for characters that stand for something else in an address");
  }
}
