// The plotting library, loaded when a first plot is drawn, and the look that all plots share.

let loading = null;

function library() {
  loading ||= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/plotly.js";
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("The plotting library could not be loaded from this server."));
    document.head.append(script);
  });
  return loading;
}

// Okabe and Ito's colours, with dashes, so that lines are told apart without colour; lightness fits both themes.
const LINES = {
  light: ["#0072B2", "#D55E00", "#007a58", "#a8528a", "#8a6100", "#3d6f93", "#222222", "#7a4b00", "#5b5b9a", "#666666"],
  dark: ["#56B4E9", "#E69F00", "#33c79a", "#e39ac4", "#F0E442", "#8fc1e3", "#eeeeee", "#d99a55", "#a9a9e6", "#aaaaaa"],
};
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid", "dash", "dot", "dashdot"];

const dark = matchMedia("(prefers-color-scheme: dark)");

export function line(index, width = 1.7) {
  const colours = LINES[dark.matches ? "dark" : "light"];
  return { color: colours[index % colours.length], dash: DASHES[index % DASHES.length], width };
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Plotly reads markup in texts; names from logs and files have none.
export const label = (text) => String(text).replaceAll("<", "‹");

export function axis(more = {}) {
  return { gridcolor: colour("rule"), zeroline: false, linecolor: colour("quiet"), automargin: true, ...more };
}

// Marks of a logarithmic axis that do not run into each other in a low panel, however few decades it has.
export function logAxis(values) {
  const known = values.filter((value) => value > 0 && Number.isFinite(value));
  const [low, high] = [known.reduce((a, b) => Math.min(a, b), Infinity), known.reduce((a, b) => Math.max(a, b), 0)];
  const decades = known.length ? Math.log10(high / low) : 0;
  const look = { type: "log", exponentformat: "power" };
  if (decades > 2 || decades === 0) return { ...look, dtick: Math.max(1, Math.ceil(decades / 4)) };
  if (decades < 0.5) return { ...look, dtick: `L${round((high - low) / 3)}` };
  const marks = [];
  for (let ten = Math.floor(Math.log10(low)) - 1; ten <= Math.ceil(Math.log10(high)) + 1; ten++) for (const digit of [1, 2, 5]) marks.push([digit, ten]);
  return { ...look, tickvals: marks.map(([digit, ten]) => digit * 10 ** ten), ticktext: marks.map(([digit, ten]) => (ten >= -4 && ten <= 3 ? String(Number((digit * 10 ** ten).toPrecision(1))) : `${digit}·10<sup>${ten}</sup>`)) };
}

// 1, 2 or 5 times a power of ten, not below a number.
function round(step) {
  const ten = 10 ** Math.floor(Math.log10(step));
  return Number(([1, 2, 5, 10].find((digit) => digit * ten >= step * 0.999) * ten).toPrecision(1));
}

const drawn = new Map();

// Draws, or draws again; `make` gives traces and layout, and is called again when the theme changes.
export async function draw(element, make) {
  const Plotly = await library();
  const { traces, layout, on = {} } = make();
  const look = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: colour("ink") },
    margin: { l: 56, r: 12, t: 28, b: 42 },
    hoverlabel: { bgcolor: colour("page"), font: { color: colour("ink") } },
    uirevision: "kept", // what was zoomed stays zoomed when data are added
    ...layout,
  };
  // Named one by one: by itself plotly adds a button that sends the chart to its maker.
  const buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
  await Plotly.react(element, traces, look, { displaylogo: false, responsive: true, modeBarButtons: buttons });
  if (!drawn.has(element)) for (const [name, action] of Object.entries(on)) element.on(name, action);
  drawn.set(element, make);
}

dark.addEventListener("change", () => drawn.forEach((make, element) => element.isConnected && draw(element, make)));

// A sheet of paper is narrower than the window that a plot was drawn for.
const PAPER = 660;
const resize = (size) => drawn.forEach((_, element) => element.isConnected && !element.hidden && window.Plotly.relayout(element, size));
addEventListener("beforeprint", () => resize({ autosize: false, width: PAPER }));
addEventListener("afterprint", () => resize({ autosize: true, width: null }));

// Empties an element, whatever was drawn in it.
export function clear(element) {
  if (drawn.delete(element)) window.Plotly.purge(element);
  element.replaceChildren();
}

export async function relayout(element, layout) {
  const Plotly = await library();
  if (drawn.has(element)) await Plotly.relayout(element, layout);
}
