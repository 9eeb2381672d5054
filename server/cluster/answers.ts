/** What the sessions of a user answered, as nodes tell each other. Pure. */
import { jsonBytes, LIST_BYTES } from "./pages.js";

/** What a session answered, or why there is no answer of it. */
export type Answer =
  | { readonly data: unknown }
  | { readonly error: { readonly code: string; readonly message: string } };

/** A session's answer as its node has it: data as JSON text. */
export type Reply = { readonly json: string } | Extract<Answer, { readonly error: unknown }>;
/** Whose it is: a session's id. */
export type SessionReply = readonly [session: string, reply: Reply];

/** An answer in a note: data as JSON text, so that it may nest as deep as data may; or a code and words. */
type Written = readonly [session: string, json: string] | readonly [session: string, code: string, message: string];

/** The most sessions of one node that are asked. */
export const MOST_ASKED = 100;
/** What each of the answers behind one is sure to get, in bytes: enough for an error without words. */
const SURE_BYTES = 130;

const bytesOf = (written: Written): number => written.reduce((bytes, text) => bytes + jsonBytes(text) + 1, 2);

/** The answers as a list that fits a note; those that do not are told to be `too_large`. At most `MOST_ASKED`. */
export function writeAnswers(replies: readonly SessionReply[]): readonly Written[] {
  let left = LIST_BYTES;
  return replies.slice(0, MOST_ASKED).map(([session, reply], index, all) => {
    const whole: Written = "json" in reply ? [session, reply.json] : [session, reply.error.code, reply.error.message];
    const room = left - (all.length - 1 - index) * SURE_BYTES;
    const written: Written = bytesOf(whole) <= room ? whole : [session, "too_large", ""];
    left -= bytesOf(written);
    return written;
  });
}

function readAnswer(entry: unknown): readonly [session: string, answer: Answer] | undefined {
  if (!Array.isArray(entry) || !entry.every((text) => typeof text === "string")) return undefined;
  const [session, first, message] = entry as string[];
  if (session === undefined || first === undefined) return undefined;
  if (message !== undefined) return [session, { error: { code: first, message: message || wordsFor(first) } }];
  try {
    return [session, { data: JSON.parse(first) }];
  } catch {
    return undefined;
  }
}

const wordsFor = (code: string): string =>
  code === "too_large" ? "the answer is larger than nodes tell each other" : "";

/** The answers in the lists of all nodes, one for each session: of one that is open on two connections the better one. */
export function readAnswers(listed: readonly unknown[]): readonly Answer[] {
  const answers = new Map<string, Answer>();
  for (const entry of listed) {
    const read = readAnswer(entry);
    if (read === undefined) continue;
    const [session, answer] = read;
    const other = answers.get(session);
    if (other === undefined || rank(answer) > rank(other)) answers.set(session, answer);
  }
  return [...answers.values()];
}

/** Data is better than an error, and any other error than that the session could not be asked. */
const rank = (answer: Answer): number => ("data" in answer ? 2 : answer.error.code === "unavailable" ? 0 : 1);
