// Saved comparisons: each direction beside the draws of each null it was held against.

import { address, asked } from "./address.js";
import { get } from "./api.js";
import { axis, colour, draw, label, line } from "./charts.js";
import { h, measured, number, show, title } from "./dom.js";
import { links } from "./runs.js";

const name = asked("name");

export async function open() {
  if (name === null) return list();
  const found = await get("comparison", { name });
  const statistics = [...new Set(found.rows.map((row) => row.statistic))];
  const plots = statistics.map(() => h("div", { class: "plot" }));
  const about = Object.entries(found.protocol).map(([key, value]) => `${key} ${typeof value === "number" ? number(value, 6) : value}`);
  show(
    title(name),
    h("p", { class: "about" }, `Each dot is a tested direction, ${found.alternative === "greater" ? "large" : "small"} values speak for it. A bar is the middle 90 % of the draws of a null, its mark their mean. Effect: distance from that mean in standard deviations of the draws.`),
    h("p", { class: "quiet" }, about.join(" · "), found.complete ? "" : " · interrupted: not all draws are there"),
    ...plots,
    table(found.rows),
    ...Object.entries(found.left_out).map(([left, why]) => h("p", { class: "quiet" }, `Without ${left}: ${why}.`)),
    links("comparison", { name }, "this table"),
  );
  for (const [i, statistic] of statistics.entries()) {
    await draw(plots[i], () => figure(statistic, found.rows.filter((row) => row.statistic === statistic)));
  }
}

async function list() {
  const { root, comparisons } = await get("comparisons");
  show(
    title("Comparisons"),
    comparisons.length
      ? h("ul", {}, ...comparisons.map((one) => h("li", {}, h("a", { href: address("/comparisons", { name: one }) }, one))))
      : h("p", {}, `No comparison is saved in ${root}. One is written by `, h("code", {}, "result.save(path)"), ", ", h("code", {}, "se.compare"), " makes the result."),
  );
}

const direction = (row) => (row.direction === null ? "set" : `v${row.direction}`);

function figure(statistic, rows) {
  const nulls = [...new Set(rows.map((row) => row.null))];
  const traces = nulls.flatMap((of, i) => {
    const own = rows.filter((row) => row.null === of && row.null_mean !== null);
    const middle = own.map((row) => (row.low + row.high) / 2);
    return [
      { // the middle 90 %
        x: own.map(direction), y: middle, name: label(of), legendgroup: label(of), mode: "markers", marker: { size: 0.1, color: line(i).color },
        error_y: { type: "data", array: own.map((row, j) => row.high - middle[j]), thickness: 7, width: 0, color: line(i).color }, offsetgroup: of, hoverinfo: "skip", showlegend: false, xaxis: "x",
      },
      { x: own.map(direction), y: own.map((row) => row.null_mean), name: label(of), legendgroup: label(of), mode: "markers", offsetgroup: of, marker: { symbol: "line-ew", size: 13, line: { width: 2, color: line(i).color } }, hovertemplate: `${label(of)}: mean %{y:.4g}<extra></extra>` },
    ];
  });
  const measured = [...new Map(rows.map((row) => [direction(row), row.measured]))];
  traces.push({ x: measured.map(([x]) => x), y: measured.map(([, y]) => y), name: "measured", mode: "markers", marker: { size: 10, color: colour("ink"), symbol: "circle" }, hovertemplate: "measured %{y:.4g}<extra></extra>" });
  return {
    traces: spread(traces, nulls.map(label)),
    layout: { height: 340, showlegend: true, legend: { orientation: "h", y: -0.2 }, title: { text: label(statistic).replaceAll("_", " "), x: 0, font: { size: 14 } }, xaxis: axis({ tickvals: measured.map((_, i) => i), ticktext: measured.map(([x]) => x), range: [-0.6, measured.length - 0.4] }), yaxis: axis() },
  };
}

// Bars of several nulls stand beside each other around their direction, which is in the middle.
function spread(traces, nulls) {
  const places = new Map([...new Set(traces.flatMap((trace) => trace.x))].map((x, i) => [x, i]));
  return traces.map((trace) => {
    const i = nulls.indexOf(trace.legendgroup);
    const shift = i < 0 ? 0 : (0.7 * (i + 0.5)) / nulls.length - 0.35;
    return { ...trace, x: trace.x.map((x) => places.get(x) + shift) };
  });
}

const COLUMNS = [["Direction", direction], ["Statistic", (row) => row.statistic], ["Null", (row) => row.null], ["Measured", (row) => measured(row.measured)], ["Null mean", (row) => measured(row.null_mean)], ["95 % of draws below", (row) => measured(row.null_quantile95)], ["Effect", (row) => measured(row.effect)], ["p", (row) => measured(row.pvalue)], ["p adjusted", (row) => measured(row.pvalue_adjusted)], ["Draws", (row) => String(row.draws)]];

function table(rows) {
  const numeric = (i) => (i > 2 ? "n" : null);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All rows" },
    h("table", {},
      h("thead", {}, h("tr", {}, ...COLUMNS.map(([text], i) => h("th", { scope: "col", class: numeric(i) }, text)))),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, ...COLUMNS.map(([, cell], i) => h("td", { class: numeric(i) }, cell(row))))))));
}
