// Discovery: one service is watched, and its providers shown as they come and
// go.
import { submit } from "./acts.js";
import { api, explain, follow } from "./call.js";
import { $, complain, fill, pairs, shortID, state, trip } from "./show.js";

// watched is the service looked for, with its providers by node.
let watched = null;

function takeChange(e) {
  const { providers } = watched;
  if (e.kind === "reset") providers.clear();
  else if (e.kind === "removed") providers.delete(e.data.node);
  else if (e.kind === "closed") complain($("find-form"), new Error(explain(e.data)));
  else if (e.kind !== "open") providers.set(e.data.node, e.data);
  if (e.kind === "open") complain($("find-form"));
  showProviders();
}

function showProviders() {
  fill($("discovery"), [...watched.providers.values()].map(({ expires, ...p }) => p), (p) => p.node, (p) => [
    p.label || "–", shortID(p.node), p.tags.join(", ") || "–", pairs(p.meta) || "–",
    state(p.healthy ? "healthy" : "failing", p.healthy ? "good" : "bad"), trip(p.rtt_ms),
  ]);
  $("find-open").hidden = watched.providers.size === 0;
}

function watch(name) {
  unwatch();
  const stop = new AbortController();
  watched = { name, stop, providers: new Map() };
  $("find-stop").hidden = false;
  $("find-open").firstChild.href = `${api}forward/${encodeURIComponent(name)}/`;
  const lost = (reason) => reason && complain($("find-form"), reason);
  follow(`${api}discovery/${encodeURIComponent(name)}/watch`, stop.signal, (e) => !stop.signal.aborted && takeChange(e), lost);
}

function unwatch() {
  watched?.stop.abort();
  watched = null;
  complain($("find-form"));
  for (const part of [$("find-stop"), $("find-open"), $("discovery").querySelector("table"), $("discovery").querySelector(".empty")]) part.hidden = true;
}

submit($("find-form"), ({ name }) => watch(name.trim()));
$("find-stop").addEventListener("click", unwatch);

export const pauseWatch = () => watched?.stop.abort();
export const resumeWatch = () => watched && watch(watched.name);
