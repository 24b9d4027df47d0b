// The lists of the node: what it is, whom it knows, what it has.
import { api, call, get } from "./call.js";
import { blobPath, closePort, copy, deleteBlob, showSeeders, withdraw } from "./acts.js";
import { $, aside, button, bytes, changed, duration, element, fill, mono, pairs, short, shortID, state, together, trip } from "./show.js";

const firstRows = 100, mostRows = 1000;

const limits = {}; // section id to how many rows are asked for

async function list(id, member, key, cells) {
  const section = $(id), limit = limits[id] ?? firstRows;
  const answer = await get(`${api}${id}?limit=${limit}`);
  fill(section, answer[member] ?? [], key, cells);
  section.querySelector(".more")?.remove();
  if (!answer.next) return;
  const more = element("p", "", { className: "more note" });
  more.append(limit < mostRows
    ? button("Show more", id, () => { limits[id] = mostRows; changed(); })
    : `The first ${limit}; the API lists the rest.`);
  section.querySelector("table").after(more);
}

export async function showNode() {
  const n = await get(api + "node");
  $("node-id").textContent = n.id;
  $("node-did").textContent = n.did;
  $("node-consortium").textContent = n.consortium || "none: the mesh is open";
  $("node-addresses").textContent = n.addresses.join("\n");
  $("node-uptime").textContent = duration(n.uptime_s);
  $("node-peers").textContent = n.peers;
  $("node-version").textContent = n.version;
}

export async function showReadiness() {
  const problem = await call("readyz").then(() => ({ reasons: [] }), (e) => e.problem);
  if (!problem?.reasons) return; // the node is away, which the others tell
  const ready = problem.reasons.length === 0;
  $("ready").textContent = ready ? "ready" : "not ready";
  $("ready").dataset.state = ready ? "good" : "warn";
  $("reasons").replaceChildren(...problem.reasons.map((r) => element("li", r)));
}

export const showPeers = () => list("peers", "peers", (p) => p.id, (p) => [
  p.label || "–", shortID(p.id), mono(p.address), p.path || "–", trip(p.rtt_ms),
  state(p.state, p.state === "active" ? "good" : "idle"),
]);

export const showServices = () => list("services", "services", (s) => s.name, (s) => [
  s.name, mono(s.address), s.tags.join(", ") || "–", pairs(s.meta) || "–", s.health?.type ?? "–",
  [button("Withdraw", s.name, () => withdraw(s.name))],
]);

export const showListeners = () => list("listeners", "listeners", (l) => l.id, (l) => [
  l.service, mono(l.address), l.policy, l.persist ? "yes" : "no",
  [button("Close", `${l.service} at ${l.address}`, () => closePort(l))],
]);

export const showBlobs = () => list("blobs", "blobs", (b) => b.id, (b) => {
  const name = b.name || short(b.id), said = element("span", "", { role: "status" });
  const download = element("a", "Download", { href: blobPath(b.id), download: b.name || b.id });
  download.append(aside(` ${name}`));
  return [
    b.name || "–", shortID(b.id), element("span", bytes(b.size), { className: "num", title: `${b.size} bytes` }),
    element("time", new Date(b.added).toLocaleString(), { dateTime: b.added, className: "num" }),
    together(button("Ask", `who has ${name}`, () => showSeeders(b.id, said)), " ", said),
    [download, " ", button("Copy id", `of ${name}`, (pressed) => copy(b.id, pressed)), " ",
      button("Delete", name, () => deleteBlob(b.id, name))],
  ];
});
