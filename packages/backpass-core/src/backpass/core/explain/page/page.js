// Stepping through a trace: the buttons, the graph, the words for each step.
"use strict";

const trace = JSON.parse(document.getElementById("trace").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
/** The minus sign of typography, as it may be pasted into a field. */
const MINUS = "\u2212";

// What is usual is left out of the file, and what many have in common stands in a table.
trace.variables.forEach((v, index) => {
  const operation = trace.operations[v.operation];
  v.index = index;
  v.kind = operation ? operation.kind : v.kind;
  v.operation = operation ? operation.name : "";
  v.parameters = operation ? operation.parameters : [];
  v.keywords = Boolean(operation && operation.keywords);
  v.pattern = operation ? operation.pattern : "";
  v.operands ??= [];
  v.call ??= "";
  v.place = trace.places[v.place] || null;
  v.depends = !v.constant;
  v.dtype ??= "float64";
  v.value ??= null;
  v.cotangent ??= null;
  v.number = v.value !== null && typeof v.value !== "object" ? v.value : null;
});
for (const step of trace.steps) {
  step.contributions ??= [];
  for (const c of step.contributions) {
    c.first = c.total === undefined;
    c.total ??= c.value;
    c.formula = trace.rules[c.rule].formula;
    c.rule = trace.rules[c.rule].tree;
  }
}
for (const box of trace.boxes) {
  const v = trace.variables[box.members[0]];
  box.title ??= v.call ? `${v.label} = ${v.call}` : v.label;
}

// ----- values: as they were recorded, or as they were computed from other inputs ----------------

/** A value is a number, "inf" or the like, [line, text] for an array, or null: not known. */
const isNumber = (x) => typeof x === "number" || typeof x === "string";

function written(x) {
  if (x === null || x === undefined) return "";
  if (!isNumber(x)) return x[x.length - 1];
  x = numberOf(x);
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  const size = Math.abs(x);
  if (x !== 0 && (size < 1e-4 || size >= 1e7)) return x.toExponential(5).replace(/\.?0+e/, "e");
  const text = String(Number(x.toPrecision(6)));
  return text.includes(".") ? text : `${text}.0`;
}

/** A value in one line, for a box. */
function brief(x) {
  if (x === null || x === undefined) return "";
  if (isNumber(x)) return written(x);
  return x[0];
}

const original = {
  values: trace.variables.map((v) => v.value),
  cotangents: trace.variables.map((v) => v.cotangent),
  steps: trace.steps.map((s) => s.contributions.map((c) => ({ value: c.value, total: c.total }))),
};
let now = original;

// ----- the steps ------------------------------------------------------------------------------

const computed = trace.variables.filter((v) => v.operation);
/** All states of the page, in order: the inputs; each value; the seed; each step back. */
const states = [
  { kind: "start" },
  ...computed.map((v) => ({ kind: "forward", variable: v.index })),
  { kind: "seed", variable: trace.output },
  ...trace.steps.map((s, i) => ({ kind: "back", variable: s.variable, step: i })),
  { kind: "end" },
];
const seedAt = states.findIndex((s) => s.kind === "seed");
let at = 0;

const labelOf = (index) => trace.variables[index].label;
const cotangentLabel = (index) => `d${labelOf(index)}`;

/** Put labels or numbers in the place of a formula's letters. */
function filled(formula, letters) {
  return formula.replace(/[A-Za-z_]\w*(\[\d+\])?(?!\w*\()/g, (name, index) => {
    if (letters.has(name)) return letters.get(name);
    const bare = index ? name.slice(0, -index.length) : name;
    return letters.has(bare) ? letters.get(bare) + (index || "") : name;
  });
}

/** The letters of a variable's rule, with labels; with numbers, or null if one is an array. */
function lettersOf(v, numbers) {
  const letters = new Map();
  const put = (letter, label, value) => {
    const text = isNumber(value) ? written(value) : null;
    letters.set(letter, numbers ? (text && text.startsWith("-") ? `(${text})` : text) : label);
  };
  v.parameters.forEach((letter, i) => {
    put(letter, labelOf(v.operands[i]), now.values[v.operands[i]]);
  });
  put("ans", v.label, now.values[v.index]);
  put("g", cotangentLabel(v.index), now.cotangents[v.index]);
  return letters;
}

function withNumbers(formula, v) {
  const letters = lettersOf(v, true);
  const missing = [...letters].some(
    ([letter, text]) => text === null && filled(formula, new Map([[letter, ""]])) !== formula,
  );
  return missing ? "" : filled(formula, letters);
}

/** The lines that explain a state: {text, look}. */
function lines(state) {
  const said = [];
  const say = (text, look = "formula") => said.push({ text, look });
  if (state.kind === "start") {
    for (const v of trace.variables) {
      if (v.kind === "argument" || v.kind === "parameter") {
        say(`${v.label} = ${written(now.values[v.index])}`);
      }
    }
    say("The inputs are given. Each step computes one more value from those above it.", "why");
    return said;
  }
  if (state.kind === "end") {
    for (const v of trace.variables) {
      if (v.kind === "argument" || v.kind === "parameter") {
        const g = now.cotangents[v.index];
        say(`${cotangentLabel(v.index)} = ${g === undefined || g === null ? "0" : written(g)}`, "formula back");
      }
    }
    say("What has arrived at the inputs is the gradient.", "why");
    return said;
  }
  const v = trace.variables[state.variable];
  if (state.kind === "forward") {
    say(`${v.label} = ${v.call}`);
    const numbers = v.pattern && withNumbers(v.pattern, v);
    const value = written(now.values[v.index]);
    if (numbers) say(`${" ".repeat(v.label.length)} = ${numbers}`, "formula numbers");
    if (value && numbers !== value) say(`${" ".repeat(v.label.length)} = ${value}`, "formula numbers");
    if (!v.depends) say("No gradient flows back through it.", "why");
  } else if (state.kind === "seed") {
    say(`${cotangentLabel(v.index)} = ${written(now.cotangents[v.index])}`, "formula back");
    say("The way back begins at the result: it changes as much as itself.", "why");
  } else {
    const step = trace.steps[state.step];
    const g = now.cotangents[v.index];
    say(`${v.label} = ${v.call}`);
    say(`${cotangentLabel(v.index)} = ${written(g)}`, "formula numbers");
    step.contributions.forEach((c, k) => {
      const name = cotangentLabel(c.variable);
      const sign = c.first ? "=" : "+=";
      const indent = " ".repeat(name.length);
      const { value, total } = now.steps[state.step][k];
      if (c.formula) {
        say(`${name} ${sign} ${filled(c.formula, lettersOf(v, false))}`, "formula back");
        const numbers = withNumbers(c.formula, v);
        if (numbers && numbers !== written(value)) {
          say(`${indent} ${sign} ${numbers}`, "formula back numbers");
        }
        say(`${indent} ${sign} ${written(value)}`, "formula back numbers");
      } else {
        say(`${name} ${sign} ${written(value)}`, "formula back");
      }
      if (!c.first) say(`${name} is now ${written(total)}`, "formula back numbers");
    });
    if (step.note) say(step.note, "why");
    if (!step.contributions.length) say("Nothing flows further.", "why");
  }
  return said;
}

function headline(state) {
  if (state.kind === "start") return "The inputs";
  if (state.kind === "end") return "The gradient";
  const label = labelOf(state.variable);
  if (state.kind === "forward") return `Forward: compute ${label}`;
  if (state.kind === "seed") return "Turn round: the result";
  return `Backward: through ${label}`;
}

// ----- the page ---------------------------------------------------------------------------------

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function placeOf(v) {
  if (!v.place || !v.place.text) return null;
  const box = element("div", undefined, "place");
  box.append(element("code", v.place.text));
  box.append(element("small", `${v.place.file}, line ${v.place.line}`));
  return box;
}

// The graph: boxes and arrows are in the order of `trace.boxes` and `trace.arrows`.
const graph = $("graph");
const scroller = document.querySelector(".scroller");
const boxes = [...graph.querySelectorAll(".bp-box")];
const arrows = [...graph.querySelectorAll(".bp-arrow")];
const boxOf = new Map();
trace.boxes.forEach((box, i) => box.members.forEach((v) => boxOf.set(v, i)));
const single = trace.boxes.map((box) => (box.members.length === 1 ? box.members[0] : null));
const texts = boxes.map((box, i) => {
  const title = box.querySelector("text");
  const line = (name, row) => {
    const made = document.createElementNS(SVG, "text");
    made.setAttribute("class", name);
    made.setAttribute("x", title.getAttribute("x"));
    made.setAttribute("y", String(Number(title.getAttribute("y")) + 17 * row));
    box.append(made);
    return made;
  };
  box.setAttribute("role", "button");
  box.setAttribute("tabindex", "-1");
  box.addEventListener("click", () => choose(i));
  box.addEventListener("focus", () => rove(i));
  return single[i] === null ? null : { value: line("bp-value", 1), gradient: line("bp-gradient", 2) };
});
let passing = [];

/** Let only one box be reached by Tab; the arrow keys go on from there. */
let tabbed = -1;
function rove(i) {
  if (tabbed >= 0) boxes[tabbed].setAttribute("tabindex", "-1");
  tabbed = i;
  boxes[i].setAttribute("tabindex", "0");
}
if (boxes.length) rove(0);

function showGraph() {
  const state = states[at];
  const forward = state.kind === "start" ? 0 : Math.min(at, computed.length);
  const back = at > seedAt ? Math.min(at - seedAt, trace.steps.length) : 0;
  const done = new Set(computed.slice(0, forward).map((v) => v.index));
  const reached = new Map();
  if (at >= seedAt) reached.set(trace.output, now.cotangents[trace.output]);
  for (let s = 0; s < back; s++) {
    trace.steps[s].contributions.forEach((c, k) => reached.set(c.variable, now.steps[s][k].total));
  }
  // A cotangent that arrives in parts, one for each output, is shown whole.
  for (const v of trace.variables) {
    if (v.kind === "part" && at > seedAt && now.cotangents[v.index] != null) {
      reached.set(v.index, now.cotangents[v.index]);
    }
  }
  const flows = new Map();
  if (state.kind === "back") {
    trace.steps[state.step].contributions.forEach((c, k) => {
      flows.set(`${boxOf.get(c.variable)},${boxOf.get(state.variable)},${c.operand}`, { c, k });
    });
  }
  const current = boxOf.get(state.variable);
  const gets = new Set([...flows.values()].map(({ c }) => boxOf.get(c.variable)));
  boxes.forEach((box, i) => {
    const members = trace.boxes[i].members;
    const future = members.every((m) => trace.variables[m].operation && !done.has(m));
    box.classList.toggle("is-future", future);
    box.classList.toggle("is-current", i === current);
    box.classList.toggle("is-reached", gets.has(i) && i !== current);
    const index = single[i];
    if (index === null) return;
    const value = future ? "" : brief(now.values[index]);
    const gradient = reached.has(index) ? brief(reached.get(index)) : "";
    texts[i].value.textContent = value && `value ${value}`;
    texts[i].gradient.textContent = gradient && `grad ${gradient}`;
    const name = trace.boxes[i].title;
    box.setAttribute("aria-label", [name, value && `value ${value}`, gradient && `gradient ${gradient}`].filter(Boolean).join(", "));
  });
  for (const made of passing) made.remove();
  passing = [];
  arrows.forEach((arrow, i) => {
    const [source, target, operand] = trace.arrows[i];
    const back =
      flows.get(`${source},${target},${operand}`) ||
      (target === current && single[target] === null && gets.has(source) && {}) ||
      (target === current && single[source] === null && gets.has(source) && {});
    const isForward = state.kind === "forward" && target === current;
    arrow.classList.toggle("is-forward", isForward);
    arrow.classList.toggle("is-back", Boolean(back));
    if (back) carry(arrow, back);
  });
  if (current !== undefined) reveal(boxes[current]);
}

/** Draw what goes back along an arrow: its head at the upper end, and the number. */
function carry(arrow, { c, k }) {
  const start = arrow.getPointAtLength(0);
  const head = document.createElementNS(SVG, "path");
  head.setAttribute("class", "back-head");
  head.setAttribute("d", `M${start.x} ${start.y}l-6 10h12z`);
  graph.append(head);
  passing.push(head);
  if (!c) return;
  const text = brief(now.steps[states[at].step][k].value);
  const spot = arrow.getPointAtLength(arrow.getTotalLength() * (k % 2 ? 0.7 : 0.4));
  const label = document.createElementNS(SVG, "text");
  label.setAttribute("class", "contribution");
  label.setAttribute("x", spot.x);
  label.setAttribute("y", spot.y + 4);
  label.textContent = text;
  graph.append(label);
  passing.push(label);
}

/** Scroll the graph, never the page, so that a box is in sight. */
function reveal(box) {
  const outer = scroller.getBoundingClientRect();
  const inner = box.getBoundingClientRect();
  const margin = 70;
  let dx = 0;
  let dy = 0;
  if (inner.left < outer.left + margin) dx = inner.left - outer.left - margin;
  else if (inner.right > outer.right - margin) dx = inner.right - outer.right + margin;
  if (inner.top < outer.top + margin) dy = inner.top - outer.top - margin;
  else if (inner.bottom > outer.bottom - margin) dy = inner.bottom - outer.bottom + margin;
  const far = Math.abs(dx) > outer.width || Math.abs(dy) > outer.height;
  const still = far || matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (dx || dy) scroller.scrollBy({ left: dx, top: dy, behavior: still ? "instant" : "smooth" });
}

function paragraphs(said) {
  return said.map(({ text, look }) => element("p", text, look));
}

function show({ speak = true } = {}) {
  const state = states[at];
  const said = lines(state);
  $("step-title").textContent = headline(state);
  $("step-text").replaceChildren(...paragraphs(said));
  const v = state.variable === undefined ? null : trace.variables[state.variable];
  const place = v && placeOf(v);
  if (place) $("step-text").append(place);
  $("slider").value = String(at);
  const position = `Step ${at} of ${states.length - 1}`;
  $("slider").setAttribute("aria-valuetext", `${position}: ${headline(state)}`);
  $("position").textContent = position;
  for (const id of ["first", "back"]) $(id).disabled = at === 0;
  for (const id of ["next", "last"]) $(id).disabled = at === states.length - 1;
  const marked = $("list").querySelector("[aria-current]");
  if (marked) marked.removeAttribute("aria-current");
  const entry = $("list").children[at];
  if (entry) entry.firstChild.setAttribute("aria-current", "step");
  showGraph();
  if (chosen !== null) showVariable();
  if (speak) {
    $("live").textContent = `${position}. ${headline(state)}. ${said.map((s) => s.text.trim()).join(". ")}`;
  }
}

function go(to) {
  const focused = document.activeElement;
  at = Math.max(0, Math.min(states.length - 1, to));
  show();
  // A button that has been switched off would lose the focus to nowhere.
  if (focused && focused.disabled) (at === 0 ? $("next") : $("back")).focus();
}

$("first").addEventListener("click", () => go(0));
$("back").addEventListener("click", () => go(at - 1));
$("next").addEventListener("click", () => go(at + 1));
$("last").addEventListener("click", () => go(states.length - 1));
$("slider").max = String(states.length - 1);
$("slider").addEventListener("input", () => go(Number($("slider").value)));

const KEYS = {
  ArrowRight: () => at + 1,
  ArrowLeft: () => at - 1,
  Home: () => 0,
  End: () => states.length - 1,
};
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const inField = event.target.matches("input, textarea, select");
  if (event.key in KEYS && !inField) {
    event.preventDefault();
    go(KEYS[event.key]());
    return;
  }
  const i = boxes.indexOf(event.target);
  if (i < 0) {
    if (event.key === "Escape" && !inField) closeVariable();
    return;
  }
  const other = { ArrowUp: i - 1, ArrowDown: i + 1 }[event.key];
  if (other !== undefined) {
    event.preventDefault();
    if (boxes[other]) {
      boxes[other].focus({ preventScroll: true });
      reveal(boxes[other]);
    }
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    choose(i);
  } else if (event.key === "Escape") {
    closeVariable();
  }
});

