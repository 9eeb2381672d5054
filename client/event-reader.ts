/** Reads a stream of server-sent events. By hand, since `EventSource` sends no headers. */

/** What stands in a stream: events with their type, `message` where they name none, and comments, which have the type "". */
export type TakeEvent = (type: string, data: string) => void;

/** Resolves when the stream has ended; rejects when it was cut. */
export async function readEvents(body: ReadableStream<Uint8Array>, take: TakeEvent): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let type = "";
  let data = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop() as string;
    for (const line of lines) {
      const [, field, text = ""] = /^(.*?)(?:: ?(.*?))?\r?$/.exec(line) as unknown as [string, string, string?];
      if (field === "event") type = text;
      else if (field === "data") data += `\n${text}`;
      else if (!field && line[0] === ":") take("", "");
      else if (!field) {
        if (data) take(type || "message", data.slice(1));
        type = data = "";
      }
    }
  }
}
