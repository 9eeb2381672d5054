/** The files in deploy/ against the code. They are not run here: that takes Docker. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { settingInfos } from "../../server/cli/settings.js";
import { parseSettings } from "../../server/config.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const compose = readFileSync(join(root, "deploy/compose.yaml"), "utf8");

/** Each service's lines, by its name. */
const services = new Map(
  (compose.split(/^services:$/m)[1]?.split(/^\w/m)[0] ?? "").split(/^(?= {2}[\w-]+:$)/m).flatMap((text) => {
    const name = /^ {2}([\w-]+):$/m.exec(text)?.[1];
    return name === undefined ? [] : [[name, text] as const];
  }),
);

test("there are three nodes, what they stand on, and a balancer, which alone is reached from outside", () => {
  assert.deepEqual([...services.keys()], ["node-1", "node-2", "node-3", "balancer", "redis", "nats"]);
  const published = [...services].filter(([, text]) => /^ +(ports|network_mode):/m.test(text)).map(([name]) => name);
  assert.deepEqual(published, ["balancer"]);
  assert.match(compose, /^ {2}engines:\n {4}internal: true$/m);
  for (const name of ["redis", "nats"]) assert.match(services.get(name) ?? "", /^ {4}networks: \[engines\]$/m);
});

test("every service is looked after: a health check, and a start when it ends", () => {
  const shared = compose.split(/^services:$/m)[0] ?? "";
  for (const [name, text] of services) {
    const all = text.includes("<<: *node") ? shared + text : text;
    assert.match(all, /^ +healthcheck:$/m, name);
    assert.match(all, /^ +restart: unless-stopped$/m, name);
  }
});

test("every variable is a setting, its value holds, and nobody's secret is written down", () => {
  const settings: { [name: string]: unknown } = {};
  for (const [, variable, value = ""] of compose.matchAll(/^ +(ROOMCAST_\w+): (.*)$/gm)) {
    const info = settingInfos.find((info) => info.variable === variable);
    assert.ok(info, `${variable} is no setting`);
    const { name, schema } = info;
    if (["secret", "redisPassword"].includes(name)) assert.match(value, /^\$\{\w+:\?/);
    else if (schema.type === "array") settings[name] = value.startsWith("${") ? [] : value.split(",");
    else if (schema.type === "integer") settings[name] = Number(value);
    else settings[name] = schema.type === "object" ? JSON.parse(value.slice(1, -1)) : value;
  }
  assert.deepEqual(parseSettings({ ...settings, secret: "x".repeat(32) }).redis, settings["redis"]);
});

test("what is mounted and built is there, and the balancer's nodes are the services", () => {
  for (const [, path = ""] of compose.matchAll(/"(\.\/[^:"]+):/g))
    assert.ok(existsSync(join(root, "deploy", path)), path);
  assert.ok(existsSync(join(root, "Dockerfile")));
  const nodes = ["node-1", "node-2", "node-3"];
  for (const file of ["haproxy/haproxy.cfg", "haproxy/http.cfg", "nginx/nginx.conf"]) {
    const text = readFileSync(join(root, "deploy", file), "utf8");
    const servers = [...text.matchAll(/^ +server (?:\S+ )?(node-\d):8000/gm)].map(([, name]) => name);
    assert.deepEqual(servers, file.startsWith("haproxy") ? [...nodes, ...nodes] : nodes, file);
  }
});

test("the container holds what the program loads", () => {
  const dockerfile = readFileSync(join(root, "Dockerfile"), "utf8");
  const { files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { files: readonly string[] };
  for (const folder of files.filter((file) => file.startsWith("dist/"))) {
    assert.ok(dockerfile.includes(`COPY --from=build /app/${folder} ./${folder}\n`), folder);
  }
});
