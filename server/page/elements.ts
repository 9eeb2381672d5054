/** The element with this id, which index.html has. */
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`#${id}: expected ${kind.name}, got ${found?.tagName ?? "nothing"}`);
  return found;
}

/** A new element with a class and a text: never markup, since the text is somebody else's. */
export function element(tag: string, className: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  made.textContent = text;
  return made;
}
