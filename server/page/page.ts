import { type ClientState, connect, RoomcastError } from "../../client/index.js";
import { CursorPad, type Spot } from "./cursors.js";
import { CutDemo } from "./cut.js";
import { byId } from "./elements.js";
import { Line } from "./line.js";
import { LobbyView, type Said, type SaidEvent } from "./lobby.js";
import { randomName } from "./names.js";
import { snippetFor } from "./snippet.js";

const url = new URL("v1/socket", document.baseURI).href;
const me = randomName();
const line = new Line();
// A fragment stays in the browser: no server and no log gets to see the token.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const client = connect(url, { transport: line, ...(token !== null && { token }) });

const CURE =
  "A token that lets this page in: roomcast token --room 'demo:*=join,publish,history' --room 'cursor:*=join,publish'. Add it to this page's address as #token=… and reload.";

/** The room with history: what was said, and where the page is in it. */
function startLobby(): CutDemo {
  const room = client.room<{ said: Said }>("demo:lobby");
  const view = new LobbyView();
  const cut = new CutDemo(line, room, url);
  // What comes while the log is being read is shown after it.
  let waiting: SaidEvent[] | undefined = [];
  let shown = 0;

  const show = (event: SaidEvent, how: "old" | "new" | "missed"): void => {
    if (event.offset !== undefined && event.offset <= shown) return;
    shown = event.offset ?? shown;
    view.add(event, how);
  };
  const load = async (): Promise<void> => {
    waiting = [];
    await room.join();
    const { events } = await room.history({ limit: 50 });
    view.clear();
    shown = 0;
    for (const event of events) if (event.event === "said") show(event, "old");
    for (const event of waiting) show(event, "new");
    waiting = undefined;
  };
  const showPosition = (): void => {
    byId("epoch", HTMLElement).textContent = room.position?.epoch.slice(0, 8) ?? "–";
    byId("offset", HTMLElement).textContent = String(room.position?.offset ?? "–");
  };

  room.on("said", (event) => {
    const missed = cut.note(event.offset);
    if (waiting === undefined) show(event, missed ? "missed" : "new");
    else waiting.push(event);
  });
  room.onAny(showPosition);
  room.onReset(() => {
    cut.noteReset();
    load().catch(report);
  });
  room.onState((state) => {
    showPosition();
    cut.live = state.status === "joined";
  });
  load().catch(report);
  startSaying((text) => room.publish("said", { text, name: me }));
  return cut;
}

function startSaying(publish: (text: string) => Promise<unknown>): void {
  const input = byId("text", HTMLInputElement);
  byId("say", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text !== "") publish(text).catch(report);
    input.value = "";
    input.focus();
  });
}

/** The room for what is worthless a moment later. */
function startCursors(): void {
  const room = client.room<{ moved: Spot }>("cursor:demo");
  const id = Math.random().toString(36).slice(2, 10);
  const pad = new CursorPad((x, y) => room.send("moved", { id, name: me, x: round(x), y: round(y) }));
  room.on("moved", (event) => pad.show(event.data));
}

function round(share: number): number {
  return Math.round(share * 10_000) / 10_000;
}

function showState(state: ClientState): void {
  const pill = byId("state", HTMLElement);
  pill.dataset["state"] = state.status === "connected" ? "live" : state.status;
  byId("state-text", HTMLElement).textContent = {
    connecting: "Connecting…",
    connected: "Live",
    waiting: "Reconnecting…",
    closed: "Closed",
  }[state.status];
  if (state.status !== "closed") return;
  notice(`The node refused the connection (${state.code}). ${CURE}`);
}

function startCopying(): void {
  const button = byId("copy", HTMLButtonElement);
  const code = byId("snippet", HTMLElement);
  code.textContent = snippetFor(location.origin);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent ?? "");
      button.textContent = "Copied";
    } catch {
      // Without leave to write, or without HTTPS: the text is selected instead.
      globalThis.getSelection()?.selectAllChildren(code);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  });
}

function report(error: unknown): void {
  // Why the client is closed has been said already.
  if (client.state.status === "closed") return;
  const isForbidden = error instanceof RoomcastError && error.code === "forbidden";
  notice((error instanceof Error ? error.message : String(error)) + (isForbidden ? `. ${CURE}` : ""));
}

function notice(text: string): void {
  const shown = byId("notice", HTMLElement);
  shown.hidden = false;
  shown.textContent = text;
}

byId("me", HTMLElement).textContent = me;
client.on("state", showState);
showState(client.state);
startLobby();
startCursors();
startCopying();
