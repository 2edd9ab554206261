"use strict";
const METHODS = ["get", "post", "put", "patch", "delete", "head"];
const byId = (id) => document.getElementById(id);

/** make("p", {class: "a"}, "text", node, …); text is text, never markup. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text with `code` in it. */
const prose = (text) =>
  (text ?? "").split("`").map((part, i) => (i % 2 ? make("code", null, part) : part));

fetch("/openapi.json")
  .then((reply) => {
    if (!reply.ok) throw new Error(`openapi.json: ${reply.status}`);
    return reply.json();
  })
  .then(show)
  .catch((error) => {
    byId("failed").textContent = `The document could not be read: ${error.message}`;
    byId("failed").hidden = false;
  });

function show(doc) {
  const resolve = (value) => {
    if (value?.allOf) return { ...resolve(value.allOf[0]), ...value, allOf: undefined };
    if (!value?.$ref) return value ?? {};
    const target = value.$ref.slice(2).split("/").reduce((at, part) => at[part], doc);
    return { ...target, ...value, $ref: undefined };
  };

  const typeOf = (schema) => {
    if (schema.$ref) return "object";
    if (schema.type === "array") return `${typeOf(schema.items ?? {})}[]`;
    const types = [schema.type ?? "any"].flat();
    return types.join(" or ") + (schema.format ? ` (${schema.format})` : "");
  };

  const limits = (schema) => {
    const of = schema.items?.enum ?? schema.enum;
    const said = [];
    if (of) said.push("One of " + of.map((one) => "`" + (one === "" ? '""' : one) + "`").join(", ") + ".");
    if (schema.minimum) said.push(`At least ${schema.minimum}.`);
    if (schema.maximum !== undefined) said.push(`At most ${schema.maximum}.`);
    if (schema.maxLength) said.push(`At most ${schema.maxLength} characters.`);
    if (schema.maxItems) said.push(`At most ${schema.maxItems}.`);
    if (schema.default !== undefined) said.push("Default `" + schema.default + "`.");
    if (schema.deprecated) said.push("Deprecated.");
    return said.join(" ");
  };

  const row = (name, schema, required, about) =>
    make("tr", null,
      make("th", { scope: "row" }, make("code", null, name), required ? make("span", { class: "must" }, " required") : null),
      make("td", null, typeOf(schema)),
      make("td", null, ...prose([about, limits(schema)].filter(Boolean).join(" "))));

  /** A row for each field, those of inner objects too. */
  const rows = (schema, prefix = "", seen = []) => {
    const whole = resolve(schema);
    const must = (name) => whole.required?.includes(name) ?? false;
    const fields = Object.entries(whole.properties ?? {}).sort(([a], [b]) => must(b) - must(a));
    return fields.flatMap(([name, field]) => {
      const inner = resolve(field.type === "array" ? field.items : field);
      const ref = field.$ref ?? field.items?.$ref;
      const path = prefix + name + (field.type === "array" && inner.properties ? "[]" : "");
      const own = row(prefix + name, field.$ref ? { ...resolve(field), ...field } : field, must(name), field.description);
      const deeper = inner.properties && !(ref && seen.includes(ref));
      return deeper ? [own, ...rows(inner, `${path}.`, [...seen, ref])] : [own];
    });
  };

  const table = (caption, body) =>
    make("table", null, make("caption", null, caption),
      make("thead", null, make("tr", null, ...["Name", "Type", "Meaning"].map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", null, ...body));

  const code = (text, label) => {
    const copy = make("button", { class: "copy", type: "button", "aria-label": `Copy ${label}` }, "Copy");
    const pre = make("pre", { tabindex: "0", "aria-label": label }, make("code", null, text));
    copy.addEventListener("click", () => navigator.clipboard?.writeText(pre.textContent).then(() => {
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    }));
    return make("div", { class: "code" }, pre, copy);
  };

  /** Filled when it is opened. */
  const fold = (title, fill) => {
    const details = make("details", null, make("summary", null, ...prose(title)));
    details.addEventListener("toggle", () => details.append(...fill()), { once: true });
    return details;
  };

  const json = (value) => JSON.stringify(value, null, 2);
  const commands = [];
  const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

  function command(method, path, operation, ids, example) {
    const project = byId("project").value.trim();
    const key = byId("key").value.trim();
    let url = location.origin + path;
    for (const id of ids) {
      const value = id.name === "projectID" && project ? project : id.example;
      url = url.replace(`{${id.name}}`, encodeURIComponent(value));
    }
    const parts = ["curl -sS", method === "GET" ? "" : method === "HEAD" ? "-I" : `-X ${method}`];
    if (!(operation.security?.length === 0)) parts.push(`\\\n  -H ${quote(`Authorization: Bearer ${key || "$KEY"}`).replace("'Authorization: Bearer $KEY'", '"Authorization: Bearer $KEY"')}`);
    if (example !== undefined) parts.push(`\\\n  -H 'Content-Type: application/json' -d ${quote(JSON.stringify(example))}`);
    parts.push(`\\\n  ${quote(url)}`);
    return parts.filter(Boolean).join(" ");
  }

  function call(path, method, operation, shared) {
    const name = method.toUpperCase();
    const parameters = [...(shared ?? []), ...(operation.parameters ?? [])].map(resolve);
    const ids = parameters.filter((one) => one.in === "path");
    const query = parameters.filter((one) => one.in !== "path");
    const section = make("section", { id: operation.operationId, "aria-labelledby": `${operation.operationId}-title` },
      make("h3", { id: `${operation.operationId}-title` }, operation.summary),
      make("p", { class: "path" }, make("span", { class: `method ${name}` }, name), " ", path));
    if (operation.description) section.append(make("p", null, ...prose(operation.description)));
    if (operation.security?.length === 0) section.append(make("p", null, "Needs no key."));
    const given = (list, title) =>
      list.length && section.append(table(title, list.map((one) => row(one.name, one.schema, one.required, one.description))));
    given(ids, "In the path");
    given(query, "In the query");
    const content = operation.requestBody?.content?.["application/json"];
    const examples = content?.examples ? Object.values(content.examples).map((one) => one.value) : content ? [content.example] : [];
    if (content) {
      const schema = content.schema.type === "array" ? content.schema.items : content.schema;
      section.append(table(content.schema.type === "array" ? "Each item of the body" : "In the body", rows(schema)));
    }
    for (const example of examples) section.append(code(json(example), "an example of the body"));
    const curl = code("", "the command");
    const fill = () => (curl.querySelector("code").textContent = command(name, path, operation, ids, examples[0]));
    commands.push(fill);
    fill();
    section.append(curl, make("h4", null, "Answers"));
    const answers = make("ul");
    for (const [status, raw] of Object.entries(operation.responses)) {
      const answer = resolve(raw);
      const shown = Object.values(answer.content ?? {})[0];
      const item = make("li", null, make("strong", null, status), " ", ...prose(answer.description));
      if (status < 400 && shown?.example) {
        const fields = resolve(shown.schema).properties?.data;
        item.append(fold("Example", () => [code(json(shown.example), "an example of the answer")]));
        const all = fields ? rows({ properties: { data: fields } }) : [];
        if (all.length > 1) item.append(fold("Fields", () => [table("In the answer", rows({ properties: { data: fields } }))]));
      }
      answers.append(item);
    }
    section.append(answers);
    return section;
  }

  byId("version").textContent = doc.info.version;
  byId("about").append(...doc.info.description.split("\n\n").map((text) => make("p", null, ...prose(text))));
  const links = [];
  for (const tag of doc.tags) {
    const list = make("ul");
    const head = make("h2", { id: `tag-${tag.name}` }, tag.name);
    const group = make("div", null, head, make("p", null, ...prose(tag.description)));
    const title = make("h2", null, tag.name);
    for (const [path, item] of Object.entries(doc.paths)) {
      for (const method of METHODS.filter((one) => item[one]?.tags.includes(tag.name))) {
        const operation = item[method];
        const section = call(path, method, operation, item.parameters);
        const entry = make("li", null, make("a", { href: `#${operation.operationId}` },
          make("span", { class: `method ${method.toUpperCase()}` }, method.toUpperCase()), make("span", null, operation.summary)));
        links.push({ entry, section, title, group, text: `${method} ${path} ${operation.summary} ${operation.operationId}`.toLowerCase() });
        list.append(entry);
        group.append(section);
      }
    }
    byId("contents").append(title, list);
    byId("calls").append(group);
  }

  const find = () => {
    const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const link of links) {
      const fits = words.every((word) => link.text.includes(word));
      link.entry.hidden = link.section.hidden = !fits;
      count += fits;
    }
    for (const { title, group } of links) {
      title.hidden = group.hidden = links.every((link) => link.group !== group || link.section.hidden);
    }
    byId("found").textContent = words.length ? `${count} of ${links.length} calls` : "";
  };
  byId("find").addEventListener("input", find);
  byId("yours").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["project", "key"]) byId(id).addEventListener("input", () => commands.forEach((fill) => fill()));
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}
