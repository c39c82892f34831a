// Training as a film of f_k: frames are computed as they are first seen, then scrubbed.

import { address, asked, keep } from "./address.js";
import { get } from "./api.js";
import { axis, clear, draw } from "./charts.js";
import { failed, field, h, offer, percent, select, show, title } from "./dom.js";

const run = asked("run");
const state = { window: asked("window", "20"), stride: asked("stride"), centered: asked("centered", "true"), k: asked("k", "1"), coordinates: asked("coordinates", "additive"), step: asked("step") };

let film = null;
let frames = new Map();
let playing = null;
let turn = 0;

const canvas = h("div", { class: "plot narrow" });
const notes = h("p", { class: "quiet", role: "status" });
const caption = h("p", { class: "caption", "aria-live": "polite" });
const time = h("input", { type: "range", class: "cursor", min: 0, step: 1, oninput: () => look(Number(time.value)) });
const play = h("button", { type: "button", onclick: () => (playing ? stop() : start()) }, "Play");
const controls = h("form", { class: "controls", "aria-label": "Film", onsubmit: (event) => event.preventDefault() });
const files = h("div");

export async function open() {
  show(title(`Film of ${run}`), h("p", { class: "quiet" }, "Reading…"));
  const about = await get("run", { run });
  offer(about.line.kind);
  if (about.line.kind !== "training" || !about.steps) await get("film", { run }); // says why there is none
  const spacing = about.steps[1] - about.steps[0];
  state.stride ??= String(spacing);
  const most = Math.floor(about.steps[about.steps.length - 1] / state.stride);
  if (Number(state.window) > most) state.window = String(Math.max(2, most));
  const change = (name) => (value) => { state[name] = value; load(); };
  controls.replaceChildren(
    field("Direction", select([["1", "v1"], ["2", "v2"], ["3", "v3"]], state.k, change("k"))),
    field("Window", select([...new Set([...[3, 5, 10, 20].filter((size) => size <= most), Number(state.window)])].sort((a, b) => a - b), state.window, change("window"))),
    field("Window mean", select([["true", "subtracted"], ["false", "kept"]], state.centered, change("centered"))),
    field("Order of the tokens", select([["additive", "by residue"], ["discrete_log", "by discrete log"], ["gaussian", "Gaussian"]], state.coordinates, change("coordinates"))),
  );
  show(title(`Film of ${run}`), h("p", { class: "about" }, "f over its mean, of the edge of the window that ends at each snapshot. The scale is the same in all frames."), controls, h("div", { class: "player" }, play, field("Step", time)), caption, notes, canvas, files);
  await load();
}

const asks = () => ({ run, window: state.window, stride: state.stride, centered: state.centered, k: state.k, coordinates: state.coordinates });

async function load() {
  stop();
  const mine = ++turn;
  frames = new Map();
  try {
    const found = await get("film", asks());
    if (mine !== turn) return;
    film = found;
    if (film.steps.length === 0) throw new Error("No step keeps such a window; choose a smaller one.");
    play.disabled = time.disabled = false;
    time.max = film.steps.length - 1;
    const known = film.steps.indexOf(Number(state.step));
    time.value = known >= 0 ? known : film.steps.length - 1;
    files.replaceChildren(h("h2", {}, "Take it along"), h("p", {}, h("a", { href: address("/api/film.png", asks()), download: true }, "Animated PNG"), ", ", h("a", { href: address("/api/film.html", asks()), download: true }, "one HTML page"), ". Computing it takes a tenth of a second a frame."));
    await look(Number(time.value));
    fetchAll(mine);
  } catch (problem) {
    if (mine !== turn) return;
    // What was drawn of another choice does not stay beside this one.
    play.disabled = time.disabled = true;
    caption.textContent = "";
    clear(canvas);
    files.replaceChildren();
    notes.replaceChildren(failed(problem));
  }
}

async function fetchAll(mine) {
  const { steps } = film;
  for (const [i, step] of steps.entries()) {
    if (mine !== turn) return;
    await frame(step).catch(() => null);
    if (mine === turn) notes.textContent = i + 1 < steps.length ? `${i + 1} of ${steps.length} frames computed` : "";
  }
}

async function frame(step) {
  if (!frames.has(step)) {
    const values = new Float32Array(await get("frame", { ...asks(), step }, "binary"));
    const size = Math.sqrt(values.length);
    frames.set(step, Array.from({ length: size }, (_, row) => Array.from(values.subarray(row * size, (row + 1) * size), (value) => (Number.isNaN(value) ? null : value))));
  }
  return frames.get(step);
}

async function look(i) {
  const step = film.steps[i];
  const mine = turn;
  try {
    const grid = await frame(step);
    if (mine !== turn || Number(time.value) !== i) return;
    state.step = String(step);
    keep({ ...asks(), step });
    caption.textContent = `Step ${step}, test accuracy ${percent(film.test_accuracy[i])}`;
    time.setAttribute("aria-valuetext", caption.textContent);
    const names = { additive: ["a", "b"], discrete_log: ["dlog a", "dlog b"], gaussian: ["dlog(a + ib)", "dlog(a − ib)"] }[state.coordinates];
    await draw(canvas, () => ({
      traces: [{ type: "heatmap", z: grid, transpose: true, zmin: 0, zmax: 3, colorscale: "Cividis", colorbar: { thickness: 10, title: { text: "f / mean" } }, hovertemplate: "%{x}, %{y}: %{z:.3g}<extra></extra>" }],
      layout: { height: 560, xaxis: axis({ title: { text: names[0] }, constrain: "domain" }), yaxis: axis({ title: { text: names[1] }, scaleanchor: "x", constrain: "domain" }) },
    }));
  } catch (problem) {
    if (mine !== turn || Number(time.value) !== i) return;
    clear(canvas);
    caption.textContent = `Step ${step}: ${problem.message}`;
  }
}

function start() {
  play.textContent = "Stop";
  if (Number(time.value) === film.steps.length - 1) time.value = 0;
  playing = setInterval(() => {
    const next = Number(time.value) + 1;
    if (next >= film.steps.length) return stop();
    if (!frames.has(film.steps[next])) return; // waits for it
    time.value = next;
    look(next);
  }, 160);
}

function stop() {
  clearInterval(playing);
  playing = null;
  play.textContent = "Play";
}