// ----- one variable, or a box of several --------------------------------------------------------

let chosen = null;

function choose(i) {
  chosen = i;
  boxes.forEach((box, k) => box.classList.toggle("is-chosen", k === i));
  $("variable").hidden = false;
  showVariable();
  $("live").textContent = `Details: ${$("variable-title").textContent}. ${$("variable-text").innerText}`;
  $("variable").scrollIntoView({ block: "nearest" });
}

function closeVariable() {
  if (chosen === null) return;
  const box = boxes[chosen];
  box.classList.remove("is-chosen");
  chosen = null;
  const inside = $("variable").contains(document.activeElement);
  $("variable").hidden = true;
  if (inside) box.focus({ preventScroll: true });
}
$("variable-close").addEventListener("click", closeVariable);

function showVariable() {
  const list = element("dl");
  const add = (term, ...content) => {
    const body = element("dd");
    body.append(...content);
    list.append(element("dt", term), body);
  };
  const about = trace.boxes[chosen];
  $("variable-title").textContent = about.title;
  const rest = [list];
  if (single[chosen] === null) {
    add("What it is", element("p", about.about));
    $("variable-text").replaceChildren(...rest);
    return;
  }
  const v = trace.variables[single[chosen]];
  $("variable-title").textContent = v.call ? `${v.label} = ${v.call}` : v.label;
  const value = now.values[v.index];
  add("Value", element("pre", written(value) || "not kept"));
  const stepAt = trace.steps.findIndex((s) => s.variable === v.index);
  const g = now.cotangents[v.index];
  if (g !== null && g !== undefined) {
    add("Cotangent: how much the result changes with it", element("pre", written(g), "gradient"));
    const sources = [];
    trace.steps.forEach((step, s) =>
      step.contributions.forEach((c, k) => {
        if (c.variable === v.index) {
          sources.push(`${written(now.steps[s][k].value)} through ${labelOf(step.variable)}`);
        }
      }),
    );
    if (sources.length > 1) add("It is the sum of", element("pre", sources.join("\n"), "gradient"));
  } else {
    add("Cotangent", element("p", "None reaches it."));
  }
  if (stepAt >= 0) {
    const said = [];
    trace.steps[stepAt].contributions.forEach((c, k) => {
      const name = cotangentLabel(c.variable);
      const formula = c.formula ? filled(c.formula, lettersOf(v, false)) : "";
      const numbers = c.formula ? withNumbers(c.formula, v) : "";
      const result = written(now.steps[stepAt][k].value);
      const parts = [formula, numbers, result].filter((x, j, all) => x && all.indexOf(x) === j);
      said.push(element("p", `to ${name}: ${parts.join("\n = ")}`, "formula back"));
    });
    if (said.length) add("What it hands on", ...said);
  }
  const place = placeOf(v);
  if (place) rest.push(place);
  $("variable-text").replaceChildren(...rest);
}

