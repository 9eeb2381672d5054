/** What the device tells of the network and of being looked at. Node and React Native tell nothing. */
export interface WakeEvents {
  /** The network is said to be back, or the page is seen again. */
  readonly awake: () => void;
  /** The network is said to be gone. */
  readonly offline: () => void;
}

type Source = Partial<Pick<EventTarget, "addEventListener">>;

/** Listens until the returned function is called. */
export function watchWake(events: WakeEvents): () => void {
  const { document } = globalThis as { document?: Source & { readonly visibilityState?: string } };
  const seen = () => {
    if (document?.visibilityState !== "hidden") events.awake();
  };
  const stop = new AbortController();
  const listen = (source: Source | undefined, type: string, listener: () => void) =>
    source?.addEventListener?.(type, listener, stop);
  listen(globalThis, "online", events.awake);
  listen(globalThis, "offline", events.offline);
  listen(globalThis, "pageshow", seen);
  listen(document, "visibilitychange", seen);
  return () => stop.abort();
}
