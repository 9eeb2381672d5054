import { connect, type Room } from "../../client/index.js";
import { byId, element } from "./elements.js";
import type { Line } from "./line.js";
import type { Said } from "./lobby.js";

const deadMs = 4000;
const patienceMs = 20_000;

export type Lobby = Room<{ said: Said }>;

/**
 * The proof: cuts the line, has a second visitor publish meanwhile, mends the line, and counts what arrives. It claims
 * nothing that it has not counted.
 */
export class CutDemo {
  readonly #button = byId("cut", HTMLButtonElement);
  readonly #steps = byId("steps", HTMLOListElement);
  readonly #line: Line;
  readonly #room: Lobby;
  readonly #url: string;
  /** What the second visitor published, by offset. */
  readonly #published: number[] = [];
  /** The offsets that came since the cut, each as often as it came. */
  readonly #came: number[] = [];
  #running = false;
  #wasReset = false;
  #backAt = 0;

  constructor(line: Line, room: Lobby, url: string) {
    this.#line = line;
    this.#room = room;
    this.#url = url;
    this.#button.addEventListener("click", () => void this.#run());
  }

  set live(live: boolean) {
    this.#button.disabled = !live || this.#running;
  }

  /** Called for every event of the room; says whether the page had missed it. */
  note(offset: number | undefined): boolean {
    if (!this.#running || offset === undefined) return false;
    this.#came.push(offset);
    return offset <= (this.#published.at(-1) ?? 0);
  }

  /** Called when the server said that continuity could not be kept. */
  noteReset(): void {
    this.#wasReset = true;
  }

  async #run(): Promise<void> {
    this.#running = true;
    this.live = false;
    this.#wasReset = false;
    this.#came.length = 0;
    this.#published.length = 0;
    this.#steps.replaceChildren();
    try {
      this.#step(`Cut at offset ${this.#room.position?.offset ?? "–"}. The line is dead.`);
      this.#line.cut();
      await Promise.all([this.#publishMeanwhile(), pause(deadMs)]);
      this.#step("The line is back.");
      this.#backAt = performance.now();
      this.#line.mend();
      await this.#caughtUp();
      this.#judge();
    } catch (error) {
      this.#step(`That did not work: ${error instanceof Error ? error.message : error}`, "bad");
    } finally {
      this.#line.mend();
      this.#running = false;
      this.live = this.#room.state.status === "joined";
    }
  }

  async #publishMeanwhile(): Promise<void> {
    const visitor = connect(this.#url);
    const step = this.#step("A second visitor publishes…");
    try {
      const room = visitor.room<{ said: Said }>(this.#room.name);
      for (const text of ["First while you were away", "Second while you were away", "Third while you were away"]) {
        const position = await room.publish("said", { text, name: "Second visitor" });
        if (position !== undefined) this.#published.push(position.offset);
        step.textContent = `A second visitor published ${this.#published.length} of 3 events.`;
        await pause(deadMs / 6);
      }
    } finally {
      visitor.close();
    }
  }

  /** Resolves once the room has come past everything that was published meanwhile. */
  async #caughtUp(): Promise<void> {
    const last = this.#published.at(-1) ?? 0;
    const until = performance.now() + patienceMs;
    while (this.#room.state.status !== "joined" || (this.#room.position?.offset ?? 0) < last) {
      if (performance.now() > until) throw new Error("the page did not come back in time");
      await pause(20);
    }
  }

  #judge(): void {
    const took = Math.round(performance.now() - this.#backAt);
    const last = this.#published.at(-1) ?? 0;
    const missed = this.#came.filter((offset) => offset <= last);
    const inOrder = this.#came.every((offset, index) => index === 0 || offset > (this.#came[index - 1] ?? 0));
    const lost = this.#published.filter((offset) => !missed.includes(offset));
    if (this.#wasReset) {
      this.#step("The log no longer reached back so far. The page was told so, and loaded anew what there is.", "warn");
    } else if (lost.length > 0) this.#step(`Lost: ${lost.join(", ")}. That should not be.`, "bad");
    else if (!inOrder) this.#step(`Out of order or twice: ${this.#came.join(", ")}. That should not be.`, "bad");
    else {
      const range = `offsets ${missed[0]} to ${last}`;
      this.#step(
        `Caught up in ${took} ms: all ${missed.length} missed events are here, ${range}, in order, each once.`,
        "good",
      );
    }
  }

  #step(text: string, kind = ""): HTMLElement {
    const step = element("li", kind, text);
    this.#steps.append(step);
    return step;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
