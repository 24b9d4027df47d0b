// Uploads of BLOBs, one after the other.
import { api, explain } from "./call.js";
import { $, button, bytes, changed, complain, element, say } from "./show.js";

const maxQueue = 200; // files that wait; further ones are left out

const queue = [];
let uploading = false;

function upload(files) {
  const room = maxQueue - queue.length;
  complain($("blobs"), files.length > room && new Error(`At most ${maxQueue} files wait; the others were left out.`));
  for (const file of [...files].slice(0, room)) queue.push(waiting(file));
  if (!uploading) drain();
}

// waiting shows a file in the list of uploads.
function waiting(file) {
  const entry = { file, line: element("li"), bar: element("progress", "", { max: 1, value: 0 }), note: element("small", "waiting"), cancelled: false };
  entry.bar.setAttribute("aria-label", `Upload of ${file.name}`);
  entry.line.append(element("span", file.name), entry.bar, entry.note, button("Cancel", file.name, () => {
    entry.cancelled = true;
    entry.request ? entry.request.abort() : entry.line.remove();
  }));
  $("uploads").append(entry.line);
  return entry;
}

async function drain() {
  uploading = true;
  while (queue.length) {
    const entry = queue.shift();
    if (entry.cancelled) continue;
    const failure = await send(entry);
    entry.line.remove();
    if (failure) complain($("blobs"), new Error(`${entry.file.name}: ${failure}`));
    else if (!entry.cancelled) say(`“${entry.file.name}” is stored.`);
    changed();
  }
  uploading = false;
}

// send resolves to why it failed, if it did. Only XMLHttpRequest tells how far
// an upload is.
function send(entry) {
  return new Promise((done) => {
    const request = entry.request = new XMLHttpRequest();
    request.open("POST", `${api}blobs?name=${encodeURIComponent(entry.file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      entry.bar.value = total ? loaded / total : 1;
      entry.note.textContent = loaded < total ? `${bytes(loaded)} of ${bytes(total)}` : "being stored";
    });
    request.addEventListener("load", () => done(request.status < 300 ? "" : explain(request.response ?? {}, request.status)));
    request.addEventListener("error", () => done("the connection broke"));
    request.addEventListener("abort", () => done(""));
    request.send(entry.file);
  });
}

$("pick").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => { upload($("files").files); $("files").value = ""; });
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind.startsWith("dragen") || kind === "dragover");
    if (kind === "drop") upload(event.dataTransfer.files);
  });
}
addEventListener("beforeunload", (event) => { if (uploading) event.preventDefault(); });
