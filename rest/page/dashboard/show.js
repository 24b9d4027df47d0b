// Puts things on the page. Whatever the API says becomes text, never markup:
// labels and names are other people's words.

export const $ = (id) => document.getElementById(id);

export function element(name, text = "", props = {}) {
  const e = Object.assign(document.createElement(name), props);
  if (text !== "") e.textContent = text;
  return e;
}

export const mono = (text) => element("code", text);
export const aside = (text) => element("span", text, { className: "aside" });
export const state = (text, kind) => { const e = element("span", text); e.dataset.state = kind; return e; };
export const pairs = (map) => Object.entries(map ?? {}).map(([k, v]) => `${k}=${v}`).join(", ");
export const short = (id) => id.length > 20 ? `${id.slice(0, 10)}…${id.slice(-6)}` : id;
export const shortID = (id) => Object.assign(mono(short(id)), { title: id });
export const trip = (ms) => ms ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : "–";
const size = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function bytes(n) {
  let unit = 0;
  for (; n >= 1000 && unit < 5; unit++) n /= 1000;
  return `${size.format(n)} ${["B", "kB", "MB", "GB", "TB", "PB"][unit]}`;
}

export function duration(s) {
  const parts = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"], [Math.floor(s / 60) % 60, "min"], [Math.floor(s) % 60, "s"]];
  const first = parts.findIndex(([n]) => n > 0);
  return first < 0 ? "0 s" : parts.slice(first, first + 2).map(([n, unit]) => `${n} ${unit}`).join(" ");
}

export function together(...parts) {
  const e = element("span");
  e.append(...parts);
  return e;
}

export function say(text) { $("status").textContent = text; }

export function complain(section, reason) {
  const line = section.querySelector(".error");
  line.textContent = reason ? reason.message : "";
  line.hidden = !reason;
}

// changed tells that the lists may be out of date.
export const changed = () => document.dispatchEvent(new Event("mesh-changed"));

export function button(text, about, press) {
  const b = element("button", text, { type: "button" });
  b.append(aside(` ${about}`));
  b.addEventListener("click", () => press(b));
  return b;
}

// fill shows items as rows. A row whose item is as before stays, and with it
// the focus in it.
export function fill(section, items, key, cells) {
  const table = section.querySelector("table"), body = table.tBodies[0];
  const columns = [...table.tHead.rows[0].cells].map((c) => c.textContent);
  const old = new Map([...body.rows].map((row) => [row.known, row]));
  const rows = items.map((item) => {
    const known = JSON.stringify([key(item), item]);
    return old.get(known) ?? row(known, cells(item), columns);
  });
  const wanted = new Set(rows);
  for (const gone of [...body.rows]) if (!wanted.has(gone)) gone.remove();
  rows.forEach((r, i) => { if (body.rows[i] !== r) body.insertBefore(r, body.rows[i] ?? null); });
  table.hidden = items.length === 0;
  section.querySelector(".empty").hidden = items.length > 0;
}

function row(known, cells, columns) {
  const r = element("tr", "", { known });
  cells.forEach((content, i) => {
    const cell = r.insertCell();
    cell.dataset.column = columns[i];
    cell.append(...[content].flat());
    if (i === cells.length - 1 && Array.isArray(content)) cell.className = "acts";
  });
  return r;
}
