// Keeps the lists up to date.
import { $ } from "./show.js";
import { showBlobs, showListeners, showNode, showPeers, showReadiness, showServices } from "./lists.js";

const always = [showNode, showReadiness, showPeers];
const everything = [...always, showServices, showListeners, showBlobs];

// refresh shows everything anew, one round at a time: answers that overtake
// each other would show the past.
let round = null, again = false, timer = 0;

async function refresh(parts) {
  if (round) { again ||= parts === everything; return; }
  round = Promise.allSettled(parts.map((show) => show()));
  const failed = (await round).find((r) => r.status === "rejected")?.reason;
  round = null;
  $("offline").textContent = failed?.message ?? "";
  $("offline").hidden = !failed;
  if (failed && !failed.status) setLive("offline", "bad");
  else if ($("live").textContent === "offline") setLive("polling", "warn");
  if (again) { again = false; refresh(everything); }
}

export function refreshSoon() {
  timer ||= setTimeout(() => { timer = 0; refresh(everything); }, 100);
}

// poll looks after what no event tells of, or after everything without events.
export const poll = () => refresh($("live").dataset.state === "good" ? always : everything);

// setLive says how fresh the page is.
export function setLive(text, kind) {
  $("live").textContent = text;
  $("live").dataset.state = kind;
}
