// Which page this address is.

import { asked, address } from "./address.js";
import { failed, h, show } from "./dom.js";

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
else import(`./${here}.js`)
  .then((page) => page.open())
  .catch((problem) => show(failed(problem)));
