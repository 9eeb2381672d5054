/** What the subject says that JetStream wants a command acknowledged at. */

export type AckSubject = {
  /** How often it was given out, this time included. */
  readonly tries: number;
  readonly seq: number;
  /** When it came into the stream, in nanoseconds since 1970: more digits than a number has. */
  readonly time: string;
};

/** `$JS.ACK`, with the domain and the account's hash where the server is newer, then where it was given out. */
const OLD_PARTS = 9;
const NEW_PARTS = 11;

/** `undefined` where it is no such subject. */
export function parseAck(subject: string): AckSubject | undefined {
  const parts = subject.split(".");
  if (parts[0] !== "$JS" || parts[1] !== "ACK" || parts.length < OLD_PARTS) return undefined;
  const from = parts.length >= NEW_PARTS ? 6 : 4;
  const [tries = "", seq = "", , time = ""] = parts.slice(from);
  if (![tries, seq, time].every((digits) => /^\d+$/.test(digits))) return undefined;
  return { tries: Number(tries), seq: Number(seq), time };
}
