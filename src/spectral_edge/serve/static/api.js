// Requests to this server, and word of what has changed.

import { address } from "./address.js";

export async function get(path, parameters = {}, kind = "json") {
  let answer;
  try {
    answer = await fetch(address(`/api/${path}`, parameters));
  } catch {
    throw new Error("The server does not answer. Is `spectral-edge serve` still running?");
  }
  if (answer.status === 403) throw new Error("This needs the token: open the address that `spectral-edge serve` printed.");
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.error || `The server answered ${answer.status}.`);
  }
  return kind === "json" ? answer.json() : answer.arrayBuffer();
}

// Calls `changed` whenever the run (or, without one, any run) has gone on: events, or a question every 3 s without them.
export function follow(run, changed, told = () => {}) {
  let events = null;
  let asking = null;
  const listen = () => {
    let first = true;
    events = new EventSource(address("/api/events", { run }));
    events.addEventListener("change", () => {
      told("live");
      clearInterval(asking);
      asking = null;
      if (!first) changed();
      first = false;
    });
    events.addEventListener("error", () => {
      told("lost"); // the browser tries again by itself, if it can; meanwhile this page asks
      asking ??= setInterval(changed, 3000);
    });
  };
  // A browser opens six connections to a server: a tab that nobody looks at must not hold one.
  const seen = () => {
    if (document.hidden) {
      events?.close();
      events = null;
      clearInterval(asking);
      asking = null;
    } else if (events === null) {
      listen();
      changed();
    }
  };
  document.addEventListener("visibilitychange", seen);
  addEventListener("pagehide", () => events?.close());
  if (!document.hidden) listen();
}

export function downloads(path, parameters) {
  return ["csv", "parquet"].map((kind) => [kind, address(`/api/${path}`, { ...parameters, format: kind })]);
}
