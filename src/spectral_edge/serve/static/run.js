// One run: accuracy, loss and the spectrum of its updates, all at one step that a cursor chooses.

import { address, asked, keep } from "./address.js";
import { follow, get } from "./api.js";
import { axis, clear, colour, draw, label, line, logAxis, relayout } from "./charts.js";
import { failed, field, h, measured, number, offer, percent, refill, select, settled, show, title } from "./dom.js";
import { links } from "./runs.js";

const run = asked("run");
const state = { window: asked("window"), stride: asked("stride"), centered: asked("centered"), step: asked("step") };

let about = null;
let metrics = null;
let spectrum = null;
let monitor = null;
let turn = 0;

const plot = h("div", { class: "plot" });
const head = h("div");
const controls = h("form", { class: "controls", "aria-label": "Spectrum", onsubmit: (event) => event.preventDefault() });
const notes = h("p", { class: "quiet", role: "status" });
const readings = h("dl", { class: "readings", "aria-live": "polite" });
const cursor = h("input", { type: "range", class: "cursor", min: 0, step: 1, oninput: () => moveTo(steps()[cursor.value]) });
const slider = field("Step", cursor);
const connection = h("span", { class: "state" });
const files = h("div");
const layers = h("div", { class: "plot", hidden: true });
const recorded = h("p", {});

export async function open() {
  show(title(run), head, controls, notes, slider, readings, plot, layers, recorded, files);
  await refresh();
  follow(run, settled(200, refresh), (word) => { connection.dataset.connection = word; });
}

async function refresh() {
  try {
    about = await get("run", { run });
    drawHead();
    offer(about.line.kind);
    metrics = await get("metrics", { run }).catch((problem) => {
      if (!about.line.why) throw problem;
      return { step: [] }; // what is wrong is said already
    });
    if (about.line.kind === "recording" && metrics.step.length) await readMonitor();
    if (about.choices?.begin) {
      const { begin } = about.choices;
      for (const name of ["window", "stride", "centered"]) state[name] ??= String(begin[name]);
      drawControls();
      await loadSpectrum();
    } else {
      notes.textContent = about.line.why ? "" : unfinished();
      await drawPlot();
    }
  } catch (problem) {
    notes.replaceChildren(failed(problem));
  }
}

// Why there is no spectrum, and what helps.
function unfinished() {
  const { line: at, recording } = about;
  if (at.state === "running" || !recording) return at.state === "running" ? "No window of updates is complete yet." : "The run ended before a window of updates was complete.";
  const updates = Math.floor((at.step ?? 0) / recording.every);
  return `The recording ended after ${updates} ${updates === 1 ? "update" : "updates"}; a window needs ${recording.window}. Record with a smaller window=.`;
}

async function readMonitor() {
  monitor = await get("monitor", { run });
  const page = h("a", { href: address("/api/recording", { run }) }, "Report of this recording");
  recorded.replaceChildren(monitor.step.length ? page : "", monitor.modes ? ": functions and tokens of the directions, as they were kept" : "");
  layers.hidden = !monitor.layers.length;
  if (!layers.hidden) await draw(layers, whereItLies);
}

// Share of v1 in each layer over what a random direction has there, on a scale of doublings.
function whereItLies() {
  const z = monitor.layers.map((_, i) => monitor.shares.map((row) => (row[i] > 0 ? Math.log2(row[i] / monitor.expected[i]) : null)));
  return {
    traces: [{ type: "heatmap", x: monitor.step, y: monitor.layers.map(label), z, zmin: -3, zmax: 3, colorscale: "RdBu", colorbar: { title: { text: "log₂" } }, hovertemplate: "%{y}, step %{x}: log₂ %{z:.2f}<extra></extra>" }],
    layout: { height: 140 + 22 * Math.min(monitor.layers.length, 24), title: { text: "where v₁ lies: log₂ of its share over the entries' share", x: 0, font: { size: 13 } }, xaxis: axis({ title: { text: "optimizer step" } }), yaxis: axis({ title: { text: "layer" }, autorange: "reversed", type: "category" }) },
  };
}

