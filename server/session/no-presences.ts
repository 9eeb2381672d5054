/** In the place of presence, until it is wired: nobody is there. */
import type { Presences, Roster, Seat } from "./presence.js";

const seat: Seat = { update: () => {}, leave: () => {}, lose: () => {} };
const roster: Roster = {
  topic: "|members|",
  ready: () => undefined,
  enter: () => seat,
  view: () => ({ members: undefined, count: undefined }),
  addReader: () => {},
  removeReader: () => {},
  release: () => {},
};

export const noPresences: Presences = {
  hold: () => roster,
  page: async () => ({ members: [], count: 0, anonymous: 0 }),
};
