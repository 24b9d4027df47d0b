// What the forms and buttons of the lists do.
import { api, call, get, post } from "./call.js";
import { $, changed, complain, element, say, short } from "./show.js";

export const blobPath = (id) => `${api}blobs/${encodeURIComponent(id)}`;

// attempt runs what a button asks for and says what came of it.
async function attempt(section, done, work) {
  complain(section);
  try {
    await work();
    if (done) say(done);
  } catch (reason) {
    complain(section, reason);
  }
  changed();
}

const words = (text) => text.split(",").map((w) => w.trim()).filter(Boolean);

export function submit(form, work) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    work(Object.fromEntries(new FormData(form)));
  });
}

submit($("service-form"), ({ name, address, tags, meta, health, persist }) => {
  const entries = words(meta).map((pair) => { const [k, ...v] = pair.split("="); return [k.trim(), v.join("=").trim()]; });
  attempt($("service-form"), `Service ${name} is offered.`, async () => {
    await post(api + "services", {
      name, address, tags: words(tags), meta: Object.fromEntries(entries),
      ...(health && { health: { type: health } }), persist: Boolean(persist),
    });
    $("service-form").reset();
  });
});

submit($("listener-form"), ({ service, address, policy, persist }) => {
  attempt($("listener-form"), "", async () => {
    const added = await (await post(api + "listeners", { service, address, policy, persist: Boolean(persist) })).json();
    say(`${added.address} leads to ${service}.`);
  });
});

// act deletes something, and says what came of it.
async function act(done, path) {
  try {
    await call(path, { method: "DELETE" });
    say(done);
  } catch (reason) {
    say(reason.message);
  }
  changed();
}

export const withdraw = (name) => act(`Service ${name} is withdrawn.`, `${api}services/${encodeURIComponent(name)}`);
export const closePort = (l) => act(`${l.address} is closed.`, `${api}listeners/${encodeURIComponent(l.id)}`);

export async function deleteBlob(id, name) {
  const dialog = $("confirm");
  $("confirm-text").textContent = `Delete “${name}” from this node? Other nodes that have it keep it.`;
  dialog.showModal();
  // Not the close event: it comes late, perhaps when the next question is open.
  const answer = await new Promise((chosen) => {
    dialog.querySelector("form").onsubmit = (event) => chosen(event.submitter?.value);
    dialog.oncancel = () => chosen("");
  });
  if (answer === "yes") await act(`“${name}” is deleted.`, blobPath(id));
}

export async function showSeeders(id, said) {
  said.textContent = "…";
  try {
    const { seeders } = await get(blobPath(id) + "/seeders");
    said.textContent = seeders.map((s) => s.label || short(s.node)).join(", ") || "nobody";
  } catch (reason) {
    said.textContent = reason.message;
  }
}

// copy needs a fallback: pages that came over plain HTTP have no clipboard.
export async function copy(text, pressed) {
  let copied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = element("textarea", "", { value: text });
    pressed.after(box);
    box.select();
    copied = document.execCommand("copy");
    box.remove();
    pressed.focus();
  }
  say(copied ? "The id is copied." : `The browser does not let the page copy. The id is ${text}`);
}