function drawHead() {
  const { line: at } = about;
  connection.textContent = at.state;
  connection.className = `state ${at.state}`;
  const facts = [
    at.operation && `${at.operation} mod ${at.p}`, at.model, at.seed !== null && `seed ${at.seed}`,
    at.weight_decay !== null && `weight decay ${number(at.weight_decay)}`,
    at.step !== null && `step ${at.step}${at.max_steps && at.state !== "finished" ? ` of at most ${at.max_steps}` : ""}`,
    about.grok_step && `grokked at step ${about.grok_step}`, at.host && at.state === "running" && `on ${at.host}`,
  ].filter(Boolean);
  head.replaceChildren(h("p", { class: "about" }, connection, " ", facts.join(" · ")), at.why ? failed({ message: at.why }) : "");
}

function drawControls(chosen = false) {
  if (!chosen && controls.contains(document.activeElement)) return; // not from under the reader's hands
  const strides = Object.keys(about.choices.strides).map(Number).sort((a, b) => a - b);
  const windows = [3, 5, 10, 15, 20, 30, 40, 80].filter((size) => size <= about.choices.strides[state.stride]);
  if (!windows.includes(Number(state.window))) windows.push(Number(state.window));
  const choose = (name) => (value) => { state[name] = value; if (name === "stride") fitWindow(); loadSpectrum(); };
  refill(
    controls,
    field("Window (updates)", select(windows, state.window, choose("window"))),
    field("Stride (steps an update)", select(strides, state.stride, choose("stride"))),
    field("Window mean", select([["true", "subtracted"], ["false", "kept"]], state.centered, choose("centered"))),
  );
}

function fitWindow() {
  const most = about.choices.strides[state.stride];
  if (Number(state.window) > most) state.window = String(most);
  drawControls(true);
}

async function loadSpectrum() {
  const mine = ++turn;
  const wanted = { run, window: state.window, stride: state.stride, centered: state.centered };
  keep({ ...wanted, step: state.step });
  try {
    const found = await get("spectrum", wanted);
    if (mine !== turn) return; // another choice was made meanwhile
    spectrum = found;
    const thinned = spectrum.found > spectrum.steps.length + spectrum.left_out;
    notes.textContent = [
      thinned && `${spectrum.steps.length} of ${spectrum.found} windows are drawn; the download has all.`,
      spectrum.left_out && `${spectrum.left_out} windows without movement are left out.`,
    ].filter(Boolean).join(" ");
  } catch (problem) {
    if (mine !== turn) return;
    spectrum = null;
    notes.replaceChildren(failed(problem));
  }
  files.replaceChildren(h("h2", {}, "Data"), monitor ? links("monitor", { run }, "what was watched beside the spectrum") : links("metrics", { run }, "accuracy and loss"), links("spectrum", wanted, "the spectra of these windows"));
  await drawPlot();
}

const steps = () => (spectrum?.steps.length ? spectrum.steps : metrics.step);

async function drawPlot() {
  const known = steps();
  const shown = panels();
  slider.hidden = plot.hidden = shown.length === 0 || known.length === 0;
  if (plot.hidden) return void (clear(plot), readings.replaceChildren());
  await draw(plot, () => figure(panels())); // made anew where the colours change
  cursor.max = Math.max(0, known.length - 1);
  const wanted = state.step === null ? known.length - 1 : nearest(known, Number(state.step));
  cursor.value = wanted;
  if (known.length) moveTo(known[wanted], state.step !== null);
}

function nearest(known, step) {
  let best = 0;
  known.forEach((one, i) => { if (Math.abs(one - step) < Math.abs(known[best] - step)) best = i; });
  return best;
}

