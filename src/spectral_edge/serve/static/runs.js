// All runs: filter, look at their accuracy, tick some to compare them.

import { address, asked, askedAll, keep } from "./address.js";
import { downloads, follow, get } from "./api.js";
import { axis, draw, label, line, logAxis } from "./charts.js";
import { failed, field, h, measured, number, percent, settled, show, spaced, title } from "./dom.js";

const MOST = 12;
const FILTERS = { operation: "Operation", seed: "Seed", weight_decay: "Weight decay", state: "Status" };

let runs = [];
const curves = new Map();
const old = new Set(); // runs that have gone on since their curve was read
const ticked = new Set(askedAll("run").slice(0, MOST));
const chosen = Object.fromEntries(Object.keys(FILTERS).map((name) => [name, asked(name, "")]));
let words = asked("find", "");

const body = h("tbody");
const rows = new Map();
const about = h("p", { class: "about" });
const compared = h("section", { class: "compared", "aria-label": "Comparison", hidden: true });
const count = h("output", { class: "quiet" });
const filters = h("form", { class: "controls", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() });

export async function open() {
  show(title("Runs"), h("p", { class: "quiet" }, "Reading…"));
  const found = await get("runs");
  runs = found.runs;
  drawPage(found);
  follow(null, spaced(2500, refresh));
}

async function refresh() {
  const found = await get("runs").catch(() => null);
  if (found === null) return;
  const before = new Map(runs.map((run) => [run.name, run]));
  const gone = runs.filter((run) => !found.runs.some(({ name }) => name === run.name));
  runs = found.runs;
  const changed = runs.filter((run) => before.get(run.name)?.step !== run.step);
  for (const { name } of changed) old.add(name);
  if (before.size === 0 || runs.length === 0) return void drawPage(found);
  drawAbout(found);
  drawFilters();
  drawRows();
  if ([...changed, ...gone].some(({ name }) => ticked.has(name))) compare();
}

function drawAbout(found) {
  const text = `${found.root}: ${runs.length} ${runs.length === 1 ? "run" : "runs"}. Edge: σₖ*/σₖ*₊₁ of the last window in the log, its mean subtracted, and k*. Tick up to ${MOST} to compare.`;
  if (about.textContent !== text) about.textContent = text;
}

function drawPage(found) {
  if (runs.length === 0) {
    return show(title("Runs"), h("p", {}, "No run lies in this directory yet. One is made by"), command("spectral-edge train --out DIR"));
  }
  drawAbout(found);
  drawFilters();
  const head = ["", "Run", "Operation", "Seed", "Decay", "Status", "Step", "Test accuracy", "", "Edge", "Open"];
  const heads = ["Compare", ...head.slice(1, 8), "Accuracy over training", ...head.slice(9)];
  show(
    title("Runs"),
    about,
    filters,
    compared,
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs" },
      h("table", { class: "runs" },
        h("thead", {}, h("tr", {}, ...head.map((text, i) => h("th", { scope: "col", class: text ? null : "bare" }, text || h("span", { class: "hidden" }, heads[i]))))),
        body)),
    links("runs", {}, "this list"),
  );
  drawRows();
  compare();
}

// A control stays as it is unless there is more or less to choose from: somebody may be at it.
function drawFilters() {
  if (filters.children.length === 0) {
    const find = h("input", { type: "search", value: words, placeholder: "part of a name", oninput: settled(150, () => { words = find.value; drawRows(); }) });
    const selects = Object.entries(FILTERS).map(([name, text]) => field(text, h("select", { name, onchange: ({ target }) => { chosen[name] = target.value; drawRows(); } })));
    filters.replaceChildren(field("Find", find), ...selects, count);
  }
  for (const one of filters.querySelectorAll("select")) {
    const values = runs.map((run) => run[one.name]).filter((value) => value !== null).map(String);
    const known = [...new Set([...values, chosen[one.name]])].filter((value) => value !== "").sort(inOrder);
    if ([...one.options].slice(1).map(({ value }) => value).join("\n") === known.join("\n") && one.options.length) continue;
    one.replaceChildren(...["", ...known].map((value) => h("option", { value, selected: value === chosen[one.name] }, value || "all")));
  }
}

const inOrder = (a, b) => Number(a) - Number(b) || a.localeCompare(b);

function shown() {
  const fits = (run) => Object.entries(chosen).every(([name, value]) => value === "" || String(run[name]) === value);
  return runs.filter((run) => fits(run) && run.name.toLowerCase().includes(words.toLowerCase()));
}

const seen = new IntersectionObserver((entries) => {
  const names = entries.filter((entry) => entry.isIntersecting).map((entry) => { seen.unobserve(entry.target); return entry.target.dataset.run; });
  for (let i = 0; i < names.length; i += MOST) loadCurves(names.slice(i, i + MOST));
}, { rootMargin: "200px" });

async function loadCurves(names) {
  for (const name of names) old.delete(name);
  const found = await get("curves", { run: names }).catch(() => ({}));
  for (const [name, curve] of Object.entries(found)) curves.set(name, curve);
  for (const name of names) if (rows.has(name)) fill(rows.get(name));
}

function drawRows() {
  const visible = shown();
  keep({ ...chosen, find: words, run: [...ticked] });
  count.textContent = visible.length === runs.length ? "" : `${visible.length} of ${runs.length}`;
  const names = new Set(visible.map((run) => run.name));
  for (const one of [...body.children]) if (!names.has(one.dataset.run)) one.remove();
  // Rows that stay are neither made nor moved again, so that the focus stays in them.
  for (const [i, run] of visible.entries()) {
    const one = rows.get(run.name) ?? row(run);
    rows.set(run.name, one);
    write(one, run);
    if (body.children[i] !== one) body.insertBefore(one, body.children[i] ?? null);
    if (!curves.has(run.name) || old.has(run.name)) {
      seen.unobserve(one);
      seen.observe(one);
    }
  }
}

