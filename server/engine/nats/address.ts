/** The addresses of NATS servers and the names of streams, as they stand in the settings. Pure. */

export type NatsServer = {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
};

export type NatsStream = {
  readonly name: string;
  /** Its share of the rooms, as a multiple of the others' weights; 0: it holds none. */
  readonly weight: number;
};

const DEFAULT_PORT = 4222;
const SERVER = "expected nats://host:port or tls://host:port, with user:password@ or token@ before the host if need be";
const STREAM = "expected a stream's name of 1 to 64 characters of A-Z a-z 0-9 _ -, and ?weight=n if need be";
const WEIGHT = "expected a weight from 0 to 1000";

/** Throws a `TypeError` that says what was expected, and never what came: it may hold a password. */
export function parseNatsServer(text: string): NatsServer {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError(SERVER);
  }
  const { protocol, hostname, port, username, password, pathname, search, hash } = url;
  const known = protocol === "nats:" || protocol === "tls:";
  if (!known || hostname === "" || (pathname !== "" && pathname !== "/") || search !== "" || hash !== "") {
    throw new TypeError(SERVER);
  }
  return {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? DEFAULT_PORT : Number(port),
    tls: protocol === "tls:",
    ...login(username, password),
  };
}

function login(username: string, password: string): Pick<NatsServer, "user" | "password" | "token"> {
  if (username === "" && password === "") return {};
  try {
    const user = decodeURIComponent(username);
    return password === "" ? { token: user } : { user, password: decodeURIComponent(password) };
  } catch {
    throw new TypeError(SERVER);
  }
}

/** A stream: `name`, or `name?weight=2`. Throws a `TypeError` that says what was expected. */
export function parseNatsStream(text: string): NatsStream {
  const [name = "", query] = text.split(/\?(.*)/s);
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) throw new TypeError(STREAM);
  if (query === undefined) return { name, weight: 1 };
  const weight = /^weight=(\d+(?:\.\d+)?)$/.exec(query)?.[1];
  if (weight === undefined) throw new TypeError(STREAM);
  if (Number(weight) > 1000) throw new TypeError(WEIGHT);
  return { name, weight: Number(weight) };
}
