/** The picture of a rolling deploy says what it was given, whatever that is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Deploy, deployPicture } from "./deploy-picture.js";

const deploy: Deploy = {
  caption: "2 nodes & <few> clients",
  samples: [0, 1, 2].map((n) => ({ at: 1_000_000 + n * 250, nodes: { "node-1": 3 - n, "node-2": n } })),
  turns: [{ node: "node-1", signalledAt: 1_000_000, endedAt: 1_004_000, backAt: 1_005_000 }],
  deliveries: [
    [1_000_100, 4],
    [1_000_200, 12],
    [1_004_000, 7],
  ],
  longest: [12, 7, 99],
  longestBefore: [3, 4, 5],
  limitMs: 250,
};

/** The heights at which the first line of this colour goes, from left to right. */
const heightsOf = (svg: string, colour: string): number[] => {
  const lines = [...svg.matchAll(/<polyline points="([^"]+)" fill="none" stroke="([^"]+)"/g)];
  const [, points = ""] = lines.find(([, , stroke]) => stroke === colour) ?? [];
  return points.split(" ").map((point) => Number(point.split(",")[1]));
};

test("a node that loses its clients goes down, and whoever gets them up", () => {
  const svg = deployPicture({
    ...deploy,
    turns: [...deploy.turns, { node: "node-2", signalledAt: 1_006_000, endedAt: 1_007_000, backAt: 1_008_000 }],
  });
  const [first = [], second = []] = [heightsOf(svg, "#1f6feb"), heightsOf(svg, "#d4720b")];
  assert.equal(first.length, 3);
  assert.ok((first[0] as number) < (first[2] as number));
  assert.ok((second[0] as number) > (second[2] as number));
});

test("the times that it is about are written beside the curve", () => {
  assert.match(deployPicture(deploy), />12 ms</);
  assert.match(deployPicture(deploy), />99 ms</);
});

test("what is written in it is no markup", () => {
  assert.match(deployPicture(deploy), /2 nodes &amp; &lt;few> clients/);
});

test("where nothing was seen, it is drawn all the same", () => {
  const svg = deployPicture({ ...deploy, samples: [], deliveries: [], longest: [], longestBefore: [] });
  assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
});
