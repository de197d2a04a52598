import { events } from "./events.js";
import { rows } from "./table.js";

document.querySelector("#events").innerHTML = rows(events);
