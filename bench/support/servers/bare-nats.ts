/** What a node on NATS is held against: what it publishes, through the client and nothing else. See `BareProcess`. */
import { connect, headers, type MsgHdrs } from "nats";
import type { Given } from "../bare-process.js";
import { answerParent } from "../child.js";
import { eventData } from "../event-data.js";
import { type PumpQuestion, pump } from "../pump.js";

type Publish = { readonly subject: string; readonly data: Buffer; readonly headers?: MsgHdrs };

const [, , url = "", way] = process.argv;
const connection = await connect({ servers: url });
const jetStream = connection.jetstream();
let given: { readonly history: readonly Publish[]; readonly bare: readonly Publish[] } = { history: [], bare: [] };

function read(sent: readonly (readonly string[])[]): Publish[] {
  return sent.map(([subject = "", data = "", ...lines]) => {
    const publish = { subject, data: Buffer.from(data, "latin1") };
    if (lines.length === 0) return publish;
    const own = headers();
    for (const line of lines) own.append(line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2));
    return { ...publish, headers: own };
  });
}

/** What goes out: the bytes as they are given, or text made of the event's data each time, as an application would. */
const value = eventData("json", 1);
const bytesOf = ({ data }: Publish): Buffer => (way === "json" ? Buffer.from(JSON.stringify(value)) : data);

answerParent((question: Given | PumpQuestion) => {
  if ("history" in question) {
    given = { history: read(question.history), bare: read(question.bare) };
    return {};
  }
  const { pump: load } = question;
  if (load.history) {
    return pump(load, (room) => {
      const publish = given.history[room] as Publish;
      const { subject, headers: own } = publish;
      return jetStream.publish(subject, bytesOf(publish), own === undefined ? {} : { headers: own });
    });
  }
  return pump(load, async (room) => {
    const publish = given.bare[room] as Publish;
    const { subject, headers: own } = publish;
    connection.publish(subject, bytesOf(publish), own === undefined ? {} : { headers: own });
  });
});
process.send?.({});
