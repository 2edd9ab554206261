// The page of a portal link on as much of a document as it touches: what it asks for and shows, and where the keyboard is.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const asset = (name) => readFileSync(new URL(`../assets/${name}`, import.meta.url), "utf8");
const html = asset("portal.html");

class Element {
  constructor(name) {
    Object.assign(this, { name, parts: [], parent: null, dataset: {}, style: {}, attributes: new Map(), listeners: {} });
    Object.assign(this, { hidden: false, disabled: false, value: "" });
  }
  get textContent() {
    return this.parts.map((part) => part.textContent ?? part).join("");
  }
  set textContent(text) {
    this.replaceChildren(text);
  }
  get children() {
    return this.parts.filter((part) => part instanceof Element);
  }
  get nextSibling() {
    return this.parent.parts[this.parent.parts.indexOf(this) + 1] ?? null;
  }
  insert(at, parts) {
    for (const part of parts) if (part instanceof Element) part.parent = this;
    this.parts.splice(at, 0, ...parts);
  }
  append(...parts) {
    this.insert(this.parts.length, parts);
  }
  replaceChildren(...parts) {
    for (const child of this.children) child.parent = null;
    this.parts = [];
    this.append(...parts);
  }
  after(...parts) {
    this.parent?.insert(this.parent.parts.indexOf(this) + 1, parts);
  }
  remove() {
    this.parent.parts.splice(this.parent.parts.indexOf(this), 1);
    this.parent = null;
  }
  contains(other) {
    return other === this || (other?.parent ? this.contains(other.parent) : false);
  }
  closest(name) {
    return this.name === name ? this : (this.parent?.closest(name) ?? null);
  }
  querySelectorAll(name) {
    return this.children.flatMap((child) => [...(child.name === name ? [child] : []), ...child.querySelectorAll(name)]);
  }
  querySelector(name) {
    return this.querySelectorAll(name)[0] ?? null;
  }
  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }
  hasAttribute(name) {
    return this.attributes.has(name);
  }
  setAttribute(name, value) {
    this.attributes.set(name, value);
  }
  removeAttribute(name) {
    this.attributes.delete(name);
  }
  addEventListener(kind, listener) {
    this.listeners[kind] = listener;
  }
  /** Resolves when the page has done what it does then. */
  fire(kind) {
    return this.listeners[kind]({ currentTarget: this });
  }
}
class Button extends Element {}

const delivery = (uid, status) => ({
  uid, status, event_id: `event-${uid}`, event_type: "paid", endpoint_id: "e", created_at: "2026-11-26T12:00:00Z", metadata: { num_trials: 1 }, description: "",
});
const CURSOR = "01KBZ7ZJ00AAAAAAAAAAAAAAAA";
const full = Array.from({ length: 20 }, (_, index) => delivery(`full-${index}`, "Success"));

/** Long enough for all that waits for no timer. */
const settled = () => new Promise((done) => setImmediate(done));

/**
 * Runs the page's script. `pages` are the answers to its lists of deliveries, one after another: rows and the cursor that
 * they end with, or a promise of these. `others` are whole replies to other calls, by a pattern of their path.
 */
async function open(pages, others = [], search = "?token=PRT.a.b") {
  const body = new Element("body");
  let focused = body;
  const made = (name) => {
    const one = name === "button" ? new Button(name) : new Element(name);
    one.focus = () => (focused = one);
    return one;
  };
  const byId = new Map();
  for (const [tag, name, id] of html.matchAll(/<(\w+)[^>]*\bid="(\w+)"[^>]*>/g)) {
    byId.set(id, Object.assign(made(name), { hidden: / hidden/.test(tag) }));
    body.append(byId.get(id));
  }
  body.append(made("main"));
  const document = {
    createElement: made,
    getElementById: (id) => byId.get(id),
    querySelector: (name) => body.querySelector(name),
    /** As browsers have it: what is gone, hidden or disabled has the keyboard no more. */
    get activeElement() {
      return body.contains(focused) && !focused.hidden && !focused.disabled ? focused : body;
    },
  };
  const asked = [];
  const fetch = async (path) => {
    asked.push(path);
    const page = (content, next) => ({ content, pagination: { has_next_page: Boolean(next), next_page_cursor: next ?? "" } });
    const reply = others.find(([pattern]) => pattern.test(path));
    if (reply) return reply[1]();
    const answers = [
      [/\/portal_link$/, () => ({ name: "n", owner_id: "o" })],
      [/\/endpoints\?/, () => page([{ uid: "e", name: "billing", url: "https://b", status: "active" }])],
      [/\/eventdeliveries\?/, async () => page(...(await pages.shift()))],
      [/\/deliveryattempts$/, () => []],
      [/\/resend$/, () => ({})],
      [/\/eventdeliveries\/\w+$/, () => ({ metadata: { raw: "{}", raw_is_base64: false, is_data_omitted: false }, description: "" })],
    ];
    const [, answer] = answers.find(([pattern]) => pattern.test(path));
    const data = await answer();
    return { ok: true, status: 200, json: async () => ({ data }) };
  };
  const script = /<script nonce="\{nonce\}">([^]*)<\/script>/.exec(html)[1];
  new Function("document", "location", "fetch", "HTMLButtonElement", "Node", script)(document, { search }, fetch, Button, Element);
  await settled();
  const line = (uid) => byId.get("deliveries").children.find((one) => one.dataset.uid === uid);
  const button = (uid, text) => line(uid).querySelectorAll("button").find((one) => one.textContent === text);
  const rows = () => byId.get("deliveries").children.map((one) => one.dataset.uid);
  return { document, at: (id) => byId.get(id), button, rows, asked };
}

