// The claims of the paper: what was published, what is true, and how sure that is.

import { address } from "./address.js";
import { get } from "./api.js";
import { h, show, title } from "./dom.js";

export async function open() {
  const { claims: answered } = await get("runs");
  if (!answered) return show(title("Claims"), h("p", {}, "This directory holds no answers to the claims. This command writes them: ", h("code", {}, "spectral-edge reproduce --profile quick --out DIR"), "."));
  const found = await get("claims");
  show(
    title("Claims"),
    h("p", { class: "about" }, `Reproduces: the published number lies among reruns of its seed. Exists: the effect is larger than with permuted inputs. Specific: it is larger than for every kind of matched random direction. ${found.decision}`),
    h("p", { class: "about" }, `${found.profile} profile, ${found.runs} runs. ${found.placed}`),
    ...found.claims.map(claim),
    ...found.figures.map((name) => figure(name, ABOUT_ALL[name])),
  );
  document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
}

function claim(one) {
  return h("details", { id: one.claim, ontoggle: (event) => event.target.open && history.replaceState(null, "", `#${one.claim}`) },
    h("summary", {}, h("b", {}, one.claim), " ", h("span", { class: "statement" }, one.statement), " ",
      ...["reproduces", "exists", "specific"].flatMap((name) => [h("span", { class: "answer" }, `${name}: `, mark(one[name])), " "])),
    h("p", {}, one.because),
    one.effects.rows.length ? table(one.effects, `${one.claim}: excess over each null`) : null,
    one.numbers.rows.length ? table(one.numbers, `${one.claim}: further numbers`) : null,
    one.about ? h("p", { class: "about" }, one.about) : null,
    ...one.figures.map((name) => figure(name, `Further numbers of ${one.claim}. Diamond: the value of a run, or the mean over runs with its 95 % interval; filled where p is at most 0.05. Grey: from the mean of the null to its 95 % quantile. Cross: published.`)),
    one.command ? h("p", {}, "Compute the further numbers again: ", h("code", {}, one.command)) : null);
}

const ABOUT_ALL = {
  "forest.png": "Excess of each claim’s number over each null, in units of the claim’s margin, with its 90 % interval. At 0 the edge is like the null. Square: yes. Cross: no. Circle: undecided.",
  "placed.png": "Numbers of these runs among those of the stored runs. Band: the 95 % prediction interval of the stored runs. Tick: their mean. Filled mark: inside the interval. Open mark: outside.",
};

function figure(name, what) {
  const stem = name.replace(".png", "");
  return h("figure", {},
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": stem }, h("img", { src: address("/api/figure", { name }), alt: `${stem}; described in the caption`, loading: "lazy" })),
    h("figcaption", {}, what));
}

function mark(value) {
  if (value === null) return h("span", { class: "mark quiet" }, "– not asked");
  const sign = { yes: "✓", no: "✗", undecided: "?" }[value];
  return h("span", { class: `mark ${value === "undecided" ? "quiet" : value}` }, `${sign} ${value}`);
}

function table({ columns, rows }, label) {
  const cell = (text, i) => h("td", { class: columns[i].numeric ? "n" : null }, text);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    h("table", {}, h("thead", {}, h("tr", {}, ...columns.map((c) => h("th", { scope: "col", class: c.numeric ? "n" : null }, c.heading)))),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map(cell))))));
}
