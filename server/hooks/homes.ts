/** Which node keeps count of a room: by rendezvous hashing over the nodes that are there. */

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** Spreads what two hashes have in common over all bits. */
function mixed(a: number, b: number): number {
  let hash = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export class Homes {
  #nodes: readonly { readonly id: string; readonly hash: number }[] = [];

  /** Takes the instances that are there now; whether that is a change. */
  update(ids: readonly string[]): boolean {
    const sorted = [...ids].sort();
    if (sorted.join() === this.#nodes.map(({ id }) => id).join()) return false;
    this.#nodes = sorted.map((id) => ({ id, hash: hashOf(id) }));
    return true;
  }

  /** `undefined` where nobody is there. */
  of(room: string): string | undefined {
    const hash = hashOf(room);
    let best: string | undefined;
    let most = -1;
    for (const node of this.#nodes) {
      const score = mixed(hash, node.hash);
      if (score > most) {
        most = score;
        best = node.id;
      }
    }
    return best;
  }
}
