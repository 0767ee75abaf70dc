"use strict";
// Elements and words, addresses, fields of forms. What models have said only ever becomes text nodes.

const SVG = "http://www.w3.org/2000/svg";

/** Sets attributes and adds children; `on…` are listeners, false and null are left out. */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const label = (model) => index.labels[model] ?? model;
const fixed = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const points = (value) => (100 * value).toFixed(1);
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(100 * value).toFixed(1);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const flat = (text) => text.replaceAll("[SEP]", "·").replace(/\s+/g, " ").trim();
const distinct = (values) => [...new Set(values)];

/** A score as a coloured pill. */
const pill = (score, text = fixed(score)) => h("span", { class: "pill", "--score": `${100 * score}%` }, text);

/** Words for those who do not see what is beside them. */
const unseen = (text) => h("span", { class: "hidden" }, text);

/** A sign with its meaning. */
const sign = (kind, glyph, meaning) =>
  h(
    "span",
    { class: `sign ${kind}`, title: meaning },
    h("span", { "aria-hidden": "true" }, glyph),
    unseen(`, ${meaning}`),
  );

/** How samples end: a disc for G = 1, a square for less. */
function endSign(score, count) {
  const won = score >= 1;
  const text = `${won ? "●" : "■"} ${fixed(score)}${count > 1 ? ` ×${count}` : ""}`;
  return h("span", { class: `end ${won ? "won" : "lost"}` }, text);
}

/** A page's parts as boxes, plain text as it is. Parts that the page before began with too are left out. */
function passage(text, before = "") {
  const parts = text.split("[SEP]").map((part) => part.trim());
  if (parts.length === 1) return h("p", { class: "passage" }, text);
  const old = before.split("[SEP]").map((part) => part.trim());
  let same = 0;
  while (same < parts.length && parts[same] === old[same]) same += 1;
  const rest = parts.slice(same).filter(Boolean);
  const dots = same > 0 && h("span", { class: "same" }, rest.length ? "…" : "the page as before");
  return h(
    "p",
    { class: "passage page" },
    dots,
    rest.flatMap((part) => [h("span", { class: "part" }, part), " "]),
  );
}

/** Long passages are cut until somebody wants more. */
function cut(element) {
  if (element.textContent.length < 260) return element;
  const more = h("button", { type: "button", class: "more", "aria-expanded": "false" }, "more");
  const box = h("div", { class: "cut" }, element, more);
  more.addEventListener("click", () => {
    const open = box.classList.toggle("open");
    more.textContent = open ? "less" : "more";
    more.setAttribute("aria-expanded", String(open));
  });
  return box;
}

/** What siblings' labels have in common at their beginning, up to a boundary of words. */
function sharedBeginning(labels) {
  if (labels.length < 2) return "";
  let length = 0;
  while (labels.every((text) => text.length > length && text[length] === labels[0][length])) length += 1;
  return /^.*[\s[(]/s.exec(labels[0].slice(0, length))?.[0] ?? "";
}

const LONG = 46; // characters of an action that a card can hold
const REST = 27; // of the last action of a chain

/** An action with the end that differs from its siblings', whatever else must go. */
function actionLabel(text, shared) {
  const rest = text.slice(shared.length);
  if (!shared) return [text];
  return [h("span", { class: "shared" }, text.length > LONG ? "… " : shared), h("strong", {}, rest)];
}

/** "#/view/part/part?key=value". */
function address(view, parts = [], query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const search = new URLSearchParams(kept).toString();
  return `#/${[view, ...parts.map(encodeURIComponent)].join("/")}${search ? `?${search}` : ""}`;
}

function readAddress() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...parts] = path.split("/").map(decodeURIComponent);
  return { view: view || "trees", parts, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** Changes the address without drawing the view anew. */
const replaceAddress = (...where) => history.replaceState(null, "", address(...where));

/** A labelled select; options are values or [value, words]. */
function choice(words, value, options, change) {
  const of = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const select = h("select", { onchange: (event) => change(event.target.value) });
  select.append(...of.map(([key, text]) => h("option", { value: key, selected: String(key) === String(value) }, text)));
  return h("label", { class: "field" }, h("span", {}, words), select);
}

function tick(words, value, change) {
  const box = h("input", {
    type: "checkbox",
    checked: Boolean(value),
    onchange: (event) => change(event.target.checked ? "1" : ""),
  });
  return h("label", { class: "tick" }, box, words);
}

function searchField(value, change) {
  let timer;
  const later = (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => change(event.target.value.trim()), 150);
  };
  const input = h("input", {
    type: "search",
    value,
    placeholder: "words of an observation, thought or action",
    oninput: later,
  });
  return h("label", { class: "field wide" }, h("span", {}, "Search in texts"), input);
}

const any = (values) => [["", "all"], ...values];

/** Which of the tasks hold a text anywhere in their steps; `stepsOf` gives a task's steps as they are packed. */
function holding(texts, tasks, stepsOf, wanted) {
  const hits = new Set(texts.flatMap((text, number) => (text.toLowerCase().includes(wanted) ? [number] : [])));
  const has = ([observation, thought, action, answer, , , response]) =>
    [observation, thought, action, answer, response].some((number) => hits.has(number));
  return new Set(Object.keys(tasks).filter((task) => stepsOf(tasks[task]).some((steps) => steps.some(has))));
}
