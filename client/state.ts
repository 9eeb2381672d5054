/** What the client is about. */
export type ClientState =
  /** `attempt` counts from 1 since the last connection that held. */
  | { readonly status: "connecting"; readonly attempt: number }
  /** `session` is a secret: who has it can resume the session. `user` is missing for an anonymous client. */
  | { readonly status: "connected"; readonly session: string; readonly user?: string; readonly node: string }
  /** Tries again in `delayMs`. `code` is the WebSocket close code, 1006 for a connection that was lost. */
  | {
      readonly status: "waiting";
      readonly attempt: number;
      readonly delayMs: number;
      readonly code: number;
      readonly reason: string;
    }
  /** For good: 1000 when the application closed it, else the server's code. */
  | { readonly status: "closed"; readonly code: number; readonly reason: string };
