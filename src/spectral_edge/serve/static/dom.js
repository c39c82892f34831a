// Elements from plain values. Text is only ever set as text: names of runs and their configurations are not trusted.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let ids = 0;

// A labelled control: the label is tied to it by an id of its own.
export function field(text, control) {
  control.id ||= `control-${++ids}`;
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control);
}

export function select(options, chosen, onchange) {
  const element = h("select", { onchange: () => onchange(element.value) });
  for (const option of options) {
    const [value, text] = Array.isArray(option) ? option : [option, option];
    element.append(h("option", { value, selected: String(value) === String(chosen) }, String(text)));
  }
  return element;
}

// Replaces what a container holds; the control of the same name keeps the focus.
export function refill(container, ...children) {
  const at = container.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  container.replaceChildren(...children);
  if (at !== null) [...container.querySelectorAll("select, input, button")].find((one) => nameOf(one) === at)?.focus();
}

const nameOf = (control) => `${control.localName} ${control.ariaLabel || control.labels?.[0]?.textContent || control.textContent}`;

export function show(...children) {
  const page = document.getElementById("page");
  page.replaceChildren(...children.filter(Boolean));
}

// Of a recording only its own program knows the model, so that there are no modes and no film.
export function offer(kind) {
  for (const link of document.querySelectorAll("#pages [data-needs]")) link.hidden = link.dataset.needs !== kind;
}

export function failed(problem) {
  return h("p", { class: "problem", role: "alert" }, problem.message || String(problem));
}

export function title(text) {
  document.title = `${text} · spectral-edge`;
  return h("h1", {}, text);
}

export const number = (value, digits = 3) =>
  value === null || value === undefined ? "–" : Number(value.toPrecision(digits)).toString().replace("-", "−");

// A measured number: three digits, zeros at its end kept.
export function measured(value) {
  if (value === null || value === undefined) return "–";
  const text = value.toPrecision(3);
  return (text.includes("e") ? Number(text).toString() : text).replace("-", "−");
}

export const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);

// Calls at most once every `milliseconds`, not before the last call has ended, and once more after the last request.
export function spaced(milliseconds, action) {
  let asked = false;
  let busy = false;
  return async function again() {
    asked = true;
    if (busy) return;
    busy = true;
    while (asked) {
      asked = false;
      await Promise.resolve(action()).catch(console.error); // one failure does not end them all
      await new Promise((resume) => setTimeout(resume, milliseconds));
    }
    busy = false;
  };
}

// Calls once nobody has asked for `milliseconds`, with the last arguments.
export function settled(milliseconds, action) {
  let timer = null;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), milliseconds);
  };
}
