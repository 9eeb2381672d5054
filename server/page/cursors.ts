import { byId, element } from "./elements.js";
import { hueOf } from "./names.js";

/** Where somebody's pointer is, from 0 to 1 across and down the pad. */
export type Spot = { readonly id: string; readonly name: string; readonly x: number; readonly y: number };

const periodMs = 1000 / 30;
const goneAfterMs = 4000;

/** The pad: shows everybody's pointer, and tells of one's own at most 30 times a second. */
export class CursorPad {
  readonly #pad = byId("pad", HTMLElement);
  readonly #hint = byId("pad-hint", HTMLElement);
  readonly #rate = byId("rate", HTMLElement);
  readonly #cursors = new Map<string, { readonly shown: HTMLElement; seenAt: number }>();
  readonly #publish: (x: number, y: number) => void;
  #at = { x: 0.5, y: 0.5 };
  #toSend = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #count = 0;

  constructor(publish: (x: number, y: number) => void) {
    this.#publish = publish;
    this.#pad.addEventListener("pointermove", (event) => this.#pointed(event));
    this.#pad.addEventListener("pointerdown", (event) => this.#pointed(event));
    this.#pad.addEventListener("keydown", (event) => this.#keyed(event));
    setInterval(() => this.#everySecond(), 1000);
  }

  show(data: unknown): void {
    this.#count++;
    const spot = spotOf(data);
    if (spot === undefined) return;
    let cursor = this.#cursors.get(spot.id);
    if (cursor === undefined) {
      if (this.#cursors.size >= 50) return;
      const shown = element("div", "cursor");
      shown.style.setProperty("--hue", hueOf(spot.name));
      shown.append(element("span", "", spot.name));
      this.#pad.append(shown);
      cursor = { shown, seenAt: 0 };
      this.#cursors.set(spot.id, cursor);
      this.#hint.hidden = true;
    }
    cursor.seenAt = Date.now();
    const { clientWidth, clientHeight } = this.#pad;
    cursor.shown.style.transform = `translate(${spot.x * clientWidth}px, ${spot.y * clientHeight}px)`;
    // Near the right edge the name stands on the left.
    cursor.shown.classList.toggle("leftward", spot.x > 0.65);
  }

  #pointed(event: PointerEvent): void {
    const box = this.#pad.getBoundingClientRect();
    this.#moved((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  #keyed(event: KeyboardEvent): void {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.#moved(this.#at.x + (step[0] ?? 0) * 0.03, this.#at.y + (step[1] ?? 0) * 0.05);
  }

  /** The first move goes out at once, the later ones on a beat, and only the last position of each beat. */
  #moved(x: number, y: number): void {
    this.#at = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
    this.#toSend = true;
    if (this.#timer !== undefined) return;
    this.#send();
    this.#timer = setInterval(() => this.#send(), periodMs);
  }

  #send(): void {
    if (this.#toSend) this.#publish(this.#at.x, this.#at.y);
    else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#toSend = false;
  }

  #everySecond(): void {
    this.#rate.textContent = `${this.#count} events/s`;
    this.#count = 0;
    for (const [id, { shown, seenAt }] of this.#cursors) {
      if (Date.now() - seenAt < goneAfterMs) continue;
      shown.remove();
      this.#cursors.delete(id);
    }
    this.#hint.hidden = this.#cursors.size > 0;
  }
}

function spotOf(data: unknown): Spot | undefined {
  const { id, name, x, y } = (typeof data === "object" && data !== null ? data : {}) as Partial<Spot>;
  if (typeof id !== "string" || typeof name !== "string" || !isShare(x) || !isShare(y)) return undefined;
  return { id, name: name.slice(0, 40), x, y };
}

function isShare(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 1;
}
