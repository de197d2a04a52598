// Writes dist/: the page, its script, and what the script imports, side by side for the browser.
import { cp, mkdir } from "node:fs/promises";

const files = {
  "index.html": "index.html",
  "src/page.js": "page.js",
  "src/table.js": "table.js",
  "shared/events.js": "events.js",
  "node_modules/html-escaper/esm/index.js": "html-escaper.js",
};

await mkdir("dist", { recursive: true });
for (const [from, to] of Object.entries(files)) {
  await cp(from, `dist/${to}`);
}
