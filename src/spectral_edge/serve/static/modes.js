// What a direction does to the function, and what a random direction does: the same panel twice.

import { asked, keep } from "./address.js";
import { get } from "./api.js";
import { axis, clear, colour, draw, line } from "./charts.js";
import { failed, field, h, measured, number, offer, percent, refill, select, settled, show, title } from "./dom.js";
import { links } from "./runs.js";

const run = asked("run");
const state = {
  step: asked("step"), window: asked("window"), stride: asked("stride"), centered: asked("centered"),
  weights: asked("weights", "1"), basis: asked("basis"), coordinates: asked("coordinates", "additive"),
  inputs: asked("inputs", "test"), random: asked("random", "1"),
  frequency: asked("frequency"), omega_a: asked("omega_a"), omega_b: asked("omega_b"),
};

let about = null;
let latest = 0;

const controls = h("form", { class: "controls", "aria-label": "What is shown", onsubmit: (event) => event.preventDefault() });
const sliders = h("fieldset", { class: "sliders" });
const verdict = h("p", { class: "verdict", role: "status" });
const notes = h("p", { class: "quiet", role: "status" });
const sides = { edge: side("Edge"), random: side("A random direction") };
const files = h("div");

function side(name) {
  const parts = { heading: h("h2", {}, name), facts: h("p", { class: "about" }), grid: h("div", { class: "plot" }), spectrum: h("div", { class: "plot" }), characters: h("div", { class: "plot" }) };
  parts.section = h("section", { "aria-label": name }, ...Object.values(parts));
  return parts;
}

export async function open() {
  show(title(`Modes of ${run}`), h("p", { class: "quiet" }, "Reading…"));
  about = await get("run", { run });
  offer(about.line.kind);
  if (about.line.kind !== "training" || !about.steps) {
    await get("mode", { run, step: 0, basis: "sum" }); // says why there are none
  }
  begin();
  show(
    title(`Modes of ${run}`),
    h("p", { class: "about" }, "f(a, b) is the squared length of the derivative of the residual stream along a unit direction of the attention weights. Whether what is seen on the left is special to the edge, the right-hand side and the band of random directions say."),
    controls, sliders, verdict, notes, h("div", { class: "sides" }, sides.edge.section, sides.random.section), files,
  );
  drawControls();
  drawSliders(8);
  await load();
}

function begin() {
  const { begin: choice } = about.choices;
  const snapshots = Object.keys(about.choices.strides).map(Number).filter((stride) => about.steps.length > 1 && stride % (about.steps[1] - about.steps[0]) === 0);
  if (!snapshots.includes(Number(state.stride))) state.stride = String(snapshots.length ? Math.min(...snapshots) : choice?.stride ?? 1);
  state.centered ??= "true";
  state.basis ??= about.bases[0];
  const wanted = about.checkpoints.stop ?? about.checkpoints.final;
  state.step ??= String(wanted);
  state.window ??= largestWindow(20);
}

const largestWindow = (most) => String(Math.max(2, Math.min(most, Math.floor(state.step / state.stride))));

function possible() {
  const known = new Set(about.steps);
  const reach = state.window * state.stride;
  return about.steps.filter((step) => step >= reach && known.has(step - reach));
}

// Whether the run keeps this window of the chosen step.
function fits(window, stride) {
  const first = state.step - window * stride;
  return first >= 0 && about.steps.includes(first);
}

function fitWindow() {
  if (!fits(state.window, state.stride)) state.window = largestWindow(Number(state.window));
  drawControls();
}

