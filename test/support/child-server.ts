/** A server in a process of its own, and clients who must not notice what others do to it. */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { SettingsInput } from "../../server/server.js";
import { RoomRun } from "./room-run.js";
import type { Report } from "./server-program.js";
import { type ConnectOptions, clientCodecs, WsClient } from "./ws-client.js";

const program = fileURLToPath(new URL("./server-program.js", import.meta.url));
/** The room of those who behave. */
const ROOM = "safe:1";

type Bystander = { readonly client: WsClient; readonly run: RoomRun };

export class ChildServer {
  readonly child: ChildProcess;
  readonly port: number;
  readonly #bystanders: Bystander[] = [];
  #publisher: WsClient | undefined;
  #published = 0;

  private constructor(child: ChildProcess, port: number) {
    this.child = child;
    this.port = port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it, with a reader of each codec in a room, and someone who publishes there. */
  static async start(t: TestContext, settings: SettingsInput = {}, hooks = false): Promise<ChildServer> {
    const child = fork(program, [JSON.stringify(settings), hooks ? "hooks" : ""]);
    t.after(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    });
    const [{ port }] = (await once(child, "message")) as [{ port: number }];
    const server = new ChildServer(child, port);
    t.after(() => server.#end());
    await server.#begin();
    return server;
  }

  async #begin(): Promise<void> {
    this.#publisher = await WsClient.connect(this.url, { hello: { token: "publisher" } });
    for (const codec of clientCodecs) {
      const client = await WsClient.connect(this.url, { codec, hello: { token: "bystander" } });
      const run = new RoomRun(ROOM);
      client.watch((frame) => run.take(frame) || frame.type === "heartbeat");
      await client.ask("joined", { type: "join", room: ROOM });
      this.#bystanders.push({ client, run });
    }
  }

  #end(): void {
    this.#publisher?.end();
    for (const { client } of this.#bystanders) client.end();
  }

  connect(t: TestContext, options: ConnectOptions = {}): Promise<WsClient> {
    return WsClient.connect(this.url, options).then((client) => {
      t.after(() => client.end());
      return client;
    });
  }

  async report(): Promise<Report> {
    this.child.send("report");
    const [report] = (await once(this.child, "message")) as [Report];
    return report;
  }

  /** Publishes for the bystanders, without waiting. */
  publish(): void {
    this.#publisher?.send({ type: "publish", room: ROOM, event: "n", data: ++this.#published });
  }

  /** Holds that the process lives, and that those who behave are connected and have had every event, once, in order. */
  async unharmed(): Promise<void> {
    assert.deepEqual([this.child.exitCode, this.child.signalCode], [null, null], "the process has ended");
    this.publish();
    await this.#publisher?.ping();
    const numbers = Array.from({ length: this.#published }, (_, index) => index + 1);
    for (const { client, run } of this.#bystanders) {
      await client.until("every event", () => run.events.length >= this.#published);
      assert.deepEqual(run.data, numbers);
      assert.equal(client.closed, undefined);
      await client.ping();
    }
  }
}
