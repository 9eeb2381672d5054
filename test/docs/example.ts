/** An example, run as its first lines say. */
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../support/eventually.js";

export const root = fileURLToPath(new URL("../../../", import.meta.url));
/** Where screenshots go, to be looked at: a folder of its own for each run where none is named. */
export const screenshots = process.env["ROOMCAST_SCREENSHOTS"] ?? mkdtempSync(join(tmpdir(), "roomcast-examples-"));
export const TEST_MS = 120_000;

/** An example in a process of its own, started as its first line says, on free ports. */
export class Example {
  readonly lines: string[] = [];
  readonly exited: Promise<number | null>;
  readonly #kill: () => void;
  errors = "";

  constructor(t: TestContext, file: string, port = 0) {
    const env = { ...process.env, PORT: "0", ROOMCAST_PORT: String(port) };
    const child = spawn(process.execPath, [`dist/examples/${file}`], { cwd: root, env });
    createInterface(child.stdout).on("line", (line) => this.lines.push(line));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
    this.exited = new Promise((resolve) => child.once("close", resolve));
    this.#kill = () => child.kill("SIGTERM");
    t.after(async () => {
      child.kill("SIGKILL");
      await this.exited;
    });
  }

  /** The address of its page, once it has said it. */
  async url(): Promise<string> {
    let url: string | undefined;
    await eventually(() => {
      url = /at (http:\S+)/.exec(this.lines.join("\n"))?.[1];
      return url !== undefined;
    }, "the example does not say where its page is");
    return url as string;
  }

  stop(): Promise<number | null> {
    this.#kill();
    return this.exited;
  }
}