function drawControls() {
  const change = (name, after = () => {}) => (value) => { state[name] = value; after(); load(); };
  const words = {};
  for (const [name, step] of Object.entries(about.checkpoints)) words[step] = words[step] ? `${words[step]}, ${name}` : name;
  const steps = possible();
  if (!steps.includes(Number(state.step))) steps.push(Number(state.step));
  const strides = Object.keys(about.choices.strides).map(Number).sort((a, b) => a - b).filter((stride) => stride % (about.steps[1] - about.steps[0]) === 0 && (fits(2, stride) || stride === Number(state.stride)));
  const windows = [...new Set([...[3, 5, 10, 15, 20, 30, 40].filter((size) => fits(size, state.stride)), Number(state.window)])].sort((a, b) => a - b);
  const forget = () => { state.frequency = state.omega_a = state.omega_b = null; };
  refill(
    controls,
    field("Step", select(steps.map((step) => [step, words[step] ? `${step}, ${words[step]}` : step]), state.step, change("step", drawControls))),
    field("Window", select(windows, state.window, change("window", drawControls))),
    field("Stride", select(strides, state.stride, change("stride", fitWindow))),
    field("Window mean", select([["true", "subtracted"], ["false", "kept"]], state.centered, change("centered"))),
    field("Basis of the spectrum", select(about.bases, state.basis, change("basis", forget))),
    field("Order of the tokens", select([["additive", "by residue"], ["discrete_log", "by discrete log"], ["gaussian", "Gaussian"]], state.coordinates, change("coordinates", forget))),
    field("Inputs of the spectrum", select([["test", "held out"], ["all", "all"]], state.inputs, change("inputs"))),
    field("Random direction", select(Array.from({ length: about.random }, (_, i) => i + 1), state.random, change("random"))),
    field("Draw only frequency", shareControl()),
  );
}

// Also for those who do not click into plots.
function shareControl() {
  const input = h("input", { type: "text", inputmode: "numeric", size: 8, value: shareText(), placeholder: "17 or 3,−5", onchange: () => {
    const numbers = input.value.replaceAll("−", "-").split(",").map((text) => parseInt(text, 10)).filter(Number.isFinite);
    choose(numbers.length === 1 ? numbers[0] : null, numbers.length === 2 ? numbers : null);
  } });
  return input;
}

const shareText = () => (state.frequency ? state.frequency : state.omega_a !== null ? `${state.omega_a},${state.omega_b}` : "");

function choose(frequency, character) {
  state.frequency = frequency === null ? null : String(frequency);
  [state.omega_a, state.omega_b] = character === null ? [null, null] : character.map(String);
  drawControls();
  load();
}

function drawSliders(k) {
  const weights = state.weights.split(",").map(Number);
  const inputs = Array.from({ length: k }, (_, i) => {
    const shown = h("output", {}, number(weights[i] ?? 0));
    const input = h("input", { type: "range", min: -1, max: 1, step: 0.05, value: weights[i] ?? 0, oninput: () => { shown.textContent = number(Number(input.value)); mixed(); } });
    return { input, element: h("div", { class: "field" }, h("label", { for: (input.id = `weight-${i + 1}`) }, `v${i + 1}`), input, shown) };
  });
  const mixed = settled(120, () => {
    const values = inputs.map(({ input }) => Number(input.value));
    while (values.length > 1 && values[values.length - 1] === 0) values.pop();
    if (values.every((value) => value === 0)) {
      ++latest;
      empty();
      return void (notes.textContent = "All weights are zero: move one slider.");
    }
    state.weights = values.join(",");
    alone.forEach((button, i) => button.setAttribute("aria-pressed", String(isAlone(i))));
    load();
  });
  const isAlone = (i) => { // the sign is no other direction
    const given = state.weights.split(",").map(Number);
    return i < given.length && given.every((weight, j) => (weight !== 0) === (i === j));
  };
  const alone = inputs.map((_, i) => h("button", { type: "button", "aria-pressed": String(isAlone(i)), onclick: () => { state.weights = [...Array(i).fill(0), 1].join(","); drawSliders(k); load(); } }, `v${i + 1}`));
  refill(sliders, h("legend", {}, "Direction: a mixture of the edge, scaled to length 1"), h("div", { class: "alone" }, "Alone: ", ...alone), ...inputs.map(({ element }) => element));
}

const common = () => ({ run, step: state.step, window: state.window, stride: state.stride, centered: state.centered, basis: state.basis, inputs: state.inputs });

