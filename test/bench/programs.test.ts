import assert from "node:assert/strict";
import { test } from "node:test";
import { contestants } from "../../bench/support/dialects.js";
import type {
  ConnectResult,
  FanOutResult,
  HookCacheResult,
  HooksResult,
  HttpPublishResult,
  IdleResult,
  LimitsResult,
  PermissionsResult,
  TokenHelloResult,
} from "../../bench/support/results.js";
import { lineOf, play } from "./play.js";

test("fan-out counts each event once for each subscriber, for every contestant", async () => {
  const flags = ["--subscribers", "20", "--sample", "2", "--seconds", "0.4", "--rounds", "2", "--rates", "50"];
  const { rows } = lineOf<FanOutResult>(await play("fan-out", ...flags));
  assert.deepEqual(
    rows.map((row) => [row.contestant, row.deliveries]),
    contestants.map((name) => [name, 20 * 20 * 2]),
  );
  for (const row of rows) {
    assert.ok(row.bytesPerDelivery >= 100, `${row.contestant}: ${row.bytesPerDelivery} bytes`);
    assert.ok(row.p50Ms > 0 && row.p99Ms >= row.p50Ms && row.cpuUsPerDelivery > 0, JSON.stringify(row));
  }
});

test("idle and connect have a row for every contestant", async () => {
  const idle = lineOf<IdleResult>(await play("idle", "--connections", "20", "--rest", "0.01"));
  const connect = lineOf<ConnectResult>(await play("connect", "--connects", "20", "--rounds", "2"));
  for (const { rows } of [idle, connect]) {
    assert.deepEqual(
      rows.map((row) => row.contestant),
      [...contestants],
    );
  }
  for (const row of connect.rows) assert.ok(row.cpuUsPerConnect > 0, JSON.stringify(row));
});

test("permissions finds what is granted in every case, and what is not", async () => {
  const { rows } = lineOf<PermissionsResult>(await play("permissions", "--checks", "200", "--rounds", "2"));
  assert.ok(rows.length >= 7);
  assert.equal(Math.max(...rows.map((row) => row.roomLength)), 128);
  for (const row of rows) assert.ok(row.nsPerCheck > 0, JSON.stringify(row));
});

test("limits asks for every publish and every address, refuses none and leaves nothing behind", async () => {
  const flags = ["--publishes", "500", "--sessions", "20", "--rooms", "5", "--addresses", "500", "--rounds", "2"];
  const { rows } = lineOf<LimitsResult>(await play("limits", ...flags));
  assert.equal(rows.length, 2);
  for (const row of rows) assert.ok(row.ns > 0, JSON.stringify(row));
});

test("token-hello has a row for a hello without a token and for every algorithm", async () => {
  const { rows } = lineOf<TokenHelloResult>(await play("token-hello", "--connects", "20", "--rounds", "2"));
  assert.deepEqual(
    rows.map(({ token }) => token),
    ["none", "HS256", "RS256", "ES256", "EdDSA", "HS256, 10 more patterns"],
  );
  for (const row of rows) assert.ok(row.cpuUsPerConnect > 0 && row.timesWithout > 0, JSON.stringify(row));
});

test("hooks sees an application die in two ways and come back, and another room go on", async () => {
  const flags = ["--clients", "5", "--upMs", "200", "--downMs", "1000", "--timeoutMs", "200", "--retryMs", "200"];
  const { rows } = lineOf<HooksResult>(await play("hooks", ...flags));
  assert.deepEqual(
    rows.map(({ outage }) => outage),
    ["silent", "gone"],
  );
  for (const row of rows) {
    assert.ok(row.firstFailures > 0 && row.refusals > 0 && Number.isFinite(row.backMs), JSON.stringify(row));
    assert.equal(row.othersFailed, 0);
  }
});

test("a wrong flag ends a program with code 2 and one line that names it", async () => {
  const { code, stderr, stdout } = await play("fan-out", "--rounds", "few");
  assert.equal(code, 2);
  assert.equal(stderr, '--rounds: expected a number above 0, got "few"\n');
  assert.equal(stdout, "");
});

test("http-publish has every request of every way answered", async () => {
  const flags = ["--requests", "60", "--connections", "4", "--batch", "10", "--rounds", "2"];
  const { rows } = lineOf<HttpPublishResult>(await play("http-publish", ...flags));
  assert.deepEqual(
    rows.map(({ way, eventsPerRequest }) => [way, eventsPerRequest]),
    [
      ["a bare route", 1],
      ["one by one", 1],
      ["batches of 10", 10],
    ],
  );
  for (const row of rows) assert.ok(row.cpuUsPerEvent > 0 && row.eventsPerCoreSecond > 0, JSON.stringify(row));
});

test("hook-cache asks the application about every join, or once about each room", async () => {
  const flags = ["--clients", "3", "--rooms", "5", "--joins", "60", "--rounds", "2"];
  const { rows } = lineOf<HookCacheResult>(await play("hook-cache", ...flags));
  assert.deepEqual(
    rows.map(({ answers, questionsPerThousandJoins }) => [answers, questionsPerThousandJoins]),
    [
      ["not remembered", 1000],
      ["remembered", 0],
    ],
  );
  for (const row of rows) assert.ok(row.joinsPerSecond > 0 && row.cpuUsPerJoin > 0, JSON.stringify(row));
});
