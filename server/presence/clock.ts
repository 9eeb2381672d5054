/** Time, so that tests can have their own. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  /** Does it after so many milliseconds, unless the answer is called before. It keeps no process alive. */
  after(ms: number, act: () => void): () => void;
}

export const realClock: Clock = {
  now: () => performance.now(),
  after: (ms, act) => {
    const timer = setTimeout(act, ms).unref();
    return () => clearTimeout(timer);
  },
};
