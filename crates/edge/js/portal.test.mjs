// The page of a portal link on as much of a document as it touches: where the keyboard is, and what is told of rows that open.
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

/** Runs the page's script. `pages` are the answers to its lists of deliveries, one after another. */
async function open(pages) {
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
  let drawn;
  const isDrawn = new Promise((done) => (drawn = done));
  const fetch = async (path) => {
    const page = (content, next) => ({ content, pagination: { has_next_page: Boolean(next), next_page_cursor: next ?? "" } });
    const answers = [
      [/\/portal_link$/, () => ({ name: "n", owner_id: "o" })],
      [/\/endpoints\?/, () => page([{ uid: "e", name: "billing", url: "https://b", status: "active" }])],
      [/\/eventdeliveries\?/, () => page(...pages.shift())],
      [/\/deliveryattempts$/, () => []],
      [/\/events\//, () => ({ uid: "event", data: {} })],
      [/\/resend$/, () => ({})],
    ];
    const [, answer] = answers.find(([pattern]) => pattern.test(path));
    if (/eventdeliveries\?/.test(path)) setImmediate(drawn);
    return { ok: true, status: 200, json: async () => ({ data: answer() }) };
  };
  const script = /<script nonce="\{nonce\}">([^]*)<\/script>/.exec(html)[1];
  new Function("document", "location", "fetch", "HTMLButtonElement", "Node", script)(document, { search: "?token=PRT.a.b" }, fetch, Button, Element);
  await isDrawn;
  const line = (uid) => byId.get("deliveries").children.find((one) => one.dataset.uid === uid);
  const button = (uid, text) => line(uid).querySelectorAll("button").find((one) => one.textContent === text);
  return { document, at: (id) => byId.get(id), button };
}

test("the keyboard stays where it is when the table is drawn anew", async () => {
  const two = [delivery("a", "Success"), delivery("b", "Failure")];
  const tried = [two[0], delivery("b", "Retry")];
  const { document, at, button } = await open([[two], [two], [two], [tried], [[two[0]], "next"], [[two[1]]]]);
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

test("deliveries are found by each status that they can have", () => {
  const calls = JSON.parse(asset("openapi.json")).paths["/portal-api/eventdeliveries"];
  const known = calls.get.parameters.find((one) => one.name === "status").schema.items.enum;
  const select = /<select id="status">(.*?)<\/select>/.exec(html)[1];
  const offered = Array.from(select.matchAll(/<option>(\w+)/g), ([, name]) => name);
  assert.deepEqual(offered.sort(), [...known].sort());
});