// ----- other inputs -----------------------------------------------------------------------------

const inputs = trace.variables.filter((v) => v.kind === "argument" || v.kind === "parameter");
const why = inputs.length ? obstacle(trace) : "the function has no inputs.";
const FIELDS = 12;
const fields = inputs.slice(0, FIELDS).map((v, i) => {
  const group = element("div", undefined, "field");
  const label = element("label");
  label.append(element("code", v.label));
  const field = element("input");
  field.id = `input-${i}`;
  field.dataset.label = v.label;
  // Not of type "number": that would take what is not a number for an empty field.
  field.type = "text";
  field.inputMode = "text";
  field.autocomplete = "off";
  field.spellcheck = false;
  field.value = isNumber(v.value) ? String(numberOf(v.value)) : brief(v.value);
  field.defaultValue = field.value;
  field.disabled = Boolean(why);
  field.setAttribute("aria-describedby", "inputs-note");
  const gradient = element("output");
  gradient.htmlFor = field.id;
  label.htmlFor = field.id;
  group.append(label, field, gradient);
  field.addEventListener("input", change);
  $("fields").append(group);
  return { v, field, gradient };
});
const NOTE =
  "Values and gradients are computed anew, here, with the operations that were recorded. " +
  "Constants stay as they are, and so do branches that Python has taken.";
