import assert from "node:assert/strict";
import { test } from "node:test";

import { greeting } from "./greeting.ts";

test("greets by name", () => {
  assert.equal(greeting("Ada", 60_000), "hello, Ada; up for 1 minute\n");
});

test("greets who gives no name", () => {
  assert.equal(greeting("  ", 0), "hello, stranger; up for 0 ms\n");
});
