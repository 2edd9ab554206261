// Reads the request and answers: what the runtime costs without any work.
export default {
  async fetch(request) {
    await request.arrayBuffer();
    return new Response('{"status":true}', { headers: { "content-type": "application/json" } });
  },
};
