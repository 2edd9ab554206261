// Turns YAML into JSON: a document of OpenAPI is written in either. It stands here and not in Rust, because a parser in the
// wasm would be compiled by every isolate, for a call that is made once in a while. Nothing that is read gets a meaning
// here: what the document says is for `event_type::import`.
import { CORE_SCHEMA, NOT_RESOLVED, YAMLException, floatCoreTag, intCoreTag, load, mapTag, mergeTag } from "js-yaml";

/** Of the JSON, in characters. A few aliases of aliases would else fill the memory. */
const OUTPUT_MAX = 2 * 1024 * 1024;
/** As deep as Rust reads JSON. */
const DEPTH_MAX = 126;

/** A number as it is written: a float would round it. */
class Written {
  constructor(text) {
    this.text = text;
  }
}

const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const asWritten = (tag) => ({
  ...tag,
  resolve: (source, ...rest) => {
    const value = tag.resolve(source, ...rest);
    return value !== NOT_RESOLVED && JSON_NUMBER.test(source) ? new Written(source) : value;
  },
});
const key = (value) => (value instanceof Written ? value.text : value);
const map = {
  ...mapTag,
  addPair: (container, name, value) => mapTag.addPair(container, key(name), value) && "the key is no text",
  has: (container, name) => mapTag.has(container, key(name)),
};
const SCHEMA = CORE_SCHEMA.withTags(mergeTag, map, asWritten(intCoreTag), asWritten(floatCoreTag));

/** What is wrong with the document as a whole. */
class Refused extends Error {}

function json(document) {
  const parts = [];
  let length = 0;
  const put = (text) => {
    length += text.length;
    if (length > OUTPUT_MAX) throw new Refused(`its aliases make more than ${OUTPUT_MAX} characters of it`);
    parts.push(text);
  };
  const write = (value, depth) => {
    if (depth > DEPTH_MAX) throw new Refused(`it is nested more than ${DEPTH_MAX} deep, or an alias is within what it stands for`);
    if (value instanceof Written) put(value.text);
    else if (Array.isArray(value)) {
      put("[");
      value.forEach((item, at) => {
        if (at > 0) put(",");
        write(item, depth + 1);
      });
      put("]");
    } else if (value !== null && typeof value === "object") {
      put("{");
      Object.keys(value).forEach((name, at) => {
        put(`${at > 0 ? "," : ""}${JSON.stringify(name)}:`);
        write(value[name], depth + 1);
      });
      put("}");
    } else if (typeof value === "number" && !Number.isFinite(value)) throw new Refused(".inf and .nan are no numbers of JSON");
    else put(JSON.stringify(value ?? null));
  };
  write(document, 0);
  return parts.join("");
}

/** `=` and the JSON of a document in YAML, or `!` and what is wrong with it, and where. */
export function yaml(text) {
  try {
    return `=${json(load(text, { schema: SCHEMA }))}`;
  } catch (error) {
    if (error instanceof Refused) return `!${error.message}`;
    if (!(error instanceof YAMLException)) return "!it cannot be read";
    const { reason, mark } = error;
    return `!${reason}${mark ? ` at line ${mark.line + 1} column ${mark.column + 1}` : ""}`;
  }
}