test("the keyboard stays where it is when the table is drawn anew", async () => {
  const two = [delivery("a", "Success"), delivery("b", "Failure")];
  const tried = [two[0], delivery("b", "Retry")];
  const { document, at, button } = await open([[two], [two], [two], [tried], [full, CURSOR], [[two[1]]]]);
  at("refresh").focus();
  await at("refresh").fire("click");
  assert.equal(document.activeElement, at("refresh"));
  const before = button("b", "Resend");
  before.focus();
  await at("status").fire("change");
  assert.notEqual(button("b", "Resend"), before, "it is another one");
  assert.equal(document.activeElement, button("b", "Resend"));
  await button("b", "Resend").fire("click");
  assert.equal(document.activeElement, button("b", "Details"), "there is nothing to resend any more");
  await at("status").fire("change");
  assert.equal(document.activeElement, at("refresh"), "the row is gone");
  at("more").focus();
  await at("more").fire("click");
  assert.equal(document.activeElement, button("b", "Details"), "there is no more than that");
});

test("a row that opens says whether it is open", async () => {
  const { at, button } = await open([[[delivery("a", "Success")]]]);
  const look = button("a", "Details");
  const is = () => [look.getAttribute("aria-expanded"), at("deliveries").children.length];
  assert.deepEqual(is(), ["false", 1]);
  await look.fire("click");
  assert.deepEqual(is(), ["true", 2]);
  await look.fire("click");
  assert.deepEqual(is(), ["false", 1]);
});

test("an owner's deliveries are looked for behind those of others", async () => {
  const one = delivery("a", "Success");
  const { at, rows, asked } = await open([[[], CURSOR], [[], CURSOR], [[one]]]);
  assert.deepEqual(rows(), ["a"]);
  assert.deepEqual([at("progress").textContent, at("more").hidden], ["", true]);
  assert.equal(asked.filter((path) => path.endsWith(`&next_page_cursor=${CURSOR}`)).length, 2);
});

test("where the page stops looking, it says how far it came", async () => {
  const empty = Array.from({ length: 20 }, () => [[], CURSOR]);
  const { at, rows } = await open([...empty, [[delivery("a", "Success")]], [[]]]);
  assert.match(at("progress").textContent, /^None back to .*2025/);
  assert.deepEqual([at("more").hidden, at("more").textContent], [false, "Look further back"]);
  await at("more").fire("click");
  assert.deepEqual([rows(), at("progress").textContent, at("more").hidden], [["a"], "", true]);
  await at("refresh").fire("click");
  assert.deepEqual([rows(), at("progress").textContent], [[], "None."]);
});

test("a slow answer does not take the place of a newer one", async () => {
  let answer;
  const slow = new Promise((done) => (answer = done));
  const { at, rows } = await open([[full, CURSOR], slow, [[delivery("b", "Failure")]]]);
  const older = at("more").fire("click");
  at("status").value = "Failure";
  await at("status").fire("change");
  answer([[delivery("a", "Success")], CURSOR]);
  await older;
  assert.deepEqual([rows(), at("more").hidden, at("progress").textContent], [["b"], true, ""]);
});

