/** A server in a process of its own whose hooks judge the values that reach them. */
import { fileURLToPath } from "node:url";
import type { SettingsInput } from "../../../server/server.js";
import type { Scope } from "../../support/services/scope.js";
import { Part } from "../part.js";

const program = fileURLToPath(new URL("./judge-program.js", import.meta.url));

export type JudgeOrder = { readonly type: "start"; readonly settings: SettingsInput } | { readonly type: "judged" };

export type Judged = {
  /** How many values the hooks were shown, and what was not plain in them. */
  readonly looked: number;
  readonly oddCount: number;
  readonly odd: readonly string[];
  readonly prototypesAreWhole: boolean;
  /** How long the event loop was held at the most since this was asked last, in milliseconds. */
  readonly stallMs: number;
  readonly rssBytes: number;
  readonly connections: number;
};

export class Judge {
  readonly #part: Part<JudgeOrder>;
  readonly port: number;

  private constructor(part: Part<JudgeOrder>, port: number) {
    this.#part = part;
    this.port = port;
  }

  static async start(scope: Scope, settings: SettingsInput): Promise<Judge> {
    const part = new Part<JudgeOrder>(scope, program);
    return new Judge(part, await part.ask<number>({ type: "start", settings }));
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Rejects where the process has ended. */
  judged(): Promise<Judged> {
    return this.#part.ask({ type: "judged" });
  }
}
