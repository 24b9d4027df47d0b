// The front page, live: events say when to look again.
import { api, call, follow } from "./call.js";
import { poll, refreshSoon, setLive } from "./refresh.js";
import { $, element } from "./show.js";
import "./upload.js";
import { pauseWatch, resumeWatch } from "./watch.js";

const pollEvery = 5000; // ms
const maxEvents = 50;

function showEvent({ kind, data }) {
  const at = new Date(data.time ?? Date.now());
  const line = element("li"), detail = kind === "gap" ? "some events were missed" : data.detail;
  line.append(element("time", at.toLocaleTimeString(), { dateTime: at.toISOString() }),
    ` ${kind.replaceAll("-", " ")} ${data.subject ?? ""}${detail ? `: ${detail}` : ""}`);
  $("no-events").hidden = true;
  $("events").prepend(line);
  while ($("events").children.length > maxEvents) $("events").lastChild.remove();
}

function takeEvent(e) {
  if (e.kind === "open") setLive("live", "good");
  else showEvent(e);
  refreshSoon();
}

// A page that nobody looks at holds no streams: a browser has six connections
// to a node for all its tabs, and the node has bounds of its own.
let looking = null;

function look() {
  if (document.hidden === !looking) return;
  if (document.hidden) {
    looking.abort();
    looking = null;
    pauseWatch();
    return;
  }
  looking = new AbortController();
  follow(api + "events", looking.signal, takeEvent, () => setLive("polling", "warn"));
  resumeWatch();
  refreshSoon();
}

document.addEventListener("visibilitychange", look);
document.addEventListener("mesh-changed", refreshSoon);
setInterval(() => looking && poll(), pollEvery);
$("logout")?.addEventListener("click", () => call("session", { method: "DELETE" }).finally(() => location.reload()));
for (const id of ["parts", "live"]) $(id).hidden = false;
if ($("logout")) $("logout").hidden = false;
look();