test("rows of another status do not stay when a call fails", async () => {
  const failed = () => Promise.reject(new TypeError("Failed to fetch"));
  const lists = [[[delivery("a", "Success")]]];
  const { at, rows } = await open({ shift: () => lists.shift() ?? failed() });
  await at("refresh").fire("click");
  assert.deepEqual([rows(), at("notice").textContent], [["a"], "There is no connection. Try again."]);
  at("status").value = "Failure";
  await at("status").fire("change");
  assert.deepEqual([rows(), at("notice").textContent], [[], "There is no connection. Try again."]);
});

test("what is sent is shown as it is written", async () => {
  const cases = [
    ['{"id":12345678901234567890,"a":1,"a":1.10, "2":"\\u0061, {\\"x\\":[1]}","1":[-0,1e400],"e":{},"l":[ ]}',
      '{\n  "id": 12345678901234567890,\n  "a": 1,\n  "a": 1.10,\n  "2": "\\u0061, {\\"x\\":[1]}",\n  "1": [\n    -0,\n    1e400\n  ],\n  "e": {},\n  "l": [ ]\n}'],
    ["a=1&b={}", "a=1&b={}"],
    ['"text"', '"text"'],
    ["", ""],
  ];
  for (const [raw, expect] of cases) {
    const sent = { metadata: { raw, raw_is_base64: false, is_data_omitted: false, data: {} }, description: "" };
    const reply = { ok: true, status: 200, json: async () => ({ data: sent }) };
    const { at, button } = await open([[[delivery("a", "Success")]]], [[/\/eventdeliveries\/a$/, () => reply]]);
    await button("a", "Details").fire("click");
    assert.equal(at("deliveries").querySelector("pre").textContent, expect);
  }
});

test("what goes wrong is told in the page's own words", async () => {
  const INVALID = "This link is not valid, or no longer. Ask for a new one.";
  const reply = (status, text) => ({ ok: status < 400, status, json: async () => JSON.parse(text) });
  const ended = reply(401, '{"status":false,"message":"authorization failed"}');
  const lists = /\/eventdeliveries\?/;
  const cases = [
    [[[/portal_link$/, () => ended]], INVALID],
    [[[lists, () => ended]], "authorization failed"],
    [[[lists, () => reply(200, "<h1>login</h1>")]], "The answer cannot be understood (200). Try again."],
    [[[lists, () => reply(502, "null")]], "The answer cannot be understood (502). Try again."],
    [[[lists, () => reply(503, '{"message":"boom"}')]], "boom"],
    [[[lists, () => Promise.reject(new DOMException("", "TimeoutError"))]], "There was no answer within 30 seconds. Try again."],
  ];
  for (const [others, says] of cases) assert.equal((await open([], others)).at("notice").textContent, says);
  for (const search of ["", "?token=PRT.%C3%A4", "?token=a%0Ab"]) assert.equal((await open([], [], search)).at("notice").textContent, INVALID);
  let isOver = false;
  const link = () => (isOver ? ended : reply(200, '{"data":{"name":"n","owner_id":"o"}}'));
  const list = () => (isOver ? ended : reply(200, '{"data":{"content":[],"pagination":{}}}'));
  const { at } = await open([], [[/portal_link$/, link], [/\?/, list]]);
  assert.equal(at("notice").textContent, "");
  isOver = true;
  await at("refresh").fire("click");
  assert.equal(at("notice").textContent, INVALID);
});

test("a resend and a list that is cut are told in words", async () => {
  const failed = { ...delivery("a", "Failure"), endpoint_metadata: { uid: "e", name: "billing" } };
  const many = { data: { content: [{ name: "n", url: "u", status: "active" }], pagination: { has_next_page: true } } };
  const { at, button } = await open([[[failed]], [[failed]]], [[/\/endpoints\?/, () => ({ ok: true, status: 200, json: async () => many })]]);
  assert.equal(at("rest").textContent, "These are the first 1; there are more.");
  const again = button("a", "Resend");
  assert.match(again.getAttribute("aria-label"), /^Resend: paid, billing, /);
  await again.fire("click");
  assert.deepEqual([at("notice").textContent, at("notice").className], ["It is sent again.", "good"]);
});

test("deliveries are found by each status that they can have", () => {
  const calls = JSON.parse(asset("openapi.json")).paths["/portal-api/eventdeliveries"];
  const known = calls.get.parameters.find((one) => one.name === "status").schema.items.enum;
  const select = /<select id="status">(.*?)<\/select>/.exec(html)[1];
  const offered = Array.from(select.matchAll(/<option>(\w+)/g), ([, name]) => name);
  assert.deepEqual(offered.sort(), [...known].sort());
});
