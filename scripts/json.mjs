// Takes one field out of a JSON document: `node scripts/json.mjs data.content.0.uid [file]`; stdin without a file.
import { readFileSync } from "node:fs";

const [path = "", file] = process.argv.slice(2);
let text;
try {
  text = readFileSync(file ?? 0, "utf8");
} catch (error) {
  process.stderr.write(`cannot read ${file ?? "stdin"}: ${error.message}\n`);
  process.exit(1);
}
let value;
try {
  value = JSON.parse(text);
} catch {
  process.stderr.write(`not JSON: ${text.slice(0, 500)}\n`);
  process.exit(1);
}
for (const key of path.split(".").filter(Boolean)) value = value?.[key];
if (value === undefined || value === null) {
  // The document is usually an error answer: show it, it says why the field is not there.
  process.stderr.write(`no ${path} in: ${text.slice(0, 2000)}\n`);
  process.exit(1);
}
process.stdout.write(`${typeof value === "object" ? JSON.stringify(value, null, 2) : value}\n`);
