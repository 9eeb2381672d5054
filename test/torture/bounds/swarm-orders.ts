/** What the processes of row 25 are asked, and what they answer. */

export type SwarmOrder =
  /** So many clients join `roomsEach` rooms each, all of different names, and publish once in each; they stay there. */
  | {
      readonly type: "rooms";
      readonly port: number;
      readonly first: number;
      readonly clients: number;
      readonly roomsEach: number;
      readonly secret: string;
    }
  /** They leave: every second one room by room, the others by ending. */
  | { readonly type: "leave" }
  /** So many clients after each other, some at a time, each another user from another address, publish once and go. */
  | {
      readonly type: "users";
      readonly port: number;
      readonly first: number;
      readonly count: number;
      readonly atOnce: number;
      readonly secret: string;
    }
  | { readonly type: "tally" };

/** Counted since the process began. */
export type Tally = {
  joined: number;
  left: number;
  published: number;
  welcomed: number;
  /** Connections that ended without being meant to. */
  lost: number;
  /** Errors, by their text, of which only the first few are kept. */
  errors: number;
  readonly examples: string[];
};