function row(run) {
  const tick = h("input", { type: "checkbox", "aria-label": `Compare ${run.name}`, checked: ticked.has(run.name), onchange: () => {
    tick.checked && ticked.size < MOST ? ticked.add(run.name) : ticked.delete(run.name);
    tick.checked = ticked.has(run.name);
    keep({ ...chosen, find: words, run: [...ticked] });
    compare();
  } });
  const n = () => h("td", { class: "n" });
  return h("tr", { "data-run": run.name },
    h("td", {}, tick),
    h("th", { scope: "row" }, link("/run", run, run.name), h("p", { class: "why", hidden: true })),
    h("td"), n(), n(), h("td", {}, h("span")), n(), n(),
    h("td", { class: "curve" }),
    h("td", { class: "n edge" }, "–"),
    h("td", { class: "open", "data-kind": "" }));
}

function write(row, run) {
  const steps = run.step === null ? "–" : run.max_steps && run.state !== "finished" ? `${run.step} / ${run.max_steps}` : String(run.step);
  const [, name, of, seed, decay, state, step, accuracy, , , open] = row.children;
  for (const [cell, text] of [[of, run.operation ?? run.model ?? "–"], [seed, run.seed === null ? "–" : String(run.seed)], [decay, number(run.weight_decay)], [state.firstChild, run.state], [step, steps], [accuracy, percent(run.test_accuracy)], [name.lastChild, run.why ?? ""]]) {
    if (cell.textContent !== text) cell.textContent = text;
  }
  state.firstChild.className = `state ${run.state}`;
  name.lastChild.hidden = !run.why;
  if (open.dataset.kind === run.kind) return;
  open.dataset.kind = run.kind;
  open.replaceChildren(...(run.kind === "training" ? [link("/modes", run, "modes", `modes of ${run.name}`), link("/film", run, "film", `film of ${run.name}`)] : []));
}

const link = (path, run, text, spoken = null) => h("a", { href: address(path, { run: run.name }), "aria-label": spoken }, text);

function fill(row) {
  const curve = curves.get(row.dataset.run);
  if (!curve) return;
  row.querySelector(".curve").replaceChildren(curve.test_accuracy.length > 1 ? sparkline(curve) : "");
  if (curve.edge) row.querySelector(".edge").textContent = `${measured(curve.edge.gap_ratio)}, k* ${curve.edge.position}`;
}

function sparkline({ step, test_accuracy: accuracy }) {
  const [width, height] = [120, 26];
  const last = step[step.length - 1] || 1;
  const points = accuracy.map((value, i) => `${((step[i] / last) * (width - 4) + 2).toFixed(1)},${(height - 3 - value * (height - 6)).toFixed(1)}`);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `test accuracy from ${percent(accuracy[0])} to ${percent(accuracy[accuracy.length - 1])}` })) svg.setAttribute(name, value);
  for (const [name, value] of Object.entries({ points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.5 })) path.setAttribute(name, value);
  svg.append(path);
  return svg;
}

let comparison = 0;

async function compare() {
  const mine = ++comparison;
  const names = [...ticked].filter((name) => runs.some((run) => run.name === name));
  compared.hidden = names.length === 0;
  if (names.length === 0) return;
  const plot = compared.querySelector(".plot") ?? h("div", { class: "plot", role: "img", "aria-label": "Test accuracy and gap of the ticked runs" });
  if (!plot.isConnected) compared.replaceChildren(h("h2", {}, "Ticked runs"), plot);
  try {
    const found = await Promise.all(names.map(async (run) => [run, await get("metrics", { run }), await ownSpectrum(run)]));
    if (mine !== comparison) return; // others are ticked by now
    await draw(plot, () => ({
      traces: found.flatMap(([run, metrics, spectrum], i) => [
        metrics.test_accuracy && { x: metrics.step, y: metrics.test_accuracy, name: label(run), legendgroup: label(run), line: line(i), mode: "lines" },
        spectrum && { x: spectrum.steps, y: spectrum.gap_ratios.map((row) => row[0]), name: label(run), legendgroup: label(run), showlegend: !metrics.test_accuracy, line: line(i), mode: "lines", yaxis: "y2" },
      ].filter(Boolean)),
      layout: {
        height: 460, showlegend: true, legend: { orientation: "h", y: -0.18 },
        xaxis: axis({ title: { text: "optimizer step" }, anchor: "y2" }),
        yaxis: axis({ title: { text: "test accuracy" }, domain: [0.54, 1] }),
        yaxis2: axis({ title: { text: "σ₁/σ₂" }, domain: [0, 0.46], anchor: "x", ...logAxis(found.flatMap(([, , spectrum]) => spectrum?.gap_ratios.map((row) => row[0]) ?? [])) }),
      },
    }));
  } catch (problem) {
    if (mine === comparison) compared.append(failed(problem));
  }
}

async function ownSpectrum(run) {
  const { choices } = await get("run", { run });
  return choices?.begin ? get("spectrum", { run, ...choices.begin }).catch(() => null) : null;
}

const command = (text) => h("pre", {}, h("code", {}, text));

export function links(path, parameters, what) {
  return h("p", { class: "downloads" }, `Download ${what}: `, ...downloads(path, parameters).flatMap(([kind, target], i) => [i ? ", " : "", named(kind === "csv" ? "CSV" : "Parquet", target, what)]));
}

const named = (kind, target, what) => h("a", { href: target, download: true, "aria-label": `${kind}: ${what}` }, kind);
