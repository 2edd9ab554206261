import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const root = join(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "..");

/** What the compiler says of a program, a line for each fault. */
function faults(file) {
  const options = {
    strict: true,
    noEmit: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts"],
    types: [],
  };
  const program = ts.createProgram([file], options);
  return ts.getPreEmitDiagnostics(program).map((one) => {
    const place = one.file?.getLineAndCharacterOfPosition(one.start ?? 0);
    return `${one.file?.fileName}:${(place?.line ?? 0) + 1}: ${ts.flattenDiagnosticMessageText(one.messageText, "\n")}`;
  });
}

test("types are made of the document, and a client fits them", async () => {
  const document = readFileSync(join(root, "crates/edge/assets/openapi.json"), "utf8");
  const types = astToString(await openapiTS(document));
  // Beside the dependencies, so that nothing but the document is needed.
  const folder = mkdtempSync(join(root, "node_modules", ".inlet-client-"));
  try {
    writeFileSync(join(folder, "api.ts"), types);
    const client = join(folder, "client.ts");
    writeFileSync(client, readFileSync(join(root, "tests/typescript/client.ts"), "utf8"));
    assert.deepEqual(faults(client), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
