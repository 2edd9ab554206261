// A client that is typed by the document of the API, and by nothing else: `scripts/openapi.test.mjs` makes `api.ts` of the
// document and checks this file against it. It is never run.
import type { components, operations, paths } from "./api";

type Body<Id extends keyof operations> = operations[Id] extends {
  requestBody: { content: { "application/json": infer Body } };
}
  ? Body
  : never;

/** The body of the answer with this status. */
type Answer<Id extends keyof operations, Status extends number> = operations[Id] extends {
  responses: { [status in Status]: { content: { "application/json": infer Answer } } };
}
  ? Answer
  : never;

async function call<Answer>(method: string, path: keyof paths, body?: unknown): Promise<Answer> {
  const request: RequestInit = { method };
  if (body !== undefined) request.body = JSON.stringify(body);
  return (await (await fetch(path, request)).json()) as Answer;
}

const inProject = "/api/v1/projects/{projectID}";

export async function story(): Promise<string> {
  const source: Body<"createSource"> = {
    name: "github",
    type: "http",
    provider: "github",
    verifier: { type: "hmac", hmac: { secret: "a secret" } },
    custom_response: { body: "thanks", content_type: "text/plain" },
  };
  const made = await call<Answer<"createSource", 201>>("POST", `${inProject}/sources`, source);
  const endpoint: Body<"createEndpoint"> = { name: "billing", url: "https://example.com/hooks", http_timeout: 20 };
  const receiver = await call<Answer<"createEndpoint", 201>>("POST", `${inProject}/endpoints`, endpoint);
  const subscription: Body<"createSubscription"> = {
    name: "all",
    source_id: made.data.uid,
    endpoint_id: receiver.data.uid,
    filter_config: { event_types: ["push"], filter: { body: { action: "opened" } } },
  };
  await call<Answer<"createSubscription", 201>>("POST", `${inProject}/subscriptions`, subscription);

  const event: Body<"pushEvent"> = { endpoint_id: receiver.data.uid, event_type: "push", data: { n: 1 } };
  const pushed = await call<Answer<"pushEvent", 201>>("POST", `${inProject}/events`, event);
  const uid: string = pushed.data.uid;
  const found = await call<Answer<"listDeliveries", 200>>("GET", `${inProject}/eventdeliveries`);
  const failed = found.data.content.filter((delivery) => delivery.status === "Failure");
  const cursor: string = found.data.pagination.next_page_cursor;
  const retried = await call<Answer<"retryDeliveries", 200>>("POST", `${inProject}/eventdeliveries/batchretry`);
  const reasons: string[] = retried.data.reasons.map((one) => `${one.num}: ${one.reason}`);
  const batch: Body<"pushEvents"> = [event, event];
  const some = await call<Answer<"pushEvents", 207>>("POST", `${inProject}/events/batch`, batch);
  const lost = some.data.filter((one) => !one.status).length;
  return [uid, cursor, failed.length, lost, ...reasons].join("\n");
}

export function delivery(one: components["schemas"]["Delivery"]): string {
  return `${one.uid} ${one.status} ${one.description}`;
}

// What is wrong has to be seen: each of these lines is an error, or the check fails.
// @ts-expect-error: a name is needed
export const nameless: Body<"createEndpoint"> = { url: "https://example.com/" };
// @ts-expect-error: a timeout is a number
export const untimely: Body<"createEndpoint"> = { name: "a", url: "https://example.com/", http_timeout: [] };
// @ts-expect-error: no such state
export const stateless: components["schemas"]["Delivery"]["status"] = "Delivered";
// @ts-expect-error: no such path
export const nowhere: keyof paths = "/api/v1/projects/{projectID}/hooks";
