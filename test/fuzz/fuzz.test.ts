/**
 * The corpus, and some thousand new inputs of a seed that is always the same and of one that never is.
 * `ROOMCAST_FUZZ_RUNS` says how many of each; `dist/test/fuzz/run.js` goes on for longer.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Random } from "../support/random.js";
import type { Attack } from "./attack.js";
import { kept } from "./corpus.js";
import { judge } from "./judge.js";
import { findIn, fuzz, type Target } from "./target.js";
import { openTarget, targetNames } from "./targets.js";

/** A connection takes more time than a call. */
const COUNTS = { socket: 1000, http: 1000, json: 5000, msgpack: 5000 };

for (const name of targetNames) {
  const count = Number(process.env["ROOMCAST_FUZZ_RUNS"] ?? COUNTS[name]);
  test(`${name}: what is in the corpus, and ${2 * count} new inputs, harm nobody and are answered as the rules say`, async (t) => {
    const target = await openTarget(name, t);
    const corpus = kept<{ readonly note?: string }>(name);
    assert.ok(corpus.length > 3, `${corpus.length} in the corpus`);
    for (const { name: file, input } of corpus) assert.ok(input.note, `${file}: expected a note`);
    assert.deepEqual(
      await findIn(
        target,
        corpus.map(({ input }) => input),
      ),
      [],
    );
    for (const seed of [1, Number(process.env["ROOMCAST_FUZZ_SEED"] ?? randomInt(2 ** 31))]) {
      t.diagnostic(`seed ${seed}`);
      assert.deepEqual(
        await fuzz(target, { seed, count }),
        [],
        `node dist/test/fuzz/run.js --target ${name} --seed ${seed}`,
      );
    }
  });
}

const program = fileURLToPath(new URL("./run.js", import.meta.url));
const run = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });

test("the command says which seed it took, and does the same with it again", () => {
  const first = run("--target", "json", "--count", "200");
  assert.equal(first.status, 0, first.stdout + first.stderr);
  const [, seed = ""] = /200 of seed (\d+): 0 findings/.exec(first.stdout) ?? [];
  const again = run("--target", "json", "--count", "200", "--seed", seed);
  assert.equal(again.stdout, first.stdout);
});

test("the command names what it does not know", () => {
  for (const args of [
    ["--target", "udp"],
    ["--seed", "x"],
    ["--count", "-1"],
    ["--port", "1"],
  ]) {
    const { status, stderr } = run(...args);
    assert.equal(status, 2, args.join(" "));
    assert.ok(stderr.includes(args[0] ?? ""), stderr);
  }
});

/** Says that of inputs with a 7 in them something is wrong. */
const sevens: Target<readonly number[]> = {
  name: "sevens",
  make: (random) => Array.from({ length: 20 }, () => random.below(50)),
  check: (inputs) => Promise.resolve(inputs.map((input) => (input.includes(7) ? "has a 7" : undefined))),
  smaller: (input) => input.map((_, at) => input.filter((_, index) => index !== at)),
};

test("what is found is found again from the same seed, and made as small as it can be", async () => {
  const findings = await fuzz(sevens, { seed: 5, count: 64 });
  assert.ok(findings.length > 0);
  for (const { what, input } of findings) assert.deepEqual([what, input], ["has a 7", [7]]);
  assert.deepEqual(await fuzz(sevens, { seed: 5, count: 64 }), findings);
  assert.equal(new Random(5).next(), new Random(5).next());
});

const SENT = Buffer.from(
  "GET /v1/socket HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
);
const UPGRADED = "HTTP/1.1 101 Switching Protocols\r\n\r\n";

test("the judge lets right answers pass", () => {
  const pong = '{"type":"pong","id":1}';
  for (const answer of [
    "",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    UPGRADED,
    `${UPGRADED}\x81${String.fromCharCode(pong.length)}${pong}\x88\x02\x0f\xaa`,
  ]) {
    assert.equal(judge(SENT, Buffer.from(answer, "latin1")), undefined, answer);
  }
});

test("the judge finds each kind of wrong answer", () => {
  const wrong: readonly (readonly [words: RegExp, sent: Buffer, answer: string])[] = [
    [/answered/, SENT, "HTTP/1.1 500 Internal Server Error\r\n\r\n"],
    [/answered/, SENT, "garbage\r\n\r\n"],
    [/without an end/, SENT, "HTTP/1.1 200 OK\r\n"],
    [/200 without a GET/, Buffer.from("POST /live HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    [/101 to what has no/, Buffer.from(SENT.toString().replace("13", "12")), UPGRADED],
    [/extension/, SENT, UPGRADED.replace("\r\n", "\r\nSec-WebSocket-Extensions: x\r\n")],
    [/a frame that is none/, SENT, `${UPGRADED}\xc1\x00`],
    [/half a frame/, SENT, `${UPGRADED}\x81\x05{}`],
    [/closed with 1234/, SENT, `${UPGRADED}\x88\x02\x04\xd2`],
    [/behind a close/, SENT, `${UPGRADED}\x88\x02\x03\xe8\x81\x00`],
    [/no client can read/, SENT, `${UPGRADED}\x81\x01{`],
    [/the server failed/, SENT, `${UPGRADED}\x81\x36{"type":"error","id":1,"code":"internal","message":""}`],
  ];
  for (const [words, sent, answer] of wrong)
    assert.match(judge(sent, Buffer.from(answer, "latin1")) ?? "nothing", words);
});

test("nobody is let into a WebSocket by an attack that is no upgrade", () => {
  const attacks = kept<Attack>("http");
  assert.ok(attacks.every(({ input }) => !input.steps.some((step) => "text" in step && /websocket/i.test(step.text))));
});