$("inputs-note").textContent = why ? `Numbers cannot be changed here: ${why}` : NOTE;
if (inputs.length > FIELDS) {
  $("inputs-note").textContent += ` (The first ${FIELDS} of ${inputs.length} inputs are shown.)`;
}
$("reset").disabled = Boolean(why);

function readNumber(text) {
  const trimmed = text.trim().replace(MINUS, "-");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return null;
  return Number(trimmed);
}

function change() {
  const given = new Map();
  let wrong = "";
  for (const { v, field } of fields) {
    const x = readNumber(field.value);
    field.setAttribute("aria-invalid", String(x === null));
    if (x === null) wrong = `${v.label} must be a number, like 0.5 or -1e3.`;
    else given.set(v.index, x);
  }
  $("inputs-note").textContent = wrong || NOTE;
  if (wrong) return;
  now = recompute(trace, given);
  show({ speak: false });
  showList();
  showResults();
  const output = labelOf(trace.output);
  $("live").textContent =
    `Computed anew: ${output} = ${written(now.values[trace.output])}. ` +
    fields.map(({ v }) => `${cotangentLabel(v.index)} = ${written(now.cotangents[v.index] ?? 0)}`).join(", ");
}

$("inputs").addEventListener("reset", () => {
  now = original;
  for (const { field } of fields) field.setAttribute("aria-invalid", "false");
  $("inputs-note").textContent = NOTE;
  show({ speak: false });
  showList();
  showResults();
  $("live").textContent = "Back to the original numbers.";
});
$("inputs").addEventListener("submit", (event) => event.preventDefault());

