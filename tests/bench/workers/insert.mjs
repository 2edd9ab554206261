// Nothing but the durable write of journal mode: one row of the journal with the bytes of the request.
export default {
  async fetch(request, env) {
    const body = await request.text();
    try {
      await env.EVENTS_0.prepare("INSERT INTO journal_0 (meta, body, is_base64) VALUES (?1, ?2, 0)")
        .bind("{}", body)
        .run();
    } catch {
      return new Response('{"status":false}', { status: 503 });
    }
    return new Response('{"status":true}', { headers: { "content-type": "application/json" } });
  },
};
