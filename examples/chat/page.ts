import { connect, type Position, type RoomEvent } from "roomcast/client";

declare const ROOMCAST_URL: string; // put in by server.ts
type Said = { readonly name: string; readonly text: string };

const room = connect(ROOMCAST_URL).room<{ said: Said }>("chat:lobby");
const lines = document.getElementById("lines") as HTMLElement;
const [name, text] = ["name", "text"].map((id) => document.getElementById(id)) as [HTMLInputElement, HTMLInputElement];

function lineOf({ data, at }: RoomEvent<Said>): HTMLElement {
  const line = document.createElement("li");
  // As text, never as HTML: it comes from strangers.
  line.textContent = `${new Date(at).toLocaleTimeString()} ${data.name}: ${data.text}`;
  return line;
}

/** Puts the last of what was said up to `position` above what comes after it. */
async function showPast(position: Position | undefined): Promise<void> {
  if (position === undefined) return;
  const { events } = await room.history({ before: { ...position, offset: position.offset + 1 }, limit: 50 });
  lines.prepend(...events.map(lineOf));
}

room.on("said", (event) => lines.append(lineOf(event)));
// The server was started anew, or we were away for more than it remembers.
room.onReset(({ position }) => {
  lines.replaceChildren();
  void showPast(position);
});
document.forms[0]?.addEventListener("submit", (event) => {
  event.preventDefault();
  void room.publish("said", { name: name.value, text: text.value });
  text.value = "";
});
await room.joined;
await showPast(room.position);
