/**
 * The names that the queue and the stream of what happened have in Redis. What a backend writes or reads has a plain name;
 * everything else has that one as its hash tag, so that a Cluster keeps it in the same slot.
 */
export class QueueNames {
  /** The commands: a stream that backends write to. */
  readonly commands: string;
  /** What happened: a stream that backends read. */
  readonly records: string;

  constructor(namespace: string) {
    this.commands = `${namespace}:commands`;
    this.records = `${namespace}:records`;
  }

  /** The dead letters, a stream. */
  get dead(): string {
    return `{${this.commands}}:dead`;
  }

  /** Stands for a command's id that was written a moment ago. */
  written(id: string): string {
    return `{${this.commands}}:id:${id}`;
  }

  /** Stands for a command that was applied. */
  done(id: string): string {
    return `{${this.commands}}:done:${id}`;
  }

  /** Stands for a record's name that was appended a moment ago. */
  appended(key: string): string {
    return `{${this.records}}:key:${key}`;
  }

  /** Up to where a room's log is recorded. */
  last(room: string): string {
    return `{${this.records}}:last:${room}`;
  }

  /** The rooms in which something may be published and not recorded yet. */
  get marks(): string {
    return `{${this.records}}:marks`;
  }
}
