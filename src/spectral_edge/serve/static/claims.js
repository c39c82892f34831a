// The claims of the paper: what was published, what came out, and what chance gives.

import { address } from "./address.js";
import { get } from "./api.js";
import { h, show, title } from "./dom.js";

export async function open() {
  const { claims: judged } = await get("runs");
  if (!judged) return show(title("Claims"), h("p", {}, "No claims are judged in this directory. They are by ", h("code", {}, "spectral-edge reproduce --profile quick --out DIR"), "."));
  const found = await get("claims");
  show(
    title("Claims"),
    h("p", { class: "about" }, `${found.profile} profile: ${found.runs} runs, ${found.numbers} numbers. Reproduces: the published number comes back within its tolerance. Survives null: the effect exceeds what its matched null gives. “No” is a result. A row opens to its numbers, its figures and the command that computes it again.`),
    ...found.claims.map(claim),
  );
  document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
}

function claim(one) {
  return h("details", { id: one.claim, ontoggle: (event) => event.target.open && history.replaceState(null, "", `#${one.claim}`) },
    h("summary", {}, h("b", {}, one.claim), " ", h("span", { class: "statement" }, one.statement), " ",
      h("span", { class: "answer" }, "reproduces: ", mark(one.reproduces)), " ", h("span", { class: "answer" }, "survives null: ", mark(one.survives_null))),
    h("p", {}, one.because),
    one.rows.length ? table(one) : null,
    h("p", { class: "about" }, one.about),
    ...one.figures.map((name) => h("figure", {}, h("img", { src: address("/api/figure", { name }), alt: `${name.replace(".png", "")}: the numbers of ${one.claim} beside their nulls`, loading: "lazy" }))),
    one.figures.length ? null : h("p", { class: "quiet" }, "No figure is stored; spectral-edge report DIR draws them."),
    one.command ? h("p", {}, "Compute this claim again: ", h("code", {}, one.command)) : null);
}

function mark(value) {
  if (value === null) return h("span", { class: "mark quiet" }, "– not decided");
  return h("span", { class: `mark ${value ? "yes" : "no"}` }, value ? "✓ yes" : "✗ no");
}

function table({ claim: name, columns, rows }) {
  const cell = (text, i) => h("td", { class: columns[i].numeric ? "n" : null }, text);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${name}: headline numbers` },
    h("table", {}, h("thead", {}, h("tr", {}, ...columns.map((c) => h("th", { scope: "col", class: c.numeric ? "n" : null }, c.heading)))),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map(cell))))));
}
