// Talks to the node that served the page.

export const api = "api/v1/";
const longestPause = 5000; // ms between tries to reopen a stream
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// explain is a problem of RFC 9457 in words.
export function explain(problem, status) {
  const fields = (problem.errors ?? []).map((e) => `${e.location ?? ""} ${e.message}`.trim());
  const said = [problem.detail || problem.title || `the node answered ${status}`, ...fields].join("; ");
  return said[0].toUpperCase() + said.slice(1) + (status === 401 ? " Reload the page to enter it." : "");
}

export async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", ...options });
  } catch (reason) {
    if (options.signal?.aborted) throw reason;
    throw new Error("The node does not answer.");
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(explain(problem, answer.status)), { problem, status: answer.status });
  }
  return answer;
}

export const get = async (path) => (await call(path)).json();
export const post = (path, body) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// events reads one stream of server-sent events (HTML standard 9.2). Unlike
// EventSource it yields kinds that it was never told of, and shows problems.
async function* events(path, last, signal) {
  const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
  const answer = await call(path, { headers, signal });
  yield { kind: "open" };
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => block.split("\n").find((l) => l.startsWith(name + ": "))?.slice(name.length + 2);
      if (field("data")) yield { kind: field("event"), id: field("id"), data: JSON.parse(field("data")) };
    }
  }
}

// follow keeps a stream open until signal says so; take gets each event. What
// the node refuses for good ends it.
export async function follow(path, signal, take, lost) {
  for (let last, pause = 500; !signal.aborted; pause = Math.min(pause * 2, longestPause)) {
    try {
      for await (const e of events(path, last, signal)) {
        last = e.id ?? last;
        pause = 500;
        take(e);
      }
      lost();
    } catch (reason) {
      if (signal.aborted) return;
      lost(reason);
      if ([401, 403, 404, 422].includes(reason.status)) return;
    }
    await wait(pause);
  }
}
