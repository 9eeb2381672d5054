/**
 * The application could not be asked: its circuit is open, no connection came about, it took too long, it failed
 * (5xx), or too many questions wait already. Another try later may succeed; what was decided earlier may still serve.
 */
export class Unreachable extends Error {
  /** When another try makes sense, in milliseconds. */
  readonly retryMs: number;

  constructor(message: string, retryMs: number, options?: ErrorOptions) {
    super(message, options);
    this.name = "Unreachable";
    this.retryMs = retryMs;
  }
}