const result = element("output", "", "result");
result.id = "result";
$("fields").after(result);

function showResults() {
  const value = now.values[trace.output];
  result.textContent = `Result: ${labelOf(trace.output)} = ${written(value)}`;
  if (isNumber(value)) result.dataset.value = String(numberOf(value));
  for (const { v, gradient } of fields) {
    const g = now.cotangents[v.index] ?? (isNumber(v.value) ? 0 : null);
    gradient.textContent = `${cotangentLabel(v.index)} = ${g === null ? "0" : brief(g)}`;
    if (isNumber(g)) gradient.dataset.value = String(numberOf(g));
  }
}

// ----- all steps --------------------------------------------------------------------------------

function oneLine(state) {
  if (state.kind === "start" || state.kind === "end") return headline(state);
  if (state.kind === "forward") {
    const v = trace.variables[state.variable];
    return `${v.label} = ${v.call} = ${brief(now.values[v.index])}`;
  }
  if (state.kind === "seed") {
    return `${cotangentLabel(state.variable)} = ${brief(now.cotangents[state.variable])}`;
  }
  const to = trace.steps[state.step].contributions;
  const what = to.map((c, k) => {
    return `${cotangentLabel(c.variable)} ${c.first ? "=" : "+="} ${brief(now.steps[state.step][k].value)}`;
  });
  return `${labelOf(state.variable)} gives ${what.join(", ") || "nothing"}`;
}

function showList() {
  // Long lists are written when they are opened.
  if (!$("all").open) return;
  const entries = states.map((state, i) => {
    const entry = element("li", undefined, state.kind === "back" || state.kind === "seed" ? "is-back" : "");
    const button = element("button", `${i}. ${oneLine(state)}`);
    button.type = "button";
    button.addEventListener("click", () => go(i));
    if (i === at) button.setAttribute("aria-current", "step");
    entry.append(button);
    return entry;
  });
  $("list").replaceChildren(...entries);
}
$("all").addEventListener("toggle", showList);

showResults();
show({ speak: false });
