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
  insertBefore(part, next) {
    this.insert(this.parts.indexOf(next), [part]);
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
  showModal() {
    this.open = true;
  }
  close() {
    this.open = false;
    this.fire("close");
  }
  /** Resolves when the page has done what it does then. */
  fire(kind) {
    return this.listeners[kind]({ currentTarget: this, preventDefault() {} });
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
  const sent = [];
  const fetch = async (path, init) => {
    const reply = await answered(path, init);
    return { text: async () => JSON.stringify(await reply.json()), ...reply };
  };
  const answered = async (path, { method, body: text }) => {
    asked.push(path);
    if (method !== "GET") sent.push([method, path.replace("/portal-api", ""), text]);
    const page = (content, next) => ({ content, pagination: { has_next_page: Boolean(next), next_page_cursor: next ?? "" } });
    const reply = others.find(([pattern]) => pattern.test(`${method} ${path}`));
    if (reply) return reply[1]();
    const answers = [
      [/\/portal_link$/, () => ({ name: "n", owner_id: "o", project_type: "outgoing", can_manage_endpoint: false })],
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
  const forms = () => byId.get("parts").querySelectorAll("form");
  /** What a person sees of a part of the dialog, and does in it. */
  const part = (title) => {
    const form = forms().find((one) => one.querySelector("h3").textContent.startsWith(title));
    const label = (text) => form.querySelectorAll("label").find((one) => one.textContent.trim().startsWith(text));
    return {
      form,
      field: (text) => label(text).children[0],
      press: form.querySelectorAll("button").find((one) => one.type === "submit"),
      says: () => form.querySelectorAll("p").at(-1).textContent,
      submit: async () => { await form.fire("submit"); await settled(); },
    };
  };
  const titles = () => forms().map((form) => form.querySelector("h3").textContent);
  return { document, at: (id) => byId.get(id), button, rows, asked, sent, part, titles };
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
  const empty = Array.from({ length: 4 }, () => [[], CURSOR]);
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

/** The page of a link that may change endpoints. `replies` are patterns of calls, each with a status and the data or message of the answer. */
const managing = (...replies) => holding({ can_manage_endpoint: true, project_type: "outgoing" }, ...replies);

/** The page of a link of this kind. */
async function holding(kind, ...replies) {
  const answered = (reply) => async () => {
    const [, status, value] = reply;
    const json = async () => (status < 400 ? { data: value } : { message: value });
    return { ok: status < 400, status, json, ...(value?.text && { text: async () => value.text }) };
  };
  const known = [
    [/portal_link$/, 200, { name: "n", owner_id: "o", ...kind }],
    [/GET .*\/event-types$/, 200, [{ name: "paid", deprecated_at: null }, { name: "old", deprecated_at: "2026-01-01T00:00:00Z" }]],
    [/GET .*\/endpoints\?/, 200, { content: [billing], pagination: {} }],
    [/GET .*\/eventdeliveries\?/, 200, { content: [], pagination: {} }],
    [/GET .*\/subscriptions\?/, 200, { content: [] }],
    [/GET .*\/filters$/, 200, []],
  ];
  const page = await open([], [...replies, ...known].map((reply) => [reply[0], answered(reply)]));
  const opened = async () => {
    const manage = page.at("endpoints").querySelector("button");
    manage.focus();
    await manage.fire("click");
    await settled();
  };
  return { ...page, opened };
}
const billing = {
  uid: "e", name: "billing", url: "u", description: "d", status: "active", status_reason: "",
  secrets: [{ uid: "s", value: "********abcd", created_at: "2026-11-26T12:00:00Z", expires_at: null }],
};
const FORBIDDEN = "the project says no";

test("who may not change endpoints is offered what every link may do, and no more", async () => {
  const page = await holding({ can_manage_endpoint: false, project_type: "outgoing" }, [/POST .*\/subscriptions$/, 201, {}]);
  assert.ok(page.at("new").hidden);
  assert.equal(page.at("endpoints").querySelector("button").getAttribute("aria-label"), "Events: billing");
  await page.opened();
  assert.deepEqual(page.titles(), ["Events", "Test event"]);
  await page.part("Events").submit();
  assert.deepEqual(page.sent, [["POST", "/subscriptions", '{"name":"billing","endpoint_id":"e","filter_config":{"event_types":["*"]}}']]);
  page.at("endpoints").replaceChildren();
  page.at("close").fire("click");
  assert.equal(page.document.activeElement, page.at("refresh"), "the row is gone");
});

test("in an incoming project no subscription is offered that the API would refuse", async () => {
  const page = await holding({ can_manage_endpoint: true, project_type: "incoming" }, [/POST .*\/endpoints$/, 201, { ...billing, uid: "n" }]);
  await page.at("new").fire("click");
  await settled();
  assert.equal(page.part("Endpoint").form.querySelectorAll("textarea").length, 0, "no event types");
  page.part("Endpoint").field("Name").value = "new";
  await page.part("Endpoint").submit();
  assert.deepEqual(page.sent.map(([method, path]) => [method, path]), [["POST", "/endpoints"]]);
  const events = page.part("Events");
  assert.deepEqual([events.press, events.form.querySelectorAll("textarea").length], [undefined, 0]);
  assert.match(events.form.textContent, /when the project subscribes it/);
});

test("an endpoint is created with what it is subscribed to, and its secret is shown once", async () => {
  const one = { ...billing, uid: "n", name: "new", secrets: [{ ...billing.secrets[0], value: "whsec_new" }] };
  const page = await managing([/POST .*\/endpoints$/, 201, one], [/POST .*\/subscriptions$/, 201, {}]);
  const { at, part, sent, document } = page;
  assert.ok(!at("new").hidden);
  await at("new").fire("click");
  await settled();
  assert.deepEqual([at("dialog").open, at("title").textContent], [true, "New endpoint"]);
  const form = part("Endpoint");
  form.field("Name").value = "new";
  form.field("URL").value = "u";
  const known = form.form.querySelectorAll("button").filter((button) => button.type === "button");
  assert.deepEqual(known.map((button) => button.textContent), ["paid"]);
  known[0].fire("click");
  assert.equal(form.field("Event types").value, "paid", "in the place of all");
  await form.submit();
  assert.deepEqual(sent, [
    ["POST", "/endpoints", '{"name":"new","url":"u","description":""}'],
    ["POST", "/subscriptions", '{"name":"new","endpoint_id":"n","filter_config":{"event_types":["paid"]}}'],
  ]);
  const secret = part("Signing secret").field("Copy it now");
  assert.deepEqual([at("title").textContent, secret.value, document.activeElement], ["new", "whsec_new", secret]);
});

test("a secret is shown although the subscription is refused, and what was typed stays", async () => {
  const one = { ...billing, uid: "n", secrets: [{ ...billing.secrets[0], value: "whsec_new" }] };
  const refused = await managing([/POST .*\/endpoints$/, 400, FORBIDDEN]);
  await refused.at("new").fire("click");
  const form = refused.part("Endpoint");
  form.field("Name").value = "typed";
  await form.submit();
  assert.deepEqual([form.says(), form.field("Name").value, refused.at("notice").textContent], [FORBIDDEN, "typed", ""]);
  const half = await managing([/POST .*\/endpoints$/, 201, one], [/POST .*\/subscriptions$/, 400, FORBIDDEN]);
  await half.at("new").fire("click");
  half.part("Endpoint").field("Event types").value = "a\n\n b ";
  await half.part("Endpoint").submit();
  assert.equal(half.part("Signing secret").field("Copy it now").value, "whsec_new");
  assert.equal(half.part("Events").field("Event types").value, "a\nb");
  assert.equal(half.part("Events").says(), `The endpoint is there, but not subscribed: ${FORBIDDEN}`);
});

test("an endpoint is changed, and the keyboard goes back to its row", async () => {
  const page = await managing([/PUT .*\/endpoints\/e$/, 202, { ...billing, name: "other" }]);
  const { at, part, sent, titles, opened, document } = page;
  await opened();
  assert.deepEqual(titles(), ["Endpoint", "Status", "Signing secret", "Events", "Test event", "Delete"]);
  const form = part("Endpoint");
  assert.equal(document.activeElement, form.field("Name"));
  form.field("Name").value = "other";
  await form.submit();
  assert.deepEqual(sent, [["PUT", "/endpoints/e", '{"name":"other","url":"u","description":"d"}']]);
  assert.deepEqual([form.says(), at("title").textContent], ["It is saved.", "other"]);
  await at("close").fire("click");
  assert.equal(document.activeElement, at("endpoints").querySelector("button"), "of the row as it is now");
});

test("a pause is turned round only as it is shown", async () => {
  const paused = { ...billing, status: "paused" };
  const page = await managing([/PUT .*\/pause$/, 202, paused], [/GET .*\/endpoints\/e$/, 200, billing]);
  await page.opened();
  const form = page.part("Status");
  assert.equal(form.press.textContent, "Pause");
  await form.submit();
  assert.deepEqual([form.says(), form.press.textContent], ["It is paused.", "Activate"]);
  await form.submit();
  assert.deepEqual([form.says(), form.press.textContent], ["It was changed in the meantime.", "Pause"]);
  assert.deepEqual(page.sent, [["PUT", "/endpoints/e/pause", undefined]]);
});

test("another secret is shown to who asked for it, wherever they are by then", async () => {
  const now = { ...billing, secrets: [billing.secrets[0], { ...billing.secrets[0], value: "whsec_other" }] };
  const page = await managing([/PUT .*\/expire_secret$/, 200, now]);
  await page.opened();
  page.part("Signing secret").field("Hours").value = "3";
  await page.part("Signing secret").submit();
  assert.deepEqual(page.sent, [["PUT", "/endpoints/e/expire_secret", '{"expiration":3}']]);
  assert.equal(page.part("Signing secret").field("Copy it now").value, "whsec_other");
  const late = page.part("Signing secret").submit();
  page.at("close").fire("click");
  await late;
  assert.deepEqual([page.at("dialog").open, page.part("Signing secret").field("Copy it now").value], [true, "whsec_other"]);
});

test("subscriptions are changed, stopped and started; those to a source are only shown, or removed", async () => {
  const one = (uid, source_id) => ({ uid, name: uid, source_id, status: "active", filter_config: { event_types: ["a"] } });
  const page = await managing(
    [/GET .*\/subscriptions\?/, 200, { content: [one("own", ""), one("bound", "s")] }],
    [/DELETE .*\/subscriptions\/bound$/, 200, null],
    [/PUT .*\/subscriptions\/own$/, 400, FORBIDDEN],
    [/PUT .*\/toggle_status$/, 202, { ...one("own", ""), status: "inactive" }],
  );
  await page.opened();
  assert.deepEqual(page.titles().slice(3, 5), ["Events of own", "Remove subscription own"]);
  assert.equal(page.part("Test event").field("Event type").value, "a", "one that it takes");
  const own = page.part("Events of own");
  own.field("Event types").value = "b";
  await own.submit();
  assert.deepEqual([own.says(), own.field("Event types").value], [FORBIDDEN, "b"]);
  const stop = own.form.querySelectorAll("button").at(-1);
  await stop.fire("click");
  assert.deepEqual([stop.textContent, own.says()], ["Start", "It takes no events until it is started."]);
  assert.equal(stop.getAttribute("aria-label"), "Start: own", "what it is called is what it does");
  const bound = page.part("Events of bound");
  assert.deepEqual(bound.form.querySelectorAll("button").map((button) => button.textContent), ["Try"]);
  assert.ok(bound.field("Event types").readOnly && bound.field("Filter of the body").readOnly);
  const removal = page.part("Remove subscription bound");
  assert.ok(removal.field("Yes, remove it: only the project can make it again"));
  removal.field("Yes").checked = true;
  await removal.submit();
  assert.deepEqual(page.sent, [
    ["PUT", "/subscriptions/own", '{"filter_config":{"event_types":["b"],"filter":{"body":{},"headers":{}}}}'],
    ["PUT", "/subscriptions/own/toggle_status", undefined],
    ["DELETE", "/subscriptions/bound", undefined],
  ]);
});

/** A page with one subscription, as it stands in the answer's text. */
async function filtered(filter, ...replies) {
  const text = `{"data":{"content":[{"uid":"q","name":"q","source_id":"","status":"active","filter_config":{"event_types":["paid","*"],"filter":${filter}}}]}}`;
  const page = await managing(...replies, [/GET .*\/subscriptions\?/, 200, { text }]);
  await page.opened();
  return page;
}

test("a filter is shown, changed and sent as it is written", async () => {
  const saved = [/PUT .*\/subscriptions\/q$/, 202, { filter_config: { event_types: ["*"] } }];
  const page = await filtered('{"headers":{},"body":{"id":12345678901234567890,"n":1.10,"t":"5"},"query":{"a":"1"},"path":{}}', saved);
  const form = page.part("Events of q");
  assert.equal(form.field("Filter of the body").value, '{\n  "id": 12345678901234567890,\n  "n": 1.10,\n  "t": "5"\n}');
  assert.deepEqual([form.field("Filter of the headers").value, form.field("Filter of the query").value], ["", '{\n  "a": "1"\n}']);
  form.field("Filter of the body").value = '{"id":{"$gt":12345678901234567890}}';
  form.field("Filter of the query").value = " ";
  form.field("Filter of the headers").value = '{"X-Env":"live"}';
  await form.submit();
  assert.equal(form.says(), "It is saved.");
  const filter = '{"body":{"id":{"$gt":12345678901234567890}},"headers":{"X-Env":"live"},"query":{}}';
  assert.deepEqual(page.sent, [["PUT", "/subscriptions/q", `{"filter_config":{"event_types":["paid","*"],"filter":${filter}}}`]]);
});

test("what is wrong with a field is said beside it, until it is sent again", async () => {
  const saved = [/PUT .*\/subscriptions\/q$/, 400, ""];
  const page = await filtered("{}", saved);
  const form = page.part("Events of q");
  const [types, body, headers] = ["Event types", "Filter of the body", "Filter of the headers"].map(form.field);
  for (const [message, own, says] of [
    ["filter_config.filter.body.a.$no:not an operator", body, "a.$no:not an operator"],
    ['body contains incorrect JSON type for field "filter_config.filter.headers"', headers, 'body contains incorrect JSON type for field "filter_config.filter.headers"'],
    ["filter_config.event_types:name at least one", types, "name at least one"],
  ]) {
    saved[2] = message;
    await form.submit();
    const why = own.closest("label").nextSibling;
    assert.deepEqual([why.textContent, form.says(), page.document.activeElement], [says, "", own]);
    assert.deepEqual([own.getAttribute("aria-invalid"), own.getAttribute("aria-describedby")], ["true", why.id]);
    assert.equal([types, body, headers].filter((one) => one.hasAttribute("aria-invalid")).length, 1);
  }
  saved[2] = "filter_config.filter:a filter is at most 16384 bytes";
  await form.submit();
  assert.deepEqual([form.says(), types.hasAttribute("aria-describedby")], [saved[2], false], "of no field alone");
  headers.value = "{a}";
  await form.submit();
  assert.match(headers.closest("label").nextSibling.textContent, /^This is not JSON: /);
  assert.equal(page.sent.length, 4, "what is not JSON is not sent");
});

test("a filter is tried as it stands in its fields", async () => {
  const tried = [/POST .*\/test_filter$/, 200, true];
  const page = await filtered("{}", tried);
  const form = page.part("Events of q");
  const press = form.form.querySelectorAll("button").find((one) => one.textContent === "Try");
  form.field("Filter of the body").value = '{"id":1}';
  form.field("An event's body").value = '{"id":12345678901234567890}';
  await press.fire("click");
  assert.equal(form.says(), "The filter takes such an event.");
  assert.deepEqual(page.sent, [["POST", "/subscriptions/test_filter", '{"request":{"body":{"id":12345678901234567890},"headers":{}},"schema":{"body":{"id":1},"headers":{}}}']]);
  tried[2] = false;
  await press.fire("click");
  assert.equal(form.says(), "The filter does not take such an event.");
  tried.splice(1, 2, 400, "schema.body.id:no");
  await press.fire("click");
  assert.equal(form.field("Filter of the body").closest("label").nextSibling.textContent, "id:no");
});

test("the filter that an event type has for itself is shown and changed where it differs", async () => {
  const of = (uid, event_type, enabled_at, body) => ({ uid, event_type, enabled_at, headers: {}, body, query: {}, path: {} });
  const since = "2026-11-26T12:00:00Z";
  const saved = [/PUT .*\/filters\/f$/, 400, "body.b:no"];
  const page = await filtered(
    '{"headers":{},"body":{"a":1},"query":{},"path":{}}',
    [/GET .*\/q\/filters$/, 200, [of("d", "*", since, { a: 1 }), of("f", "paid", since, { b: 1 }), of("g", "made", null, { a: 1 })]],
    saved,
    [/PUT .*\/subscriptions\/q$/, 202, { filter_config: { event_types: ["*", "made"] } }],
  );
  assert.deepEqual(page.titles().slice(3, 7), ["Events of q", "Filter of paid", "Filter of made", "Remove subscription q"]);
  assert.match(page.part("Filter of made").form.textContent, /It is disabled/);
  const form = page.part("Filter of paid");
  form.field("Filter of the body").value = '{"b":2}';
  await form.submit();
  assert.equal(form.field("Filter of the body").closest("label").nextSibling.textContent, "b:no");
  saved[1] = 200;
  await form.submit();
  assert.equal(form.says(), "It is saved.");
  assert.deepEqual(page.sent.at(-1), ["PUT", "/subscriptions/q/filters/f", '{"body":{"b":2},"headers":{}}']);
  await page.part("Events of q").submit();
  assert.deepEqual(page.titles().slice(4, 6), ["Filter of made", "Remove subscription q"], "the type is not its any more");
});

test("a subscription is removed when that is meant, and the keyboard goes on at what there is then", async () => {
  const list = [/GET .*\/subscriptions\?/, 200, { content: [{ uid: "q", name: "q", source_id: "", status: "active", filter_config: { event_types: ["a"] } }] }];
  const page = await managing([/DELETE .*\/subscriptions\/q$/, 200, null], list);
  await page.opened();
  const form = page.part("Remove subscription q");
  assert.equal(form.press.getAttribute("aria-label"), "Remove: q");
  await form.submit();
  assert.deepEqual([form.says().startsWith("Tick the box"), page.sent], [true, []]);
  form.field("Yes").checked = true;
  form.press.focus();
  list[2] = { content: [] };
  await form.submit();
  assert.deepEqual(page.sent, [["DELETE", "/subscriptions/q", undefined]]);
  assert.ok(page.at("parts").querySelectorAll("p").some((one) => one.textContent === "The subscription is removed."));
  assert.match(page.part("Events").form.textContent, /Without a subscription it gets what is sent to it/);
  assert.equal(page.document.activeElement, page.part("Events").field("Event types"));
});

test("an endpoint that is not called says why, and a subscription that it is stopped", async () => {
  const breaker = { state: "open", since: null, reason: "5 of 5 calls failed", next_try: "2026-11-26T12:00:00Z" };
  const stopped = { uid: "q", name: "q", source_id: "", status: "inactive", filter_config: { event_types: ["a"] } };
  const page = await managing(
    [/GET .*\/endpoints\?/, 200, { content: [{ ...billing, breaker }], pagination: {} }],
    [/GET .*\/subscriptions\?/, 200, { content: [stopped] }],
  );
  assert.match(page.at("endpoints").textContent, /activefails, rests/);
  await page.opened();
  assert.match(page.part("Status").form.textContent, /active, called again at .*2026.*: 5 of 5 calls failed/);
  assert.equal(page.part("Events of q").says(), "It takes no events until it is started.");
});

test("a list of subscriptions that fails can be asked for again", async () => {
  const reply = [/GET .*\/subscriptions\?/, 503, "boom"];
  const { part, opened, document } = await managing(reply);
  await opened();
  const failed = part("Events");
  assert.deepEqual([failed.says(), failed.press.textContent], ["boom", "Load"]);
  reply.splice(1, 2, 200, { content: [] });
  failed.press.focus();
  await failed.submit();
  assert.equal(part("Events").press.textContent, "Subscribe");
  assert.equal(document.activeElement, part("Events").field("Event types"));
});

test("a test event goes as it is written, or not at all", async () => {
  const list = [/GET .*\/eventdeliveries\?eventId=/, 200, { content: [delivery("d", "Success")], pagination: {} }];
  const page = await managing([/POST .*\/events$/, 201, { uid: "ev" }], list);
  await page.opened();
  const form = page.part("Test event");
  form.field("Data").value = "{a}";
  await form.submit();
  assert.match(form.field("Data").closest("label").nextSibling.textContent, /^This is not JSON: /);
  form.field("Data").value = '{"id":12345678901234567890}';
  await form.submit();
  assert.deepEqual(page.sent, [["POST", "/events", '{"endpoint_id":"e","event_type":"test","data":{"id":12345678901234567890}}']]);
  assert.match(form.says(), /^It is event ev: /);
  list[2] = { content: [], pagination: {} };
  await form.submit();
  assert.match(form.says(), /^Event ev has no delivery: /);
  assert.ok(page.asked.includes("/portal-api/eventdeliveries?eventId=ev"));
});

test("what is deleted is meant to be", async () => {
  const page = await managing([/DELETE .*\/endpoints\/e$/, 200, null]);
  await page.opened();
  const form = page.part("Delete");
  await form.submit();
  assert.deepEqual([form.says().startsWith("Tick the box"), page.sent], [true, []]);
  form.field("Yes").checked = true;
  await form.submit();
  assert.deepEqual(page.sent, [["DELETE", "/endpoints/e", undefined]]);
  assert.deepEqual([page.at("dialog").open, page.at("notice").textContent], [false, "The endpoint is deleted."]);
  assert.equal(page.document.activeElement, page.at("new"));
});

test("what is gone is told in words where it was asked for", async () => {
  const page = await managing([/PUT .*\/endpoints\/e$/, 401, "unauthorized"]);
  await page.opened();
  await page.part("Endpoint").submit();
  assert.deepEqual([page.part("Endpoint").says(), page.at("notice").textContent], ["It is not there any more.", ""]);
});

test("the keyboard stays at an endpoint when the table is drawn anew", async () => {
  const { at, document } = await managing();
  const before = at("endpoints").querySelector("button");
  before.focus();
  await at("refresh").fire("click");
  await settled();
  const now = at("endpoints").querySelector("button");
  assert.ok(now !== before && document.activeElement === now);
});
