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
  const events = new EventSource(address("/api/events", { run }));
  let first = true;
  let asking = null;
  events.addEventListener("change", (event) => {
    told("live");
    if (!first) changed(JSON.parse(event.data).there);
    first = false;
  });
  events.addEventListener("error", () => {
    told("lost");
    if (events.readyState === EventSource.CLOSED && asking === null) asking = setInterval(() => changed(true), 3000);
  });
  addEventListener("pagehide", () => events.close());
}

export function downloads(path, parameters) {
  return ["csv", "parquet"].map((kind) => [kind, address(`/api/${path}`, { ...parameters, format: kind })]);
}
