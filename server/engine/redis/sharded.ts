import type { Connection } from "./connection.js";
import { Refused } from "./connection.js";
import type { Subscribing } from "./interest.js";
import { slotOf } from "./slots.js";

/** Sharded pub/sub: what one command subscribes has to be in one slot, so there is a command for each slot. */
export const bySlot =
  (nameOf: (room: string) => string): Subscribing =>
  async (connection, isOn, rooms) => {
    const slots = new Map<number, string[]>();
    for (const room of rooms) {
      const slot = slotOf(nameOf(room));
      const others = slots.get(slot);
      if (others === undefined) slots.set(slot, [room]);
      else others.push(room);
    }
    const refused = new Map<string, Error>();
    const command = isOn ? "ssubscribe" : "sunsubscribe";
    await Promise.all([...slots.values()].map((group) => subscribeGroup(connection, command, group, nameOf, refused)));
    return refused;
  };

async function subscribeGroup(
  connection: Connection,
  command: string,
  rooms: readonly string[],
  nameOf: (room: string) => string,
  refused: Map<string, Error>,
): Promise<void> {
  try {
    await connection.send(command, rooms.map(nameOf));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    for (const room of rooms) refused.set(room, error);
  }
}
