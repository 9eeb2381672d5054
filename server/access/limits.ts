/** What one session is held to. */
export type SessionLimits = {
  /** The longest frame, in bytes. */
  readonly maxFrameBytes: number;
  /** The most rooms joined at once. */
  readonly maxRooms: number;
  /** The most requests without an answer. */
  readonly maxRequests: number;
  /** The most frames in one turn of the event loop. */
  readonly maxFramesPerTurn: number;
  /** How many bytes may wait for a client that does not read, before its rooms' `slow` rule holds. */
  readonly maxBackpressureBytes: number;
};
