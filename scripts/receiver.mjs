// An endpoint to deliver to: prints every request and answers 200, or the status given.
//
//   node scripts/receiver.mjs [port] [status]
import { createServer } from "node:http";

const port = Number(process.argv[2] ?? 9000);
const status = Number(process.argv[3] ?? 200);
if (!Number.isInteger(port) || !Number.isInteger(status) || status < 200 || status > 599) {
  process.stderr.write("usage: node scripts/receiver.mjs [port] [status]\n");
  process.exit(2);
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const headers = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      headers.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    }
    process.stdout.write(
      `${new Date().toISOString()} ${request.method} ${request.url} -> ${status}\n${headers.join("\n")}\n\n${Buffer.concat(chunks)}\n\n`,
    );
    response.writeHead(status, { "content-type": "text/plain" }).end(status < 300 ? "received\n" : "refused\n");
  });
  request.on("error", (error) => process.stdout.write(`request broke off: ${error.message}\n`));
});
server.on("error", (error) => {
  process.stderr.write(
    error.code === "EADDRINUSE"
      ? `port ${port} is taken; another one: node scripts/receiver.mjs ${port + 1}\n`
      : `${error.message}\n`,
  );
  process.exit(1);
});
server.listen(port, "127.0.0.1", () => process.stdout.write(`receiver on http://127.0.0.1:${port}, answers ${status}\n`));
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}
