import assert from "node:assert/strict";
import { test } from "node:test";
import { RoomEvent } from "../../protocol/event.js";
import { Payload } from "../../protocol/payload.js";
import { tokenIn } from "../../server/transport/client-head.js";
import { parsePositions } from "../../server/transport/positions.js";
import { frameIn, sseOfMany, sseOfOne, withIds } from "../../server/transport/sse-codec.js";

const event = (offset: number, data: unknown) =>
  new RoomEvent(offset, { event: "n", data: Payload.ofValue(data), at: 1, from: "ann" });

test("an event is one of the stream: its id, its room, and no empty line within", () => {
  const text = sseOfOne.encodeEvents({ type: "events", room: "a:1", previous: 1, epoch: "e" }, [event(2, "\n\n")]);
  assert.equal(
    Buffer.from(text).toString(),
    'id: e:2\ndata: {"room":"a:1","offset":2,"event":"n","data":"\\n\\n","from":"ann","at":1}\n\n',
  );
  const plain = sseOfOne.encodeEvents({ type: "events", room: "a:1" }, [event(0, 1)]);
  assert.equal(Buffer.from(plain).toString(), 'data: {"room":"a:1","event":"n","data":1,"from":"ann","at":1}\n\n');
});

test("what was missed comes before joined, which has the position as its id", () => {
  const head = { type: "joined", id: 2, room: "a:1", recovered: true, position: { epoch: "e", offset: 9 } } as const;
  const text = String(sseOfMany.encodeEvents(head, [event(2, 1), event(3, 2)]));
  assert.deepEqual(
    text.split("\n").filter((line) => !line.startsWith("data")),
    ["id: a:1=e:2", "", "id: a:1=e:3", "", "event: joined", "id: a:1=e:9", "", ""],
  );
  assert.deepEqual(JSON.parse(frameIn(text)?.json ?? ""), { ...head, events: [] });
  assert.equal(frameIn(text)?.type, "joined");
  const places = new Map([["b:1", "x:1"]]);
  const own = withIds(text, (room, position) => {
    places.set(room, position);
    return [...places].map(([name, at]) => `${name}=${at}`).join(",");
  });
  assert.deepEqual(
    own.split("\n").filter((line) => line.startsWith("id")),
    ["id: b:1=x:1,a:1=e:2", "id: b:1=x:1,a:1=e:3", "id: b:1=x:1,a:1=e:9"],
  );
});

test("events are no frames, whatever they hold", () => {
  const data = "\n\nevent: close\ndata: {}\n\n";
  for (const codec of [sseOfOne, sseOfMany]) {
    const wire = codec.encodeEvents({ type: "events", room: "a", previous: 0, epoch: "e" }, [event(1, data)]);
    assert.equal(frameIn(Buffer.from(wire as string).toString()), undefined);
  }
});

test("positions are read as they are written, and nothing else is", () => {
  assert.deepEqual(parsePositions("e_-.9:7", ["a"], "since"), new Map([["a", { epoch: "e_-.9", offset: 7 }]]));
  assert.deepEqual(
    parsePositions("a:b@c/d=e:7,b=f:0", ["a:b@c/d", "b"], "since"),
    new Map([
      ["a:b@c/d", { epoch: "e", offset: 7 }],
      ["b", { epoch: "f", offset: 0 }],
    ]),
  );
  for (const text of [
    "",
    "e",
    "e:",
    ":1",
    "e:-1",
    "e:1.5",
    "e:1e3",
    "e:1 ",
    "a=e:1",
    "e:1,e:2",
    `e:${2 ** 53}`,
    "é:1",
  ]) {
    assert.throws(() => parsePositions(text, ["b"], "since"), /^ProtocolError: since: /, text);
  }
});

test("the token's cookie is found among others, with escapes or quotes", () => {
  for (const [cookies, token] of [
    ["roomcast_token=a.b.c", "a.b.c"],
    ["x=1;roomcast_token=a==; roomcast_token=later", "a=="],
    ['roomcast_token="a.b"', "a.b"],
    ["roomcast_token=a%2Eb", "a.b"],
    ["roomcast_token=a%zz", "a%zz"],
    ["roomcast_token=", undefined],
    ["roomcast_tokenx=a; xroomcast_token=b", undefined],
  ] as const) {
    assert.equal(tokenIn(cookies), token, cookies);
  }
});
