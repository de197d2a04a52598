import { createServer } from "node:http";

import { greeting } from "./greeting.ts";

const port = Number(process.env.PORT ?? 3000);

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://localhost");
  if (url.pathname === "/healthz") {
    response.end("ok\n");
    return;
  }
  const name = url.searchParams.get("name") ?? "";
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(greeting(name, Math.round(process.uptime() * 1000)));
});

server.listen(port, () => console.log(`listening on ${port}`));
process.on("SIGTERM", () => server.close());
