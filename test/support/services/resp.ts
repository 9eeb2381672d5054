import { once } from "node:events";
import { connect } from "node:net";

export type Reply = string | number | null | Reply[];
export type Word = string | number | Buffer;

/** An error that Redis answered with. */
export class RedisError extends Error {}

const PATIENCE_MS = 10_000;

/**
 * Sends commands to a Redis on loopback over a connection of their own, and returns their answers. It is not the client
 * that the product uses, so that both cannot be wrong in the same way. Throws RedisError for an error in an answer.
 */
export async function redisCommands(port: number, ...commands: Word[][]): Promise<Reply[]> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`Redis on port ${port} does not answer`)));
  try {
    await once(socket, "connect");
    for (const command of commands) socket.write(encode(command));
    let received = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk]);
      const replies = readAll(received);
      if (replies.length >= commands.length) return replies.map(orThrow);
    }
    throw new Error(`Redis on port ${port} closed the connection`);
  } finally {
    socket.destroy();
  }
}

function encode(words: readonly Word[]): Buffer {
  const parts = words.map((word) => (Buffer.isBuffer(word) ? word : Buffer.from(String(word))));
  const framed = parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from("\r\n")]);
  return Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...framed]);
}

type Answer = Reply | RedisError | Answer[];

function orThrow(answer: Answer): Reply {
  if (answer instanceof RedisError) throw answer;
  return Array.isArray(answer) ? answer.map(orThrow) : answer;
}

function readAll(bytes: Buffer): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const read = readOne(bytes, at);
    if (read === undefined) break;
    answers.push(read.answer);
    at = read.next;
  }
  return answers;
}

/** The answer that starts at `at`, and where the one after it starts; undefined when it is not all there yet. */
function readOne(bytes: Buffer, at: number): { answer: Answer; next: number } | undefined {
  const end = bytes.indexOf("\r\n", at);
  if (end === -1) return undefined;
  const line = bytes.toString("utf8", at + 1, end);
  const next = end + 2;
  switch (String.fromCharCode(bytes[at] ?? 0)) {
    case "+":
      return { answer: line, next };
    case "-":
      return { answer: new RedisError(line), next };
    case ":":
      return { answer: Number(line), next };
    case "$":
      return readText(bytes, next, Number(line));
    case "*":
      return readList(bytes, next, Number(line));
    default:
      throw new Error(`not an answer of Redis: ${line}`);
  }
}

function readText(bytes: Buffer, at: number, length: number): { answer: Answer; next: number } | undefined {
  if (length < 0) return { answer: null, next: at };
  if (bytes.length < at + length + 2) return undefined;
  return { answer: bytes.toString("utf8", at, at + length), next: at + length + 2 };
}

function readList(bytes: Buffer, at: number, length: number): { answer: Answer; next: number } | undefined {
  if (length < 0) return { answer: null, next: at };
  const answers: Answer[] = [];
  let next = at;
  while (answers.length < length) {
    const read = readOne(bytes, next);
    if (read === undefined) return undefined;
    answers.push(read.answer);
    next = read.next;
  }
  return { answer: answers, next };
}
