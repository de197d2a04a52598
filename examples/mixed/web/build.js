// Writes dist/: each file of src/ under a name that holds its digest, and manifest.json, which knows the names.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { parse } from "node:path";

const manifest = {};
await mkdir("dist", { recursive: true });
for (const file of (await readdir("src")).sort()) {
  const content = await readFile(`src/${file}`);
  const { name, ext } = parse(file);
  const digest = createHash("sha256").update(content).digest("hex").slice(0, 12);
  manifest[file] = `${name}.${digest}${ext}`;
  await writeFile(`dist/${manifest[file]}`, content);
}
await writeFile("dist/manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