async function load() {
  const turn = ++latest;
  const asks = { ...common(), weights: state.weights, coordinates: state.coordinates };
  const share = { frequency: state.frequency, omega_a: state.omega_a, omega_b: state.omega_b };
  keep({ ...asks, random: state.random, ...share });
  notes.textContent = "Computing…";
  try {
    const edge = await get("mode", asks);
    if (turn !== latest) return;
    if (sliders.querySelectorAll("input").length !== edge.k) drawSliders(edge.k);
    const part = await shareOf(asks, share);
    if (turn !== latest) return;
    await drawSide(sides.edge, edge, null, part, scalesOf([edge], [part], null));
    if (turn !== latest) return;
    notes.textContent = `Computing ${about.random} random directions…`;
    const random = { ...asks, weights: "1", random: state.random };
    const [beside, null_] = [await get("mode", random), await get("null", { ...common(), weights: state.weights })];
    const besidePart = await shareOf(random, share);
    if (turn !== latest) return;
    notes.textContent = "";
    verdict.textContent = judged(edge, null_);
    const scales = scalesOf([edge, beside], [part, besidePart], null_);
    await drawSide(sides.edge, edge, null_, part, scales);
    if (turn !== latest) return;
    await drawSide(sides.random, beside, null_, besidePart, scales);
    sides.random.heading.textContent = `Random direction ${state.random} of ${about.random}`;
    files.replaceChildren(h("h2", {}, "Data"), links("mode", asks, "f of the edge at every input"), links("mode", random, `f of random direction ${state.random}`));
  } catch (problem) {
    if (turn !== latest) return;
    empty();
    notes.replaceChildren(failed(problem));
  }
}

// What was found for another choice does not stay beside this one.
function empty() {
  verdict.textContent = "";
  files.replaceChildren();
  for (const parts of Object.values(sides)) {
    parts.facts.textContent = "";
    for (const plot of [parts.grid, parts.spectrum, parts.characters]) clear(plot);
  }
}

async function shareOf(asks, share) {
  if (!share.frequency && share.omega_a === null) return null;
  return get("share", { ...asks, ...share }).then(({ grid }) => grid);
}

// Both sides are drawn to one scale: which of the two is larger is the question.
function scalesOf(modes, parts, null_) {
  const power = Math.max(...modes.flatMap((mode) => mode.power), ...(null_?.quantile95 ?? []));
  const largest = parts.map((part, i) => (part ? Math.max(...part.flat().map(Math.abs)) / mean(modes[i].grid) : 0));
  return { power: 1.05 * power, share: Math.max(...largest) };
}

function judged(edge, null_) {
  const F = measured(edge.concentration);
  const peaks = `${null_.same_peak} of ${null_.n} random directions peak at the same frequency`;
  return `Edge: F = ${F} at ω = ${edge.peak}; random directions: mean ${measured(null_.concentration_mean)}, 95 % below ${measured(null_.concentration_quantile95)}; p = ${measured(null_.pvalue)} (${null_.n} draws, one-sided; for a direction chosen beforehand). ${peaks}.`;
}

async function drawSide(parts, mode, null_, part, scales) {
  parts.facts.textContent = `F = ${measured(mode.concentration)} at ω = ${mode.peak}; ${percent(mode.variance_share)} of the variance lies between the groups.`;
  const grid = over(part ?? mode.grid, mean(mode.grid));
  const range = part ? { zmin: -scales.share, zmax: scales.share } : { zmin: 0, zmax: 3 };
  await draw(parts.grid, () => ({ traces: [heat(grid, range)], layout: square(part ? `Share of ${shareName()}, over mean f` : "f / mean f") }));
  await draw(parts.spectrum, () => spectrumFigure(mode, null_, scales.power));
  if (mode.characters) await draw(parts.characters, () => charactersFigure(mode));
  else clear(parts.characters), parts.characters.append(h("p", { class: "quiet" }, "No 2-D spectrum: the task leaves cells of this grid empty."));
}

