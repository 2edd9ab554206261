// `make consumer` finds the gateway that `make dev` runs, with a curl that only writes down what it is asked.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { exec } from "./lib.mjs";

test("the companion looks for the gateway where PORT says that it is", async () => {
  const dir = mkdtempSync(join(tmpdir(), "inlet-consumer-"));
  writeFileSync(join(dir, "curl"), `#!/bin/sh\nprintf '%s\\n' "$@" >"${dir}/asked"\nexit 7\n`, { mode: 0o755 });
  const project = { id: "p", key: "CO.key" };
  writeFileSync(join(dir, "dev.json"), JSON.stringify({ projects: { incoming: project, outgoing: project } }));
  const asked = async (more) => {
    const env = { ...process.env, PATH: `${dir}:${process.env.PATH}`, STATE: dir, INLET_CONSUMER_KEY: "", INLET_URL: "", PORT: "", ...more };
    const { code, stderr } = await exec("bash", ["scripts/consumer.sh"], { capture: true, env });
    assert.notEqual(code, 0);
    assert.match(stderr, /is not reached; start `make dev` first/);
    return readFileSync(join(dir, "asked"), "utf8").trim().split("\n").at(-1);
  };
  assert.equal(await asked({}), "http://127.0.0.1:8787/api/v1/projects/p/consumer-keys");
  assert.equal(await asked({ PORT: "9123" }), "http://127.0.0.1:9123/api/v1/projects/p/consumer-keys");
  assert.equal(await asked({ PORT: "9123", INLET_URL: "http://127.0.0.1:1" }), "http://127.0.0.1:1/api/v1/projects/p/consumer-keys");
  writeFileSync(join(dir, "curl"), "#!/bin/sh\necho ok\n", { mode: 0o755 });
  const env = { ...process.env, PATH: `${dir}:${process.env.PATH}`, STATE: dir, INLET_CONSUMER_KEY: "", INLET_URL: "", PORT: "9123" };
  const { code, stderr } = await exec("bash", ["scripts/consumer.sh"], { capture: true, env });
  assert.notEqual(code, 0);
  assert.match(stderr, /not JSON: ok\n.*http:\/\/127\.0\.0\.1:9123 gave no key: is it the gateway of `make dev`\?\n$/s);
  rmSync(dir, { recursive: true });
});
