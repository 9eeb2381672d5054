/** What the device tells of the network and of being looked at. Node and React Native tell nothing. */
export interface WakeEvents {
  /** The network is said to be back, or the page is seen again. */
  awake(): void;
  /** The network is said to be gone. */
  offline(): void;
}

type Source = Partial<Pick<EventTarget, "addEventListener" | "removeEventListener">>;

/** Listens until the returned function is called. */
export function watchWake(events: WakeEvents): () => void {
  const { document } = globalThis as { document?: Source & { readonly visibilityState?: string } };
  const seen = () => {
    if (document?.visibilityState !== "hidden") events.awake();
  };
  const subscriptions: [Source | undefined, string, () => void][] = [
    [globalThis, "online", () => events.awake()],
    [globalThis, "offline", () => events.offline()],
    [globalThis, "pageshow", seen],
    [document, "visibilitychange", seen],
  ];
  for (const [source, type, listener] of subscriptions) source?.addEventListener?.(type, listener);
  return () => {
    for (const [source, type, listener] of subscriptions) source?.removeEventListener?.(type, listener);
  };
}