function shareName() {
  return state.frequency ? `ω = ${state.frequency} of ${state.basis}` : `(${state.omega_a}, ${state.omega_b})`.replaceAll("-", "−");
}

function mean(grid) {
  const known = grid.flat().filter((value) => value !== null);
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}

const over = (grid, unit) => grid.map((row) => row.map((value) => (value === null ? null : value / unit)));

// Row i is the first token: drawn across, as in the report.
function heat(grid, more) {
  return { type: "heatmap", z: grid, transpose: true, colorscale: "Cividis", colorbar: { thickness: 10, outlinewidth: 0 }, hovertemplate: "%{x}, %{y}: %{z:.4g}<extra></extra>", ...more };
}

function square(text) {
  const names = { additive: ["a", "b"], discrete_log: ["dlog a", "dlog b"], gaussian: ["dlog(a + ib)", "dlog(a − ib)"] }[state.coordinates];
  return { height: 400, title: { text, font: { size: 13 } }, xaxis: axis({ title: { text: names[0] }, constrain: "domain" }), yaxis: axis({ title: { text: names[1] }, scaleanchor: "x", constrain: "domain" }) };
}

function spectrumFigure(mode, null_, top) {
  const x = mode.power.map((_, i) => i + 1);
  const band = null_ && [
    { x, y: null_.quantile95, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false },
    { x, y: null_.median, mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: colour("band"), hoverinfo: "skip", name: "random: median to 95 %" },
  ];
  const strong = x.map((w) => String(w) === state.frequency);
  const bars = { type: "bar", x, y: mode.power, name: "f", marker: { color: strong.map((s) => line(s ? 1 : 0).color) }, hovertemplate: "ω = %{x}: %{y:.3f}<extra></extra>" };
  const layout = { height: 260, title: { text: `Spectrum over ${state.basis} (choose a bar to draw its share)`, font: { size: 13 } }, bargap: 0.25, showlegend: false, xaxis: axis({ title: { text: "frequency ω" } }), yaxis: axis({ title: { text: "share of power" }, range: [0, top] }) };
  return { traces: [...(band || []), bars], layout, on: { plotly_click: ({ points }) => choose(points[0].x === Number(state.frequency) ? null : points[0].x, null) } };
}

function charactersFigure(mode) {
  const order = mode.characters.length;
  const half = Math.floor(order / 2);
  const signed = Array.from({ length: order }, (_, i) => i - half + (order % 2 === 0 ? 1 : 0));
  const z = signed.map((wa) => signed.map((wb) => { const share = mode.characters[(wa + order) % order][(wb + order) % order]; return share > 0 ? Math.max(-5, Math.log10(share)) : -5; }));
  const [[wa, wb]] = mode.strongest;
  const share = mode.characters[(wa + order) % order][(wb + order) % order];
  const conjugate = [-wa, -wb].some((w, i) => (w + order) % order !== ([wa, wb][i] + order) % order); // f is real: it has as much there
  const ring = { x: conjugate ? [wa, -wa] : [wa], y: conjugate ? [wb, -wb] : [wb], mode: "markers", marker: { symbol: "circle-open", size: 14, color: "#E69F00", line: { width: 2 } }, hoverinfo: "skip", showlegend: false };
  const heatmap = { ...heat(z, { zmin: -5, zmax: -1.5 }), x: signed, y: signed, hovertemplate: "(%{x}, %{y}): 10^%{z:.2f}<extra></extra>" };
  const layout = { height: 400, title: { text: `log₁₀ of the share at each pair; ${percent(share)} at (${wa}, ${wb})${conjugate ? `, and at (${-wa}, ${-wb})` : ""}`.replaceAll("-", "−"), font: { size: 13 } }, xaxis: axis({ title: { text: "ω_a" }, constrain: "domain" }), yaxis: axis({ title: { text: "ω_b" }, scaleanchor: "x", constrain: "domain" }) };
  return { traces: [heatmap, ring], layout, on: { plotly_click: ({ points }) => choose(null, [points[0].x, points[0].y]) } };
}
