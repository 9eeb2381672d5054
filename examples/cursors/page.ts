import { connect } from "roomcast/client";

declare const ROOMCAST_URL: string; // put in by server.ts
/** `x` and `y` are shares of the window, from 0 to 1. */
type Moved = { readonly id: string; readonly x: number; readonly y: number };

const PER_SECOND = 30;
const GONE_MS = 10_000;
const id = Math.random().toString(36).slice(2, 8);
const room = connect(ROOMCAST_URL).room<{ moved: Moved }>("cursors:board");
const cursors = new Map<string, { readonly element: HTMLElement; seenAt: number }>();

function cursorOf(who: string): { readonly element: HTMLElement; seenAt: number } {
  let cursor = cursors.get(who);
  if (cursor === undefined) {
    cursor = { element: document.createElement("span"), seenAt: 0 };
    cursor.element.className = "cursor";
    // As text, never as HTML: it comes from strangers.
    cursor.element.textContent = who.slice(0, 8);
    cursor.element.style.color = `hsl(${Number.parseInt(who, 36) % 360} 80% 50%)`;
    cursors.set(who, cursor);
    document.body.append(cursor.element);
  }
  return cursor;
}

room.on("moved", ({ data }) => {
  if (data.id === id) return;
  const cursor = cursorOf(data.id);
  cursor.seenAt = performance.now();
  cursor.element.style.translate = `${data.x * innerWidth}px ${data.y * innerHeight}px`;
});

// Where the pointer is goes out at each tick, and only if it has moved: what was in between is worth nothing.
let spot: { readonly x: number; readonly y: number } | undefined;
addEventListener("pointermove", ({ clientX, clientY }) => {
  spot = { x: clientX / innerWidth, y: clientY / innerHeight };
});
setInterval(() => {
  if (spot !== undefined) room.send("moved", { id, ...spot });
  spot = undefined;
}, 1000 / PER_SECOND);

setInterval(() => {
  for (const [who, { element, seenAt }] of cursors) {
    if (performance.now() - seenAt < GONE_MS) continue;
    element.remove();
    cursors.delete(who);
  }
}, 1000);
