// What `make deploy` has to do, decided without touching anything: wrangler.toml and what wrangler's lists say go
// in, commands and the final configuration come out. `deploy.mjs` runs them.
import { posix } from "node:path";
import { isSendable } from "./lib.mjs";

/** 14 days, the longest Cloudflare keeps a message (paid plan; the free one keeps it for 86,400 s). */
export const DEAD_LETTER_RETENTION_SECS = 1_209_600;

const NAME = /^[a-z][a-z0-9-]{0,40}[a-z0-9]$/;

/** Cloudflare's rules for the names of Workers, buckets and queues, all at once; null when the name is fine. */
export function nameProblem(name) {
  return NAME.test(name) ? null : `INLET_NAME=${name}: 2 to 42 lower-case letters, digits and hyphens, starting with a letter.`;
}

/** What is wrong with a key that is to encrypt secrets, as the Worker sees it; null when it is fine. */
export function keyProblem(key) {
  const text = key.trim();
  const bytes = Buffer.from(text, "base64");
  // Buffer takes base64url, missing padding and characters that are none; the Worker does not.
  const isOne = bytes.length === 32 && bytes.toString("base64") === text && bytes.some((byte) => byte !== 0);
  return isOne ? null : "ENCRYPTION_KEY must be 32 bytes in base64, and not all zero; `openssl rand -base64 32` makes one.";
}

const ROOT_KEY_MIN_CHARS = 16;

/** What is wrong with a key that is to create projects; null when it is fine. */
export function rootKeyProblem(key) {
  const text = key.trim();
  if (text.length >= ROOT_KEY_MIN_CHARS && isSendable(text)) return null;
  return `ROOT_KEY opens every project to whoever guesses it: it must be ${ROOT_KEY_MIN_CHARS} characters or more, all of them ASCII and none a space; \`openssl rand -base64 24\` makes one.`;
}

const PROBLEMS = { ROOT_KEY: rootKeyProblem, ENCRYPTION_KEY: keyProblem };

/** What is wrong with the first of the keys that are given and cannot be used; null when all are fine. */
export function keysProblem(given) {
  const problems = Object.entries(PROBLEMS).map(([name, problem]) => (given[name] ? problem(given[name]) : null));
  return problems.find(Boolean) ?? null;
}

/** Whether it is a URL that a path can be put behind. */
export function publicUrlProblem(url) {
  const parsed = /^https?:\/\//i.test(url) && URL.canParse(url) ? new URL(url) : null;
  if (parsed && !parsed.search && !parsed.hash && !parsed.username && !parsed.password) return null;
  return `PUBLIC_URL=${url}: it has to begin with https:// or http:// and name a host, like https://hooks.example.com; a path may follow, and there is no user, query or fragment in it`;
}

/** What a value is given as to be forgotten again. */
const FORGET = "-";

/**
 * The settings of a deployment: what is given now, or else what stands in wrangler.toml, or else what was given to the
 * last one. `kept` is what that one has left behind, null when nothing is known of it.
 */
export function settings({ given, config, kept, deployed }) {
  const notes = [];
  const now = (name, former) => {
    if (given[name] === FORGET) return undefined;
    if (given[name]) return given[name];
    if (former) notes.push(`${name}=${former}, as for the last deployment (${name}=${FORGET} make deploy forgets it)`);
    else if (deployed && !kept) notes.push(`${name} is not given, and what it was for the last deployment is not known here: it has its default now`);
    return former;
  };
  const written = config.vars?.PUBLIC_URL;
  const publicUrl = given.PUBLIC_URL || !written ? now("PUBLIC_URL", kept?.PUBLIC_URL) : undefined;
  const retention = now("DLQ_RETENTION_SECS", kept?.DLQ_RETENTION_SECS);
  const seconds = Number(retention ?? DEAD_LETTER_RETENTION_SECS);
  const url = publicUrl?.trim().replace(/\/+$/, "");
  const problem =
    (url && publicUrlProblem(url)) ||
    (Number.isInteger(seconds) && seconds >= 60 && seconds <= DEAD_LETTER_RETENTION_SECS
      ? null
      : `DLQ_RETENTION_SECS must be a number of seconds from 60 to ${DEAD_LETTER_RETENTION_SECS}.`);
  return { publicUrl: url, retention: seconds, keep: { PUBLIC_URL: url, DLQ_RETENTION_SECS: retention }, notes, problem };
}

