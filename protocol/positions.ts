/** Where a reader of a room is. A new epoch means that the log is not the same any more. */
export type Position = {
  readonly epoch: string;
  /** The last event seen. Offsets rise within an epoch, but need not be consecutive; 0 is before the first event. */
  readonly offset: number;
};

/** Whether both name the same place in the same log. */
export function samePosition(a: Position | undefined, b: Position | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.epoch === b.epoch && a.offset === b.offset);
}
