import { connect, type Socket } from "node:net";

/** A command as Redis got it, one character a byte (latin1). */
export type Command = readonly string[];

const ESCAPES: { readonly [letter: string]: string } = { n: "\n", r: "\r", t: "\t", a: "\x07", b: "\b" };

/** The words of a line of MONITOR; `undefined` where a script ran the command, or where it is no such line. */
export function commandOf(line: string): Command | undefined {
  const [, from, quoted] = /^\+[0-9.]+ \[\d+ ([^\]]*)\] (.*)$/s.exec(line) ?? [];
  if (from === undefined || quoted === undefined || from === "lua") return undefined;
  const words = quoted.match(/"(?:[^"\\]|\\.)*"/gs) ?? [];
  return words.map((word) =>
    word.slice(1, -1).replace(/\\(x[0-9a-f]{2}|.)/gs, (_whole, code: string) => {
      if (code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
      return ESCAPES[code] ?? code;
    }),
  );
}

/**
 * Watches what commands a Redis gets: so that what a node is held against sends the very same bytes, whatever the node's
 * version.
 */
export class Monitor {
  readonly #socket: Socket;
  #text = "";
  readonly commands: Command[] = [];

  /** Resolves once it watches. */
  static open(port: number): Promise<Monitor> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.once("error", reject);
      socket.once("data", () => resolve(new Monitor(socket)));
      socket.write("MONITOR\r\n");
    });
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1").on("data", (part: string) => this.#read(part));
  }

  #read(part: string): void {
    const lines = (this.#text + part).split("\r\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) {
      const command = commandOf(line);
      if (command !== undefined) this.commands.push(command);
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
