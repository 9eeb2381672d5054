/** The first lines of an application, to copy; `url` is this node's. */
export const snippetFor = (url: string): string => `import { connect } from "roomcast/client";

const client = connect("${url}");
const room = client.room("chat:42");

room.on("said", (event) => {
  console.log(event.offset, event.data.text);
});
client.on("state", (state) => console.log(state));

const position = await room.publish("said", { text: "Hello" });`;
