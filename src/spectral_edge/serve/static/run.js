// One run: accuracy, loss and the spectrum of its updates, all at one step that a cursor chooses.

import { address, asked, keep } from "./address.js";
import { follow, get } from "./api.js";
import { axis, colour, draw, label, line, relayout } from "./charts.js";
import { failed, field, h, number, percent, refill, select, settled, show, title } from "./dom.js";
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
const connection = h("span", { class: "state" });
const files = h("div");
const layers = h("div", { class: "plot", hidden: true });
const recorded = h("p", {});

export async function open() {
  show(title(run), head, controls, notes, field("Step", cursor), readings, plot, layers, recorded, files);
  await refresh();
  follow(run, settled(200, refresh), (word) => { connection.dataset.connection = word; });
}

async function refresh() {
  try {
    about = await get("run", { run });
    metrics = await get("metrics", { run });
    if (about.line.kind === "recording") await readMonitor();
    drawHead();
    if (about.choices?.begin) {
      const { begin } = about.choices;
      for (const name of ["window", "stride", "centered"]) state[name] ??= String(begin[name]);
      drawControls();
      await loadSpectrum();
    } else {
      notes.textContent = about.line.why ? "" : "No window of updates is complete yet.";
      await drawPlot();
    }
  } catch (problem) {
    notes.replaceChildren(failed(problem));
  }
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
    layout: { height: 140 + 22 * Math.min(monitor.layers.length, 24), title: { text: "where v₁ lies: log₂ of its share over the entries' share", x: 0, font: { size: 13 } }, xaxis: axis({ title: { text: "optimizer step" } }), yaxis: axis({ autorange: "reversed", type: "category" }) },
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
  await draw(plot, figure);
  const known = steps();
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
    found.push(["σ₁ … σ₃", sigma.slice(0, 3).map((value) => number(value)).join(", ")], ["σ₁/σ₂", number(spectrum.gap_ratios[s][0])], ["k*", String(spectrum.position[s])], ["g₂₃", number(spectrum.eigengap[s])]);
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

const panels = () => [...(monitor ? [["|update|/|θ|", 0.86, 1], [noted().length === 1 ? label(noted()[0][0]) : "noted", 0.7, 0.83]] : [["accuracy", 0.86, 1], ["loss", 0.7, 0.83]]), ...OF_SPECTRUM];
const noted = () => (Object.keys(monitor.noted).length ? Object.entries(monitor.noted) : monitor.learning_rate ? [["learning rate", monitor.learning_rate]] : []);
const OF_SPECTRUM = [["σ₁ … σ₁₀", 0.44, 0.67], ["σₖ/σₖ₊₁", 0.26, 0.41], ["k*", 0.15, 0.22], ["g₂₃", 0, 0.11]];

// Above its panel, the names of its lines in their colours, and how they are dashed.
function key([, , top], traces) {
  const shown = traces.length > 1 ? traces.slice(0, 4) : [];
  const names = shown.map(({ name, line: { color, dash } }) => `<span style="color:${color}">${MARKS[dash]} ${name}</span>`);
  return { xref: "paper", yref: "paper", x: 0, y: top, xanchor: "left", yanchor: "bottom", showarrow: false, text: names.join("   "), font: { size: 11 } };
}

const MARKS = { solid: "━", dash: "╍", dot: "┅", dashdot: "╍·" };

function figure() {
  const traces = [];
  const add = (panel, x, y, name, index, more = {}) => traces.push({ x, y, name, line: line(index), mode: "lines", yaxis: panel ? `y${panel + 1}` : "y", hovertemplate: `${name} %{y:.4g}<extra></extra>`, ...more });
  if (monitor) {
    add(0, monitor.step, monitor.step.map((_, i) => ratio(i)), "update over weights", 0);
    noted().forEach(([name, values], i) => add(1, monitor.step, values, label(name), i));
  } else for (const [panel, of] of [[0, "accuracy"], [1, "loss"]]) {
    for (const [index, side] of ["train", "test"].entries()) {
      const values = metrics[`${side}_${of}`];
      if (values) add(panel, metrics.step, values, `${side} ${of}`, index);
    }
  }
  if (spectrum?.steps.length) {
    const { steps: at, singular_values: sigma, gap_ratios: ratios } = spectrum;
    sigma[0].forEach((_, k) => add(2, at, sigma.map((row) => row[k] || null), `σ${k + 1}`, k, { line: line(k, k < 3 ? 2 : 1) }));
    for (const k of [0, 1, 2].filter((k) => k < ratios[0].length)) add(3, at, ratios.map((row) => row[k]), `σ${k + 1}/σ${k + 2}`, k);
    add(4, at, spectrum.position, "k*", 6, { line: { ...line(6), shape: "hv" } });
    add(5, at, spectrum.eigengap, "g23", 6);
  }
  const layout = { height: 1080, showlegend: false, hovermode: "x", margin: { l: 72, r: 12, t: 24, b: 42 }, annotations: panels().map((panel, i) => key(panel, traces.filter((trace) => trace.yaxis === (i ? `y${i + 1}` : "y")))), xaxis: axis({ title: { text: "optimizer step" }, anchor: `y${panels().length}` }) };
  panels().forEach(([name, from, to], i) => {
    const log = (monitor && i === 0) || (i === 1 && (!monitor || noted().every(([, values]) => values.every((value) => value === null || value > 0)))) || i === 2 || i === 3 || i === 5;
    layout[i ? `yaxis${i + 1}` : "yaxis"] = axis({ title: { text: name }, domain: [from, to], anchor: "x", ...(log ? { type: "log", exponentformat: "power", nticks: 4 } : {}), ...(i === 4 ? { rangemode: "tozero", dtick: Math.ceil(Math.max(1, ...(spectrum?.position ?? [])) / 3) } : {}) });
  });
  return { traces, layout, on: { plotly_click: (event) => moveTo(steps()[nearest(steps(), event.points[0].x)]), plotly_hover: (event) => { cursor.value = nearest(steps(), event.points[0].x); moveTo(steps()[cursor.value]); } } };
}
