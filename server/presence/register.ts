/** What a node says of a room's members, as bytes: in registers, and in the notes by which nodes tell each other. */

/** A session in a room, as one node says. */
export type Entry = {
  readonly session: string;
  /** `undefined`: it is nobody's; it is counted, and not listed. */
  readonly user: string | undefined;
  /** What is shown of it to the others, any JSON value. */
  readonly info: unknown;
  /** When it came to its node, in that node's Unix milliseconds: of a user's sessions the newest says the info. */
  readonly at: number;
  /** About how many bytes it takes, on the wire and here. */
  readonly bytes: number;
};

/**
 * Which of a node's words is the newer one: `life` rises each time the node begins with the room anew, `count` with every
 * register that it writes of it.
 */
export type Revision = { readonly life: number; readonly count: number };

export type Part = { readonly revision: Revision; readonly entries: readonly Entry[] };

/** A note: which node says what in which part. */
export type Note = { readonly node: string; readonly part: number; readonly said: Part };

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isName = (value: unknown): value is string => typeof value === "string" && value.length > 0;

const textOf = ({ session, user, info, at }: Entry): string => {
  const shown = info === undefined ? undefined : JSON.stringify(info);
  const head = `[${JSON.stringify(session)},${JSON.stringify(user ?? null)},${at}`;
  return shown === undefined ? `${head}]` : `${head},${shown}]`;
};

/** What an entry takes beside its names and its info, in bytes. */
const ENTRY_BYTES = 24;

/** An entry, weighed. */
export function entryOf(session: string, user: string | undefined, info: unknown, at: number): Entry {
  const shown = info === undefined ? "" : JSON.stringify(info);
  const bytes = ENTRY_BYTES + session.length + Buffer.byteLength(user ?? "") + Buffer.byteLength(shown);
  return { session, user, info, at, bytes };
}

/** JSON: a list of the revision's two numbers and the entries, each a list of session, user, time and info. */
export function writePart({ revision, entries }: Part): string {
  return `[${revision.life},${revision.count},[${entries.map(textOf).join()}]]`;
}

export const writeNote = ({ node, part, said }: Note): string => `[${JSON.stringify(node)},${part},${writePart(said)}]`;

/** `undefined` where it is not in that form: another version's, or damaged. */
export function readPart(text: string): Part | undefined {
  return partOf(parsed(text));
}

export function readNote(text: string): Note | undefined {
  const fields = parsed(text);
  if (!Array.isArray(fields)) return undefined;
  const [node, part, said] = fields;
  const read = partOf(said);
  return isName(node) && isCount(part) && read !== undefined ? { node, part, said: read } : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function partOf(fields: unknown): Part | undefined {
  if (!Array.isArray(fields)) return undefined;
  const [life, count, list] = fields;
  if (!isCount(life) || !isCount(count) || !Array.isArray(list)) return undefined;
  const entries: Entry[] = [];
  for (const each of list) {
    if (!Array.isArray(each)) return undefined;
    const [session, user, at, info] = each;
    if (!isName(session) || !(user === null || isName(user)) || !isCount(at)) return undefined;
    entries.push(entryOf(session, user ?? undefined, info, at));
  }
  return { revision: { life, count }, entries };
}
