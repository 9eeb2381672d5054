import type { Host } from "./address.js";
import { type Connection, Refused } from "./connection.js";
import type { Subscribing } from "./interest.js";
import { readRedirect, slotOf } from "./slots.js";

const NOWHERE: Host = { host: "", port: 0 };

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
    await Promise.all(
      [...slots].map(async ([slot, group]) => {
        const error = await refusalOf(connection, slot, connection.send(command, group.map(nameOf)));
        if (error !== undefined) for (const room of group) refused.set(room, error);
      }),
    );
    return refused;
  };

/** What the server refused it with; rejects where the connection does not do. */
async function refusalOf(connection: Connection, slot: number, call: Promise<unknown>): Promise<Refused | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    // A Cluster takes subscriptions away unasked, which ioredis may take for an answer: those that follow then go to
    // the wrong commands.
    const redirect = readRedirect(error.reply, NOWHERE);
    if (redirect !== undefined && redirect.slot !== slot) connection.destroy("answers are out of step");
    return error;
  }
}