/** Whether what wrangler said of a Worker is that there is none of that name: by its words, or by Cloudflare's codes. */
export function isNoWorker(output, name) {
  const text = output.replace(/\x1b\[[0-9;]*m/g, "");
  return /\[code: (10007|10090)\]/.test(text) || new RegExp(`Worker "${name}" (\\(env: [^)]*\\) )?not found`).test(text);
}

/** `inlet-events-0` of a Worker `inlet` becomes `acme-events-0` of a Worker `acme`. */
function renamed(resource, from, to) {
  return resource === from || resource.startsWith(`${from}-`) ? to + resource.slice(from.length) : `${to}-${resource}`;
}

/** The resources that the configuration speaks of, under the names they will have. */
export function wanted(config, name) {
  const rename = (resource) => renamed(resource, config.name, name);
  const consumers = config.queues?.consumers ?? [];
  const deadLetters = new Set(consumers.map((consumer) => consumer.dead_letter_queue).filter(Boolean));
  const queues = new Set([...(config.queues?.producers ?? []), ...consumers].map(({ queue }) => queue));
  for (const queue of deadLetters) queues.add(queue);
  return {
    worker: name,
    databases: (config.d1_databases ?? []).map((db) => ({ binding: db.binding, name: rename(db.database_name) })),
    namespaces: (config.kv_namespaces ?? []).map((kv) => ({
      binding: kv.binding,
      title: `${name}-${kv.binding.toLowerCase().replaceAll("_", "-")}`,
    })),
    buckets: (config.r2_buckets ?? []).map((bucket) => ({ binding: bucket.binding, name: rename(bucket.bucket_name) })),
    queues: [...queues].map((queue) => ({ name: rename(queue), deadLetter: deadLetters.has(queue) })),
  };
}

/** The JSON that a command printed, whatever it printed around it. */
function jsonIn(text, what) {
  const begin = text.search(/^[[{]/m);
  try {
    return JSON.parse(text.slice(begin, text.search(/[\]}]\s*$/) + 1));
  } catch {
    throw new Error(`wrangler's answer to \`${what}\` is not the JSON it was asked for:\n${text.slice(0, 1000)}`);
  }
}

export const parseDatabases = (text) => jsonIn(text, "d1 list --json").map(({ name, uuid }) => ({ name, id: uuid }));
export const parseNamespaces = (text) => jsonIn(text, "kv namespace list").map(({ title, id }) => ({ title, id }));
export const parseSecrets = (text) => jsonIn(text, "secret list").map(({ name }) => name);
export const parseCount = (text) => Number(jsonIn(text, "d1 execute --json")[0].results[0].n);
export const parseNames = (text) => jsonIn(text, "d1 execute --json")[0].results.map(({ name }) => name);

/** `wrangler r2 bucket list` prints blocks of `name: …` and `creation_date: …`. */
export const parseBuckets = (text) => [...text.matchAll(/^name:\s+(\S+)\s*$/gm)].map(([, name]) => name);

/** `wrangler queues list` prints one page of a table. */
export function parseQueues(text) {
  const rows = text
    .split("\n")
    .filter((line) => line.startsWith("│"))
    .map((line) => line.split("│").slice(1, -1).map((cell) => cell.trim()));
  const [head, ...body] = rows;
  if (!head) return [];
  const column = (name) => head.indexOf(name);
  if (column("name") < 0 || column("consumers") < 0) {
    throw new Error(`wrangler's table of queues has changed, its columns are: ${head.join(", ")}`);
  }
  return body.map((row) => ({ name: row[column("name")], consumers: Number(row[column("consumers")]) }));
}

/**
 * From what is wanted and what there is to the commands that close the gap.
 *
 * `have`: `{ worker: boolean, databases, namespaces, buckets, queues }` as the parsers return them.
 * A clash is something of our name that seems to belong to someone else; with one, nothing may be run.
 */
export function plan(want, have, { retention = DEAD_LETTER_RETENTION_SECS } = {}) {
  const commands = [];
  const clashes = [];
  const named = (list, name) => list.filter((item) => item.name === name);
  // The databases are made first: where there is none of them, nothing else is ours.
  const isNew = !want.databases.some(({ name }) => named(have.databases, name).length > 0);
  const notOurs = (what) => {
    if (isNew) clashes.push(`there is ${what}, but none of the databases of an Inlet that it could belong to`);
  };

  for (const { name } of want.databases) {
    if (named(have.databases, name).length === 0) commands.push({ args: ["d1", "create", name], creates: true });
  }
  for (const { title } of want.namespaces) {
    const found = have.namespaces.filter((namespace) => namespace.title === title);
    if (found.length === 0) commands.push({ args: ["kv", "namespace", "create", title], creates: true });
    else notOurs(`a KV namespace ${title}`);
    if (found.length > 1) clashes.push(`there are ${found.length} KV namespaces called ${title}: ${found.map(({ id }) => id).join(", ")}`);
  }
  for (const { name } of want.buckets) {
    // The list shows the first buckets of an account only: ours may be there all the same.
    if (!have.buckets.includes(name)) {
      const unless = isNew ? undefined : /already exists, and you own it/i;
      commands.push({ args: ["r2", "bucket", "create", name], creates: true, unless });
    } else {
      notOurs(`a bucket ${name}`);
    }
  }
  for (const { name, deadLetter } of want.queues) {
    const keep = deadLetter ? ["--message-retention-period-secs", String(retention)] : [];
    const [found] = named(have.queues, name);
    if (!found) {
      commands.push({ args: ["queues", "create", name, ...keep], creates: true });
    } else {
      // No list tells the retention, so it is set each time.
      if (deadLetter) commands.push({ args: ["queues", "update", name, ...keep], creates: false });
      if (found.consumers > 0 && !have.worker) {
        clashes.push(
          `queue ${name} has a consumer already, but there is no Worker ${want.worker} that it could be. If you have deleted that Worker: ` +
            `npx wrangler queues consumer remove ${name} ${want.worker}`,
        );
      } else {
        notOurs(`a queue ${name}`);
      }
    }
  }
  if (have.worker && isNew) {
    clashes.push(`there is a Worker ${want.worker} already, but none of the databases of an Inlet: deploying would replace it`);
  }
  return { commands, clashes };
}

/**
 * Whether a database that has our name is somebody else's; null when it may be ours, or is empty. `tables` are the names
 * of its tables, `applied` those of the migrations that it says it has had, `own` those of the repository.
 */
export function foreignDatabase({ name, tables, applied, own }) {
  const isOurs = applied.length > 0 && own.includes(applied[0]);
  const others = tables.filter((table) => table !== "d1_migrations" && !/^(sqlite_|_cf_)/.test(table));
  if (isOurs || (others.length === 0 && applied.length === 0)) return null;
  const shown = others.length > 0 ? `the tables ${others.slice(0, 5).join(", ")}` : `the migration ${applied[0]}`;
  return `there is a database ${name} already with ${shown}, and no migration of an Inlet: it seems to be somebody else's`;
}

/** The ids behind the bindings, by binding. Placeholders of wrangler.toml stay where nothing was found. */
export function ids(want, have) {
  const found = {};
  for (const { binding, name } of want.databases) found[binding] = have.databases.find((db) => db.name === name)?.id;
  for (const { binding, title } of want.namespaces) found[binding] = have.namespaces.find((kv) => kv.title === title)?.id;
  return found;
}

/**
 * The configuration to deploy: wrangler.toml with our names and the account's ids. `up` leads from the folder it is
 * written to back to the repository. The build command goes: the Worker is built before, and once.
 */
export function deployConfig(config, name, found, { up, publicUrl }) {
  const { build: _, ...rest } = structuredClone(config);
  const rename = (resource) => renamed(resource, config.name, name);
  const result = { ...rest, name, main: posix.join(up, config.main) };
  for (const db of result.d1_databases ?? []) {
    db.database_name = rename(db.database_name);
    db.database_id = found[db.binding] ?? db.database_id;
    if (db.migrations_dir) db.migrations_dir = posix.join(up, db.migrations_dir);
  }
  for (const kv of result.kv_namespaces ?? []) kv.id = found[kv.binding] ?? kv.id;
  for (const bucket of result.r2_buckets ?? []) bucket.bucket_name = rename(bucket.bucket_name);
  for (const producer of result.queues?.producers ?? []) producer.queue = rename(producer.queue);
  for (const consumer of result.queues?.consumers ?? []) {
    consumer.queue = rename(consumer.queue);
    if (consumer.dead_letter_queue) consumer.dead_letter_queue = rename(consumer.dead_letter_queue);
  }
  if (publicUrl) result.vars = { ...result.vars, PUBLIC_URL: publicUrl };
  return result;
}

/**
 * Which secrets to set, and to what.
 *
 * `present`: names of the secrets the Worker has. `projects`: how many the control database holds. `given`: values
 * from the environment. `make`: makes up a value for a name. A new ENCRYPTION_KEY next to old data would make every
 * stored secret unreadable for good, so that is refused.
 */
export function secrets({ worker, database, config, present, projects, given, make }) {
  const set = [];
  const notes = [];
  for (const name of ["ROOT_KEY", "ENCRYPTION_KEY"]) {
    if (present.includes(name)) {
      if (given[name]) notes.push(`${name} is set already and stays as it is (to replace it: npx wrangler secret put ${name} --name ${worker})`);
      continue;
    }
    const problem = keysProblem({ [name]: given[name] });
    if (problem) return { set: [], notes, refusal: problem };
    if (name === "ENCRYPTION_KEY" && !given[name] && projects > 0) {
      return {
        set: [],
        notes,
        refusal:
          `Worker ${worker} has no secret ENCRYPTION_KEY, but the database ${database} holds ${projects} project(s), whose stored\n` +
          "secrets are encrypted with it. A new key would make all of them unreadable, so none is made.\n" +
          "  If you have the old key:  ENCRYPTION_KEY=<the old key> make deploy\n" +
          `  If it is lost for good:   npx wrangler d1 delete ${database} --config ${config}\n` +
          "                            and then make deploy; every project and every source has to be made again.",
      };
    }
    set.push({ name, value: given[name]?.trim() || make(name), made: !given[name] });
  }
  return { set, notes, refusal: null };
}

/**
 * What the last look at the deployed Worker means. `status` is 0 when there was no answer, and `text` what it said, or why
 * there was none. A Worker of ours answers 503 with a message: it runs, and says what it lacks. 500 is one that
 * does not run; what has no answer, or none of ours, may be a name that is not known everywhere yet.
 */
export function health({ url, status, text, seconds }) {
  if (status === 200) return { isWell: true, isIll: false, text: `${url}/healthz answers 200` };
  if (status === 500 || status === 503) {
    let message = text;
    try {
      message = JSON.parse(text).message ?? text;
    } catch {
      // Told as it is.
    }
    return { isWell: false, isIll: true, text: `the Worker is deployed, but ${url}/healthz answers ${status} after ${seconds} s: ${message.slice(0, 2000)}` };
  }
  const last = status === 0 ? text : `answers ${status}`;
  return { isWell: false, isIll: false, text: `${url}/healthz is not well after ${seconds} s (${last}); a new workers.dev name can take some minutes.` };
}

/** A command as one would type it. */
export const shell = (args) =>
  ["npx", "wrangler", ...args].map((word) => (/^[\w@%+=:,./<>-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
