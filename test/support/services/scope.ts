/** Whatever ends the resources started under it: a test's context, or a program's own list. */
export interface Scope {
  after(end: () => Promise<void>): void;
}
