/** The texts of `--help`, made from the settings. */
import { scopes } from "../access/api-keys.js";
import { rangeOf, type SettingInfo, settingInfos } from "./settings.js";

const WIDTH = 96;
const INDENT = " ".repeat(6);

function wrap(text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && INDENT.length + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => INDENT + one).join("\n");
}

function optionHelp({ flag, variable, schema }: SettingInfo): string {
  const value = { integer: "N", boolean: "true|false", array: "A,B", object: "JSON", string: "TEXT" };
  const range = rangeOf(schema);
  const facts = [
    schema.default === undefined ? "" : `default ${shown(schema.default)}`,
    range === "" ? "" : schema.type === "integer" ? `from ${range}` : `one of ${range}`,
    variable,
  ];
  const head = `  ${flag} ${value[schema.type ?? "string"]}`;
  return `${head}\n${wrap(`${schema.description} (${facts.filter((fact) => fact !== "").join("; ")})`)}`;
}

function shown(value: unknown): string {
  if (Array.isArray(value) && value.length === 0) return "none";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function commandsHelp(): string {
  return `roomcast: a real-time event server

Usage: roomcast [COMMAND] [OPTIONS]

Commands:
  serve                starts a node; what happens without a command
  token                makes and checks tokens for clients
  key                  makes keys for services that use the HTTP API
  nodes                lists the nodes of a cluster
  rooms                lists the rooms with clients, and how many are in each
  disconnect USER      ends every session of a user, on all nodes
  remove USER ROOM     takes a user out of a room, on all nodes
  revoke               takes back a token, a user's right to be there, or actions in rooms

Options:
  --help               this text; roomcast serve --help lists the settings
  --version            the versions of roomcast and Node`;
}

export function keyHelp(): string {
  return `Usage: roomcast key --name NAME --scope SCOPE [--scope SCOPE …] [--tenant TENANT] [--json]

Makes a key by which another service uses the HTTP API, and prints two lines: the key, which the
service sends as Authorization: Bearer …, and its entry for the server's ROOMCAST_API_KEYS, which
holds a digest and not the key. It is kept nowhere.

Options:
  --name NAME          what the service is called, 1 to 32 characters of A-Z a-z 0-9 _ - .
  --scope SCOPE        what the key is good for: ${scopes.slice(0, 4).join(", ")},
                       ${scopes.slice(4).join(", ")}; or all. Several with commas.
  --tenant TENANT      the only tenant whose rooms and users it reaches
  --json               both as one line of JSON`;
}

export function serveHelp(): string {
  return `Usage: roomcast serve [OPTIONS]

Starts a node. A setting comes from its flag, else from its variable ROOMCAST_…, else from the
JSON file that --config or ROOMCAST_CONFIG names, else from its default.

SIGTERM and SIGINT close it, a second one ends it at once. Exit codes: 0 closed, 1 failed to
start or was ended, 2 wrong settings.

  --config FILE
${wrap("A JSON file with settings by their names, such as maxRooms (ROOMCAST_CONFIG)")}
  --check
${wrap("Print the settings that hold and where each is from, and end; exit code 2 where one is wrong.")}
  --json
${wrap("With --check: print them as JSON.")}
  --help
${wrap("This text.")}

Settings:
${settingInfos.map(optionHelp).join("\n")}`;
}

const ASKING = `It asks through the engine and starts no node, so it needs to know what the nodes know: the addresses of
Redis or NATS (--redis, --nats) and the namespace, by the same flags, variables or file as they do.
roomcast serve --help lists all settings.`;

export function nodesHelp(): string {
  return `Usage: roomcast nodes [--json] [--watch] [OPTIONS]

Lists the nodes of a cluster: their addresses, connections, sessions and open rooms, and what of the
engine they cannot reach. A room that is open on two nodes counts twice.

${ASKING}

  --json     as JSON; with --watch an object a line
  --watch    again every second, until it is ended

Exit codes: 0 listed, 1 the engine cannot be reached, 2 wrong settings.`;
}

export function roomsHelp(): string {
  return `Usage: roomcast rooms [--prefix NAME] [--limit N] [--json] [OPTIONS]

Lists the rooms with clients, on all nodes, by name, and how many clients are in each.

${ASKING}

  --tenant NAME   whose rooms, where there are tenants
  --prefix NAME   only rooms whose names begin with it, such as chat:
  --limit N       how many, by default 100
  --after NAME    only rooms whose names come after it: where a list before this one has ended
  --json          as JSON

Exit codes: 0 listed, 1 the engine cannot be reached or a node did not answer, 2 wrong settings.`;
}

export function userHelp(usage: string, does: string): string {
  return `Usage: roomcast ${usage} [OPTIONS]

${does}

  --tenant NAME   whose user it is, where there are tenants

${ASKING}

Exit codes: 0 done, 1 the engine cannot be reached or a node did not answer, 2 wrong settings.`;
}

export function tokenHelp(): string {
  return `Usage: roomcast token [OPTIONS]               makes a token
       roomcast token --check [OPTIONS]       reads a token from standard input and says what it is good for
       roomcast token --new-secret            prints a new secret
       roomcast token --new-key TYPE --key FILE
                                              makes a private key: ed25519, ec or rsa

The token goes to standard output alone; on a terminal, what it says goes to standard error.

What it says:
  --user NAME                who the client is; without it, nobody in particular
  --room 'PATTERN=ACTIONS'   what it may in which rooms, such as 'chat:*=join,publish'; as often as needed.
                             Actions: join, publish, history, members. In a pattern * is a segment between
                             colons, or everything that follows; {sub} is the user
  --only-room ROOM           makes a token to join this one room with, and no other
  --may ACTIONS              with --only-room: what it may there; by default join, history, members
  --expires TIME             when it ends: 90s, 15m, 2h, 7d; by default 1h
  --tenant NAME              whose rooms these are
  --info JSON                what the application's hooks are told of the client
  --id TEXT                  what it can be revoked by; by default a random one
  --issuer TEXT, --audience TEXT
                             by default the first that the settings trust

What signs it: the secret of the settings (ROOMCAST_SECRET, or the file of --config), or
  --secret-file FILE         a file with a secret
  --key FILE                 a private key in PEM: RSA signs RS256, EC on P-256 ES256, Ed25519 EdDSA
  --key-id TEXT              what the key is called in the token

With --check the same settings count as for roomcast serve, from the same flags, variables and file; --json prints
what was found as JSON. --new-key writes the private key to a new file that only you can read, and prints the
public key, for tokenKeys.

Exit codes: 0 made or accepted, 1 refused, 2 wrong arguments or settings.`;
}

export function revokeHelp(): string {
  return `Usage: roomcast revoke --token ID [--until TIME]
       roomcast revoke --user USER [--before TIME]
       roomcast revoke --block USER --for 1h
       roomcast revoke --unblock USER
       roomcast revoke --user USER --room PATTERN --actions ACTIONS [--for 1h]
       roomcast revoke --list

Takes back what a token, or the application, has given: on all nodes, at once, and until the tokens that say otherwise
have expired (maxTokenLifeMs). Sessions that it concerns end, or leave the rooms.

  --token ID           the token with this id (the claim jti); --until when it expires, where that is known
  --user USER          all of the user's tokens that were signed before a time, by default now
  --block USER         the user, whatever it shows, for a time
  --unblock USER       ends a block
  --room PATTERN       with --user: actions in rooms, such as 'chat:*'
  --actions ACTIONS    join,publish,history,members, or some of them; none gives back what was taken by this pattern
  --tenant NAME        whose user it is
  --for DURATION       for how long: 90s, 15m, 2h, 7d
  --until TIME, --before TIME
                       now, or a time such as 2026-11-23T20:00:00Z
  --list               prints what is in force, one a line

${ASKING}

Exit codes: 0 done, 1 the engine cannot be reached or a node did not answer, 2 wrong settings.`;
}
