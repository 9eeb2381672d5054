import assert from "node:assert/strict";
import { test } from "node:test";
import { Circuit } from "../../server/engine/circuit.js";
import type { Log } from "../../server/log.js";

function circuitOf() {
  const lines: string[] = [];
  const write = (level: string) => (text: string) => void lines.push(`${level} ${text}`);
  const log: Log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  return { circuit: new Circuit("redis a:6379", log), lines };
}

test("a circuit is open until its connection is there, and says why", () => {
  const { circuit } = circuitOf();
  assert.equal(circuit.isOpen, true);
  assert.equal(circuit.problem, "redis a:6379: not connected yet");
  assert.equal(circuit.refusal()?.code, "unavailable");
  circuit.close();
  assert.deepEqual([circuit.isOpen, circuit.problem, circuit.refusal()], [false, undefined, undefined]);
});

test("several calls in a row without an answer open it, and one with an answer begins the count again", () => {
  const { circuit } = circuitOf();
  circuit.close();
  for (let count = 0; count < 4; count++) circuit.failed("no answer");
  circuit.answered();
  for (let count = 0; count < 4; count++) circuit.failed("no answer");
  assert.equal(circuit.isOpen, false);
  circuit.failed("no answer");
  assert.equal(circuit.problem, "redis a:6379: no answer");
});

test("a circuit that is ended refuses everything, and says nothing in the log", () => {
  const { circuit, lines } = circuitOf();
  circuit.close();
  circuit.end();
  assert.deepEqual([circuit.problem, lines], ["redis a:6379: closed", ["info engine: connected"]]);
});

test("losing and finding a connection is logged once each", () => {
  const { circuit, lines } = circuitOf();
  circuit.close();
  circuit.trip("reset by peer");
  circuit.trip("refused");
  circuit.close();
  circuit.close();
  assert.deepEqual(lines, ["info engine: connected", "warn engine: connection lost", "info engine: connected"]);
});

test("a refusal says to try again soon, and later the longer the connection has been away", (t) => {
  let now = 0;
  t.mock.method(performance, "now", () => now);
  const { circuit } = circuitOf();
  circuit.close();
  now = 5000;
  circuit.trip("reset by peer");
  const retries = [0, 50, 300, 1000, 60_000].map((awayMs) => {
    now = 5000 + awayMs;
    circuit.trip("refused");
    return circuit.refusal()?.retryMs;
  });
  assert.deepEqual(retries, [100, 100, 300, 1000, 1000]);
});