// All panels, the readings and the address follow one step.
function moveTo(step, chosen = true) {
  if (step === undefined) return;
  if (chosen) {
    state.step = String(step);
    keep({ run, window: state.window, stride: state.stride, centered: state.centered, step });
  }
  cursor.setAttribute("aria-valuetext", `step ${step}`);
  relayout(plot, { shapes: marks(step) });
  const m = nearest(metrics.step, step);
  const s = spectrum ? nearest(spectrum.steps, step) : null;
  const found = [["step", String(step)], ...(monitor ? watched(nearest(monitor.step, step)) : [["train accuracy", percent(metrics.train_accuracy?.[m])], ["test accuracy", percent(metrics.test_accuracy?.[m])]])];
  if (s !== null && spectrum.steps.length) {
    const sigma = spectrum.singular_values[s];
    found.push(["σ₁ … σ₃", sigma.slice(0, 3).map((value) => measured(value)).join(", ")], ["σ₁/σ₂", measured(spectrum.gap_ratios[s][0])], ["k*", String(spectrum.position[s])], ["g₂₃", measured(spectrum.eigengap[s])]);
  }
  const modes = about?.line.kind === "training" && s !== null && about.steps?.includes(step - state.window * state.stride) && about.steps.includes(step - state.stride);
  readings.replaceChildren(
    ...found.flatMap(([name, value]) => [h("div", {}, h("dt", {}, name), h("dd", {}, value))]),
    modes ? h("div", {}, h("dt", {}, "functions"), h("dd", {}, h("a", { href: address("/modes", { run, step, window: state.window, stride: state.stride, centered: state.centered }) }, "modes at this step"))) : "",
  );
}

const ratio = (at) => (monitor.update_norm?.[at] && monitor.weight_norm?.[at] ? monitor.update_norm[at] / monitor.weight_norm[at] : null);

function watched(at) {
  const known = [["|update|", monitor.update_norm?.[at]], ["|θ|", monitor.weight_norm?.[at]], ["|update|/|θ|", ratio(at)], ["learning rate", monitor.learning_rate?.[at]], ["decay share of v₁", monitor.decay_share?.[at]], ...Object.entries(monitor.noted).map(([name, values]) => [name, values[at]])];
  return known.filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => [name, number(value)]);
}

function marks(step) {
  const upright = (x, look) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: look });
  const grok = about?.grok_step ? [upright(about.grok_step, { color: colour("quiet"), width: 1, dash: "dot" })] : [];
  return [...grok, upright(step, { color: colour("link"), width: 1.5 })];
}

const noted = () => (Object.keys(monitor.noted).length ? Object.entries(monitor.noted) : monitor.learning_rate ? [["learning rate", monitor.learning_rate]] : []);

const trace = (x, y, name, index, more = {}) => ({ x, y, name, line: line(index), mode: "lines", hovertemplate: `${name} %{y:.4g}<extra></extra>`, ...more });

