import { byId, element } from "./elements.js";
import { hueOf } from "./names.js";

/** What is published in the demo room. It comes from strangers: nothing about it is taken for granted. */
export type Said = { readonly text: string; readonly name: string };

export type SaidEvent = { readonly offset?: number | undefined; readonly data: unknown; readonly at: number };

const keptRows = 200;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** The list of what was said, in the order of the log. */
export class LobbyView {
  readonly #list = byId("log", HTMLOListElement);

  /** Events of the log from before this page came are put in without a stir. */
  add(event: SaidEvent, how: "old" | "new" | "missed"): void {
    const row = rowOf(event);
    row.classList.add(how);
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    this.#list.append(row);
    while (this.#list.childElementCount > keptRows) this.#list.firstElementChild?.remove();
    if (atEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  clear(): void {
    this.#list.replaceChildren();
  }
}

function rowOf({ offset, data, at }: SaidEvent): HTMLElement {
  const { text, name } = saidOf(data);
  const row = element("li", "");
  const words = element("span", "words");
  const who = element("span", "name", name);
  who.style.color = `light-dark(${hueOf(name)}, color-mix(in oklab, ${hueOf(name)} 45%, white))`;
  words.append(who, text);
  const time = document.createElement("time");
  time.dateTime = new Date(at).toISOString();
  time.textContent = clock.format(at);
  row.append(element("span", "at", offset === undefined ? "" : String(offset)), words, time);
  return row;
}

function saidOf(data: unknown): Said {
  const { text, name } = (typeof data === "object" && data !== null ? data : {}) as Partial<Said>;
  return {
    text: typeof text === "string" ? text.slice(0, 1000) : JSON.stringify(data ?? null).slice(0, 1000),
    name: typeof name === "string" ? name.slice(0, 40) : "somebody",
  };
}
