// Which page this address is.

import { asked, address } from "./address.js";
import { failed, h, show, title } from "./dom.js";

const PAGES = { "/": "runs", "/run": "run", "/modes": "modes", "/film": "film", "/comparisons": "comparisons", "/claims": "claims" };
const TITLES = { runs: "Runs", run: "Training", modes: "Modes", film: "Film", comparisons: "Comparisons", claims: "Claims" };

const here = PAGES[location.pathname];
const run = asked("run");

for (const [path, page] of Object.entries(PAGES)) {
  const ofOneRun = ["run", "modes", "film"].includes(page);
  if (ofOneRun && (run === null || here === "runs")) continue;
  const current = page === here ? "page" : null;
  const target = ofOneRun ? address(path, { run }) : path;
  document.getElementById("pages").append(h("a", { href: target, "aria-current": current, "data-needs": ["modes", "film"].includes(page) ? "training" : null }, TITLES[page]));
}

if (["run", "modes", "film"].includes(here) && run === null) location.replace("/"); // there, one is chosen
else if (here === undefined) show(title("There is no such page"), h("p", {}, `${location.pathname} is no page of this server. `, h("a", { href: "/" }, "All runs"), "."));
else import(`./${here}.js`)
  .then((page) => page.open())
  .catch((problem) => show(failed(problem)));