// What there is to draw, from the top: panels without a line are left out.
function panels() {
  const found = [];
  const add = (name, height, traces, more = {}) => { if (traces.some(({ y }) => y.some((value) => value !== null))) found.push({ name, height, traces, ...more }); };
  if (monitor) {
    const lines = noted();
    add("|update|/|θ|", 150, [trace(monitor.step, monitor.step.map((_, i) => ratio(i)), "update over weights", 0)], { log: true });
    add(lines.length === 1 ? label(lines[0][0]) : "noted", 140, lines.map(([name, values], i) => trace(monitor.step, values, label(name), i)), { log: lines.every(([, values]) => values.every((value) => value === null || value > 0)) });
  } else for (const of of ["accuracy", "loss"]) {
    const sides = ["test", "train"].map((side, i) => [side, i]).filter(([side]) => metrics[`${side}_${of}`]); // as in the report
    add(of, of === "loss" ? 140 : 150, sides.map(([side, i]) => trace(metrics.step, metrics[`${side}_${of}`], `${side} ${of}`, i)), { log: of === "loss" });
  }
  if (!spectrum?.steps.length) return found;
  const { steps: at, singular_values: sigma, gap_ratios: ratios, position } = spectrum;
  add(`σ₁ … σ${subscript(sigma[0].length)}`, 250, sigma[0].map((_, k) => trace(at, sigma.map((row) => row[k] || null), `σ${subscript(k + 1)}`, k, { line: line(k, k < 3 ? 2 : 1) })), { log: true });
  add("σₖ/σₖ₊₁", 160, [0, 1, 2].filter((k) => k < ratios[0].length).map((k) => trace(at, ratios.map((row) => row[k]), `σ${subscript(k + 1)}/σ${subscript(k + 2)}`, k)), { log: true });
  add("k*", 80, [trace(at, position, "k*", 6, { line: { ...line(6), shape: "hv" } })], { axis: { rangemode: "tozero", dtick: Math.ceil(position.reduce((a, b) => Math.max(a, b), 1) / 3) } });
  add("g₂₃", 120, [trace(at, spectrum.eigengap, "g₂₃", 6)], { log: true });
  return found;
}

const subscript = (n) => String(n).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);

const MARKS = { solid: "━", dash: "╍", dot: "┅", dashdot: "╍·", longdash: "━ ━", longdashdot: "━·" };
const LINE_OF_KEY = 15;

// Above its panel, the names of its lines in their colours, and how they are dashed; in as many lines as it takes.
function key(traces) {
  const most = Math.max(24, (plot.clientWidth - 84) / 7);
  const lines = [[]];
  let used = 0;
  for (const { name, line: { color, dash } } of traces.length > 1 ? traces : []) {
    const short = name.length > 40 ? `${name.slice(0, 39)}…` : name;
    if (used + short.length + 5 > most && used) [used] = [0, lines.push([])];
    used += short.length + 5;
    lines[lines.length - 1].push(`<span style="color:${color}">${MARKS[dash]} ${short}</span>`);
  }
  return lines.filter((names) => names.length).map((names) => names.join("   "));
}

function figure(shown) {
  const keys = shown.map(({ traces }) => key(traces));
  const [top, bottom, gap] = [8, 42, 20];
  const whole = shown.reduce((sum, { height }, i) => sum + height + LINE_OF_KEY * keys[i].length + (i ? gap : 0), 0);
  const layout = { height: whole + top + bottom, showlegend: false, hovermode: "x", margin: { l: 72, r: 12, t: top, b: bottom }, annotations: [], xaxis: axis({ title: { text: "optimizer step" }, anchor: shown.length > 1 ? `y${shown.length}` : "y" }) };
  let down = 0;
  const traces = shown.flatMap(({ name, height, traces, log, axis: more = {} }, i) => {
    down += (i ? gap : 0) + LINE_OF_KEY * keys[i].length;
    const [from, to] = [1 - (down + height) / whole, 1 - down / whole];
    down += height;
    layout.annotations.push({ xref: "paper", yref: "paper", x: 0, y: to, xanchor: "left", yanchor: "bottom", align: "left", showarrow: false, text: keys[i].join("<br>"), font: { size: 11 } });
    layout[i ? `yaxis${i + 1}` : "yaxis"] = axis({ title: { text: name.length > 18 ? `${name.slice(0, 17)}…` : name }, domain: [Math.max(0, from), to], anchor: "x", ...(log ? logAxis(traces.flatMap(({ y }) => y)) : {}), ...more });
    return traces.map((one) => ({ ...one, yaxis: i ? `y${i + 1}` : "y" }));
  });
  return { traces, layout, on: { plotly_click: (event) => moveTo(steps()[nearest(steps(), event.points[0].x)]), plotly_hover: (event) => { cursor.value = nearest(steps(), event.points[0].x); moveTo(steps()[cursor.value]); } } };
}
