import { escape } from "html-escaper";

/** The events as rows of a table. */
export function rows(events) {
  return Object.entries(events)
    .map(([name, doc]) => `<tr><td>${escape(name)}<td>${escape(doc)}`)
    .join("\n");
}
