// Nothing but the durable write of queue mode: one message with the bytes of the request.
export default {
  async fetch(request, env) {
    const body = new Uint8Array(await request.arrayBuffer());
    try {
      await env.INGEST_0.send(body, { contentType: "bytes" });
    } catch {
      return new Response('{"status":false}', { status: 503 });
    }
    return new Response('{"status":true}', { headers: { "content-type": "application/json" } });
  },
};
