import assert from "node:assert/strict";
import { test } from "node:test";

import { rows } from "./table.js";

test("signs of HTML stay text", () => {
  assert.equal(rows({ "a.b": "x < y & z" }), "<tr><td>a.b<td>x &lt; y &amp; z");
});
