"use strict";
// Trees, episodes, Table 1 and comparisons of one run. What models have said only ever becomes text nodes.

// ---- Data ----------------------------------------------------------------------------------------------------------

let index; // what every list needs: see page.py, `_index`
const arriving = new Map(); // linked files by name: what to call with their text

/** Called by a linked file. */
function explorerData(name, text) {
  arriving.get(name)(text);
}

/** JSON from base 64 of what zlib has deflated. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

/** Remembers what a function has made of each argument. */
function once(make) {
  const made = new Map();
  return (key) => made.get(key) ?? made.set(key, make(key)).get(key);
}

const chunk = once(async (name) => {
  const inside = document.querySelector(`script[data-name="${CSS.escape(name)}"]`);
  if (inside) return unpack(inside.textContent);
  const script = document.createElement("script");
  script.src = index.linked[name];
  const text = await new Promise((resolve, reject) => {
    arriving.set(name, resolve);
    script.onerror = () => reject(new Error(`${script.src}: not there; the folder belongs beside this page`));
    document.head.append(script);
  });
  return unpack(text);
});

function readStep(texts, [observation, thought, action, answer, score, sign, response]) {
  const words = { observation: texts[observation], thought: texts[thought], answer: texts[answer] };
  const said = sign === 2 ? texts[response] : texts[action];
  return { ...words, score, said, invalid: sign === 2, refused: sign === 1, response: texts[response] };
}

const readSteps = (texts, steps) => steps.map((step) => readStep(texts, step));

/** A tree as tree_data.py writes it, with its steps in words. */
function readTree(texts, raw) {
  const samples = raw.samples.map((sample) => ({ ...sample, steps: readSteps(texts, sample.steps) }));
  const nodes = raw.nodes.map(([parent, depth, members, stop], id) => {
    const step = depth && !stop ? samples[members[0]].steps[depth - 1] : null;
    return { id, parent, depth, members, stop: Boolean(stop), step };
  });
  const expert = raw.expert && { ...raw.expert, steps: readSteps(texts, raw.expert.steps) };
  return { ...raw, samples, nodes, expert };
}

async function loadTree(forestName, task) {
  const forest = index.forests.find(({ name }) => name === forestName);
  if (!forest) throw new Error(`${forestName}: no such trees in this run`);
  const { texts, trees } = await chunk(`trees/${forestName}`);
  if (!trees[task]) throw new Error(`${task}: no tree of this task among ${forestName}`);
  const tree = readTree(texts, trees[task]);
  return { ...tree, forest, task, summary: forest.trees.find((each) => each.task === task) };
}

/** The tree of the first samples: nodes keep their numbers, and samples are added in order, so it is the first nodes. */
function firstSamples(tree, breadth) {
  const nodes = [];
  for (const node of tree.nodes) {
    if (node.members[0] >= breadth) break;
    const members = node.members.filter((member) => member < breadth);
    nodes.push({ ...node, members, children: [], mean: mean(members.map((member) => tree.samples[member].score)) });
  }
  for (const node of nodes.slice(1)) nodes[node.parent].children.push(node.id);
  for (const node of nodes) {
    node.children.sort((a, b) => nodes[b].members.length - nodes[a].members.length || a - b);
  }
  const whole = breadth === tree.samples.length;
  const { informative, decided } = tree.divergences[breadth] ?? { informative: [], decided: null };
  const marks = whole ? {} : { paths: [], pairs: [], search: null };
  return { ...tree, ...marks, nodes, breadth, whole, informative, decided };
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

// ---- Elements and words --------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

/** Sets attributes and adds children; `on…` are listeners, false and null are left out. */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
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
  const dots = same > 0 && h("span", { class: "same", title: "begins as the page before" }, "…");
  return h("p", { class: "passage page" }, dots, rest.flatMap((part) => [h("span", { class: "part" }, part), " "]));
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

// ---- Addresses -----------------------------------------------------------------------------------------------------

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

// ---- Forms ---------------------------------------------------------------------------------------------------------

/** A labelled select; options are values or [value, words]. */
function choice(words, value, options, change) {
  const of = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const select = h("select", { onchange: (event) => change(event.target.value) });
  select.append(...of.map(([key, text]) => h("option", { value: key, selected: String(key) === String(value) }, text)));
  return h("label", { class: "field" }, h("span", {}, words), select);
}

function tick(words, value, change) {
  const box = h("input", { type: "checkbox", checked: Boolean(value), onchange: (event) => change(event.target.checked ? "1" : "") });
  return h("label", { class: "tick" }, box, words);
}

function searchField(value, change) {
  let timer;
  const later = (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => change(event.target.value.trim()), 150);
  };
  const input = h("input", { type: "search", value, placeholder: "words of an observation, thought or action", oninput: later });
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

// ---- Trees: the list -----------------------------------------------------------------------------------------------

const ROLES = { weak: "weak model", strong: "strong model" };
const SORTS = {
  decided: ["how much was decided", (t) => [-(t.decided?.explained ?? 0), -t.informative, t.nodes]],
  informative: ["informative divergences", (t) => [-t.informative, -(t.decided?.explained ?? 0), t.nodes]],
  hard: ["lowest mean score", (t) => [mean(t.scores), -t.informative]],
  easy: ["highest mean score", (t) => [-mean(t.scores), -t.informative]],
  branchings: ["most branchings", (t) => [-t.branchings, -t.nodes]],
  nodes: ["most nodes", (t) => [-t.nodes]],
  merged: ["most merged", (t) => [-t.merged]],
  task: ["task", () => []],
};
const SHOWN = 60; // rows of a list at first

let treeList = []; // the last list, so that a tree has a next and a previous one

const compare = (a, b) => {
  for (let place = 0; place < a.length; place += 1) if (a[place] !== b[place]) return a[place] < b[place] ? -1 : 1;
  return 0;
};
const isMixed = (tree) => tree.scores.some((score) => score >= 1) && tree.scores.some((score) => score < 1);

function filteredTrees(query, found) {
  const rows = index.forests
    .filter((f) => (!query.environment || f.environment === query.environment) && (!query.seed || String(f.seed) === query.seed))
    .filter((f) => !query.role || f.role === query.role)
    .flatMap((forest) => forest.trees.map((tree) => ({ ...tree, forest })))
    .filter((tree) => !query.mixed || isMixed(tree))
    .filter((tree) => tree.informative >= Number(query.informative ?? 0))
    .filter((tree) => !query.recombined || tree.path === "recombined")
    .filter((tree) => !query.type || tree.type === query.type)
    .filter((tree) => !query.q || found?.get(tree.forest.name)?.has(tree.task) || named(tree, query.q));
  const key = (SORTS[query.sort] ?? SORTS.decided)[1];
  const keyed = rows.map((tree) => [[...key(tree), tree.forest.name, tree.task], tree]);
  return keyed.sort(([a], [b]) => compare(a, b)).map(([, tree]) => tree);
}

const named = (row, wanted) => `${row.task} ${row.type} ${row.goal}`.toLowerCase().includes(wanted.toLowerCase());

/** By forest, the tasks whose trees hold a text. */
async function searchTrees(wanted, forests) {
  const found = new Map();
  const words = wanted.toLowerCase();
  for (const { name } of forests) {
    const { texts, trees } = await chunk(`trees/${name}`);
    found.set(name, holding(texts, trees, (tree) => tree.samples.map((sample) => sample.steps), words));
  }
  return found;
}

function treesView({ query }) {
  const state = { ...query };
  const status = h("p", { class: "status", role: "status" });
  const list = h("ol", { class: "rows" });
  const form = h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() });
  const set = (key) => (value) => {
    state[key] = value;
    if (key === "environment") {
      state.type = "";
      build();
    }
    update();
  };
  function build() {
    const here = index.forests.filter((f) => !state.environment || f.environment === state.environment);
    const types = distinct(here.flatMap((f) => f.trees.map((tree) => tree.type))).filter(Boolean).sort();
    const most = Math.max(0, ...here.flatMap((f) => f.trees.map((tree) => tree.informative)));
    const counts = Array.from({ length: most + 1 }, (_, count) => [count || "", count ? `${count} or more` : "any number"]);
    form.replaceChildren(
      searchField(state.q ?? "", set("q")),
      choice("Environment", state.environment, any(distinct(index.forests.map((f) => f.environment))), set("environment")),
      choice("Seed", state.seed, any(distinct(index.forests.map((f) => String(f.seed)))), set("seed")),
      choice("Samples of", state.role, any(distinct(index.forests.map((f) => f.role)).map((role) => [role, ROLES[role] ?? role])), set("role")),
      choice("Task type", state.type, any(types), set("type")),
      choice("Informative divergences", state.informative, counts, set("informative")),
      choice("Sort by", state.sort, Object.entries(SORTS).map(([key, [words]]) => [key, words]), set("sort")),
      tick("mixed: successes and failures", state.mixed, set("mixed")),
      tick("e* recombined", state.recombined, set("recombined")),
    );
  }
  let turn = 0;
  async function update() {
    const mine = (turn += 1);
    replaceAddress("trees", [], state);
    listAddress.trees = location.hash;
    status.textContent = state.q ? "searching …" : "";
    const found = state.q ? await searchTrees(state.q, index.forests) : null;
    if (mine !== turn) return;
    treeList = filteredTrees(state, found);
    status.textContent = `${plural(treeList.length, "tree")}${treeList.length ? "" : ": fewer filters would show more"}`;
    showRows(list, treeList, treeRow);
  }
  build();
  const intro = "Each row is a task that a model explored several times. Its samples were merged into one tree; where they part, and what that decided, is said in the middle.";
  update();
  return { title: "Trees", content: [h("h1", {}, "What decided each task"), h("p", { class: "note" }, intro), form, status, list] };
}

/** The first rows of a list, and a button for the others. */
function showRows(list, rows, make) {
  list.replaceChildren(...rows.slice(0, SHOWN).map(make));
  if (rows.length <= SHOWN) return;
  const rest = () => {
    list.lastChild.remove();
    const added = rows.slice(SHOWN).map(make);
    list.append(...added);
    added[0].querySelector("a").focus();
  };
  list.append(h("li", {}, h("button", { type: "button", class: "all", onclick: rest }, `show the other ${rows.length - SHOWN}`)));
}

const treeAddress = (tree) => address("tree", [tree.forest.name, tree.task], { node: tree.decided?.node });

function treeRow(tree) {
  const { forest, decided } = tree;
  const side = (name) => {
    const { action, score, samples } = decided[name];
    return h("span", { class: "side" }, pill(score), h("code", {}, flat(action)), h("small", {}, `×${samples}`));
  };
  const story = decided
    ? [h("small", {}, `step ${decided.step}`), h("span", { class: "sides-of" }, side("best"), side("worst"))]
    : [h("small", { class: "none" }, {}, distinct(tree.scores).length > 1 ? "ways part, by less than counts" : `every sample scores ${fixed(tree.scores[0])}`)];
  const facts = [plural(tree.informative, "divergence"), plural(tree.nodes, "node"), tree.path && `e* ${tree.path}`];
  return h("li", {}, h("a", { class: "row", href: treeAddress(tree) },
    h("span", { class: "what" }, h("b", {}, tree.task), h("small", {}, [forest.environment, `seed ${forest.seed}`, ROLES[forest.role] ?? forest.role].join(" · ")), h("span", { class: "goal" }, flat(tree.goal))),
    h("span", { class: "story" }, story),
    h("span", { class: "facts" }, scoreDots(tree.scores), h("small", {}, facts.filter(Boolean).join(" · ")))));
}

function scoreDots(scores) {
  const dots = [...scores].sort((a, b) => b - a).map((score) => h("i", { class: score >= 1 ? "dot won" : "dot", "--score": `${100 * score}%` }));
  return h("span", { class: "dots", role: "img", "aria-label": `scores of the samples: ${scores.map((score) => fixed(score)).join(", ")}` }, dots);
}

// ---- Trees: the drawing --------------------------------------------------------------------------------------------

const CARD = { width: 196, gap: 62, row: 92, height: 78, root: 64 }; // pixels

/** Nodes as cards: a card is a chain of only children, a stop leaf at its end included, or a single node if unfolded. */
function cardsOf(tree, folded) {
  const { nodes } = tree;
  const expertsNodes = (tree.expert?.nodes ?? []).filter((id) => id < nodes.length);
  const leaves = expertsNodes.at(-1); // here the expert leaves the samples' ways
  const ahead = tree.expert ? tree.expert.steps.slice(expertsNodes.length - 1) : [];
  const card = (id) => {
    const chain = [id];
    const only = () => nodes[chain.at(-1)].children;
    const goesOn = () => only().length === 1 && chain.at(-1) !== 0 && (folded || nodes[only()[0]].stop);
    while (goesOn() && !(chain.at(-1) === leaves && ahead.length)) chain.push(only()[0]);
    const last = chain.at(-1);
    const children = nodes[last].children.map(card);
    if (last === leaves && ahead.length) children.push({ ghost: true, steps: ahead, children: [] });
    return { chain, last, children };
  };
  return card(0);
}

/** Where cards stand: columns from left to right. */
function placed(root) {
  const hierarchy = d3.tree().nodeSize([CARD.row, CARD.width + CARD.gap]).separation(() => 1)(d3.hierarchy(root));
  const all = [];
  hierarchy.eachBefore((place) => all.push(place)); // so that who reads the cards one by one goes down one way first
  const top = Math.min(...all.map((place) => place.x));
  for (const place of all) {
    place.left = place.depth === 0 ? 0 : CARD.root + CARD.gap + (place.depth - 1) * (CARD.width + CARD.gap);
    place.wide = place.depth === 0 ? CARD.root : CARD.width;
    place.middle = place.x - top + CARD.height / 2 + 6;
  }
  const width = Math.max(...all.map((place) => place.left + place.wide)) + 44;
  const height = Math.max(...all.map((place) => place.middle)) + CARD.height / 2 + 10;
  return { all, width, height };
}

/** Actions from the root to a node, by which two trees are compared. */
function wayTo(tree, id) {
  const words = [];
  for (let at = id; at > 0; at = tree.nodes[at].parent) words.push(tree.nodes[at].step ? tree.nodes[at].step.said : "■");
  return words.reverse().join("\n");
}

/** One tree drawn: `select` is called with the number of a node. */
function drawing(tree, { folded, other, select }) {
  const { all, width, height } = placed(cardsOf(tree, folded));
  const starred = new Set(tree.paths.flatMap((path) => path.nodes));
  const experts = new Set((tree.expert?.nodes ?? []).slice(1));
  const gaps = new Map(tree.informative.map(([parent, , , gap]) => [parent, gap]));
  const known = other && new Set(other.nodes.map((node) => wayTo(other, node.id)));
  const lines = s("svg", { width, height, "aria-hidden": "true" });
  const curve = (place) => {
    const [x0, y0] = [place.parent.left + place.parent.wide, place.parent.middle];
    const [x1, y1] = [place.left, place.middle];
    return `M${x0},${y0}C${(x0 + x1) / 2},${y0} ${(x0 + x1) / 2},${y1} ${x1},${y1}`;
  };
  const links = all.slice(1).map((place) => ({ place, d: curve(place), node: place.data.ghost ? null : tree.nodes[place.data.chain[0]] }));
  for (const { d, node } of links) if (node && starred.has(node.id)) lines.append(s("path", { d, class: "halo" }));
  for (const { d, node } of links) {
    if (!node) lines.append(s("path", { d, class: "ghost" }));
    else lines.append(s("path", { d, class: "link", "stroke-width": 1.5 + (8 * node.members.length) / tree.breadth, "--score": `${100 * node.mean}%` }));
    if (node && experts.has(node.id)) lines.append(s("path", { d, class: "ghost" }));
  }
  const cards = all.map((place) => {
    const element = place.data.ghost ? ghostCard(place, tree) : treeCard(place, tree, { starred, experts, gaps, known });
    element.style.left = `${place.left}px`;
    element.style.top = `${place.middle}px`;
    element.style.width = `${place.wide}px`;
    if (!place.data.ghost) element.addEventListener("click", () => select(place.data.chain[0] === 0 ? 0 : place.data.chain.at(0), place.data));
    return { element, place };
  });
  const sheet = h("div", { class: "sheet", role: "tree", "aria-label": `Tree of ${tree.task}, ${tree.forest.name}, ${plural(tree.breadth, "sample")}` }, lines, cards.map(({ element }) => element));
  sheet.style.width = `${width}px`;
  sheet.style.height = `${height}px`;
  const frame = h("div", { class: "frame" }, sheet);
  const cardOf = (id) => cards.find(({ place }) => place.data.chain?.includes(id));
  const show = (id) => {
    for (const { element } of cards) {
      element.setAttribute("aria-selected", "false");
      element.tabIndex = -1;
    }
    const chosen = cardOf(id) ?? cards[0];
    chosen.element.setAttribute("aria-selected", "true");
    chosen.element.tabIndex = 0;
    return chosen;
  };
  return { frame, sheet, cards, cardOf, show, width, height };
}

function treeCard(place, tree, { starred, experts, gaps, known }) {
  const { chain, last } = place.data;
  const first = tree.nodes[chain[0]];
  const end = tree.nodes[last].stop ? tree.nodes[last] : null;
  const steps = chain.map((id) => tree.nodes[id]).filter((node) => node.step);
  const signs = [];
  if (starred.has(first.id)) signs.push(["star", "★", "e*"]);
  for (const pair of tree.pairs) {
    if (pair.chosen === pair.rejected) continue;
    if (chain.includes(pair.chosen)) signs.push(["plus", "+", "preferred side of a pair"]);
    if (chain.includes(pair.rejected)) signs.push(["minus", "−", "rejected side of a pair"]);
  }
  if (experts.has(first.id)) signs.push(["expert", "E", "the expert's way"]);
  const idle = steps.filter(({ step }) => step.invalid || step.refused).length;
  if (idle) signs.push(["idle", "✕", `${plural(idle, "step")} refused, or without an action`]);
  const marks = distinct(signs.map(([kind]) => kind)).map((kind) => signs.find(([other]) => other === kind));
  const parting = chain.find((id) => gaps.has(id));
  const decides = parting !== undefined && parting === tree.decided;
  const alone = known && chain[0] !== 0 && !known.has(wayTo(tree, chain[0]));
  const words = steps.length ? flat(steps[0].step.said || steps[0].step.response || "") : first.id === 0 ? "Task" : "ends here";
  const siblings = (place.parent?.children ?? []).filter(({ data }) => !data.ghost && tree.nodes[data.chain[0]].step);
  const shared = steps.length ? sharedBeginning(siblings.map(({ data }) => flat(tree.nodes[data.chain[0]].step.said))) : "";
  const through = `${first.members.length} of ${tree.breadth}`;
  const spoken = [words, steps.length > 1 && plural(steps.length, "step"), `${through} samples`, `mean G ${fixed(first.mean)}`, end && "ends here", ...marks.map(([, , text]) => text), parting !== undefined && `ways part, gap ${fixed(gaps.get(parting))}${decides ? ", this decided the task" : ""}`, alone && "only in this tree"];
  return h("div", {
    class: `card${first.id === 0 ? " root" : ""}${alone ? " alone" : ""}`,
    role: "treeitem", "aria-level": place.depth + 1, "aria-label": spoken.filter(Boolean).join(", "), "aria-selected": "false", tabindex: "-1", "data-node": chain[0], "--score": `${100 * first.mean}%`, title: words,
  },
    h("span", { class: "action" }, actionLabel(words, shared)),
    steps.length > 1 && restOf(steps.map(({ step }) => step)),
    first.id !== 0 && h("span", { class: "foot" }, h("span", {}, through), end ? endSign(end.mean, end.members.length) : pill(first.mean), marks.map(([kind, sign, text]) => h("span", { class: `sign ${kind}`, title: text }, sign))),
    parting !== undefined && h("span", { class: `diamond${decides ? " decides" : ""}`, title: `ways part here: mean G differs by ${fixed(gaps.get(parting))}` }, h("i", {}), fixed(gaps.get(parting))));
}

/** What follows the first step of a chain: how many steps, and the last of them with its beginning and its end. */
function restOf(steps) {
  const last = flat(steps.at(-1).said);
  const short = last.length > REST ? `${last.slice(0, REST - 15)}…${last.slice(-14)}` : last;
  return h("span", { class: "rest" }, `+${steps.length - 1}${steps.length > 2 ? " … " : " "}`, short);
}

function ghostCard(place, tree) {
  const { steps } = place.data;
  return h("div", { class: "card ghost", role: "treeitem", "aria-level": place.depth + 1, "aria-selected": "false", tabindex: "-1", "aria-label": `the expert's way: ${flat(steps[0].said)}, ${plural(steps.length, "step")}, G ${fixed(tree.expert.score)}`, title: steps.map((step) => flat(step.said)).join("\n") },
    h("span", { class: "action" }, flat(steps[0].said)),
    steps.length > 1 && restOf(steps),
    h("span", { class: "foot" }, h("span", { class: "sign expert" }, "E"), "expert", endSign(tree.expert.score, 1)));
}

// ---- Trees: a node -------------------------------------------------------------------------------------------------

/** All that is known of a node and its chain. */
function nodePanel(tree, id, chain, select) {
  const node = tree.nodes[id];
  const last = tree.nodes[chain.at(-1)];
  const search = tree.search?.[id];
  const marks = [];
  for (const path of tree.paths) {
    if (!path.nodes.includes(id)) continue;
    const origin = path.source < 0 ? "put together from several samples" : `in the words of sample ${path.source}`;
    marks.push(h("li", {}, h("span", { class: "sign star" }, "★"), ` e* of ${label(path.method)}: value ${fixed(path.value)}, ${origin}, replayed ${fixed(path.replay)}, ${path.certified ? "certified" : "not certified"}`));
  }
  for (const pair of tree.pairs) {
    const place = { [pair.parent]: "its sides part after this", [pair.rejected]: "rejected side", [pair.chosen]: "preferred side" };
    const where = chain.find((each) => place[each]);
    if (where === undefined) continue;
    const words = pair.chosen === pair.rejected && where !== pair.parent ? "both sides begin so" : place[where];
    marks.push(h("li", {}, h("span", { class: `sign ${where === pair.rejected ? "minus" : "plus"}` }, where === pair.rejected ? "−" : "+"), ` pair of ${label(pair.method)}: ${words} (${fixed(pair.chosenScore)} over ${fixed(pair.rejectedScore)})`));
  }
  if (id > 0 && tree.expert?.nodes.includes(id)) marks.push(h("li", {}, h("span", { class: "sign expert" }, "E"), " the expert did the same here"));
  const title = id === 0 ? "Task" : node.step ? flat(node.step.said) || "(no action)" : "Ends here";
  const step = id === 0 ? null : h("p", { class: "note" }, node.stop ? `after ${plural(node.depth, "step")}` : `step ${node.depth}${chain.length > 1 ? `, and ${plural(chain.filter((each) => tree.nodes[each].step).length - 1, "step")} that follow` : ""}`);
  return [
    h("h2", { tabindex: "-1" }, title), step,
    id === 0 && cut(passage(tree.samples[0].steps[0].observation)),
    optionsTable(tree, last, select),
    h("dl", { class: "numbers" },
      number("samples", `${node.members.length} of ${tree.breadth}`), number("mean G", fixed(node.mean)),
      search && [number("search visits c", search[0]), number("value r/c", fixed(search[1])), number("UCB", id === 0 ? "–" : fixed(search[2], 3))]),
    !tree.search && h("p", { class: "note" }, tree.whole ? "No search was run on this tree." : "Search, e* and pairs belong to the tree of all samples."),
    marks.length > 0 && h("ul", { class: "marks" }, marks),
    h("h3", {}, "Who went there"), samplesTable(tree, node),
    chain.some((each) => tree.nodes[each].step) && [h("h3", {}, "Steps"), h("ol", { class: "steps" }, chain.filter((each) => tree.nodes[each].step).map((each, place) => stepItem(tree, each, place === 0)))],
  ];
}

const number = (words, value) => h("div", {}, h("dt", {}, words), h("dd", {}, String(value)));

/** The ways after a node, if there are several. */
function optionsTable(tree, node, select) {
  if (node.children.length < 2) return null;
  const found = tree.informative.filter(([parent]) => parent === node.id);
  const sides = new Map(found.flatMap(([, best, worst]) => [[best, "best"], [worst, "worst"]]));
  const labels = node.children.map((id) => (tree.nodes[id].step ? flat(tree.nodes[id].step.said) : "ends here"));
  const shared = sharedBeginning(labels);
  const caption = found.length ? `Ways part here: mean G differs by ${fixed(Math.max(...found.map(([, , , gap]) => gap)))}${tree.decided === node.id ? ". This decided the task." : ""}` : "Ways part here";
  const rows = node.children.map((id, place) => {
    const child = tree.nodes[id];
    const known = tree.search?.[id];
    const link = h("button", { type: "button", class: "link", onclick: () => select(id) }, actionLabel(labels[place], shared));
    return h("tr", { class: sides.get(id) ?? "" }, h("td", {}, link), h("td", {}, child.members.length), h("td", {}, pill(child.mean)), tree.search && [h("td", {}, known[0]), h("td", {}, fixed(known[2], 3))]);
  });
  const heads = ["action", "samples", "mean G", ...(tree.search ? ["visits c", "UCB"] : [])];
  return h("div", { class: "scroll" }, h("table", { class: `options${tree.decided === node.id ? " decided" : ""}` }, h("caption", {}, caption), h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows)));
}

function samplesTable(tree, node) {
  const rows = node.members.map((member) => {
    const sample = tree.samples[member];
    const end = sample.steps.length === node.depth ? "here" : `step ${sample.steps.length}${sample.completed ? "" : ", cut off"}`;
    return h("tr", {}, h("td", {}, `${label(sample.policy)} ${sample.number}`), h("td", {}, `${sample.temperature} / ${sample.top_p}`), h("td", { class: "words" }, end), h("td", {}, endSign(sample.score, 1)));
  });
  const heads = ["sample", "T / top p", "ends", "G"];
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows)));
}

/** A step with every thought that samples had at it. */
function stepItem(tree, id, open) {
  const { depth, members, step } = tree.nodes[id];
  const before = depth > 1 ? tree.samples[members[0]].steps[depth - 2].observation : "";
  const thoughts = new Map();
  for (const member of members) {
    const { thought } = tree.samples[member].steps[depth - 1];
    thoughts.set(thought, [...(thoughts.get(thought) ?? []), tree.samples[member].number]);
  }
  const said = [...thoughts].filter(([thought]) => thought);
  const known = tree.search?.[id];
  return h("li", { value: depth }, h("details", { open },
    h("summary", {}, h("code", { class: step.invalid || step.refused ? "refused" : "" }, flat(step.said) || "(no action)"), known && h("small", {}, ` c ${known[0]}, UCB ${fixed(known[2], 3)}`)),
    h("h4", {}, "Observation"), passage(step.observation, before),
    said.length > 0 && [h("h4", {}, said.length > 1 ? "Thoughts" : "Thought"), said.map(([thought, who]) => h("p", { class: "thought" }, flat(thought), said.length > 1 && h("small", {}, ` (sample ${who.join(", ")})`)))],
    h("h4", {}, step.invalid ? "Response without an action" : "Action"), h("p", { class: "said" }, step.said || "(nothing)"),
    h("h4", {}, step.refused ? "Answer: refused" : "Answer"), passage(step.answer, step.observation)));
}

// ---- Trees: the view -----------------------------------------------------------------------------------------------

const FEWEST = 2; // samples of a tree to look at

async function treeView({ parts: [forestName, task], query }) {
  const whole = await loadTree(forestName, task);
  if (!treeList.length) treeList = filteredTrees({}, null);
  const breadthOf = (text, tree) => Math.min(tree.samples.length, Math.max(Math.min(FEWEST, tree.samples.length), Number(text) || tree.samples.length));
  const state = { node: Number(query.node ?? whole.summary.decided?.node ?? 0), breadth: breadthOf(query.breadth, whole), unfold: query.unfold ?? "", beside: query.beside ?? "", pane: Number(query.pane ?? 0) };
  const panes = h("div", { class: "panes" });
  const panel = h("aside", { class: "panel", "aria-label": "The chosen node" });
  const split = h("div", { class: "split" }, panes, panel);
  let drawn = [];

  async function trees() {
    const found = [firstSamples(whole, state.breadth)];
    if (state.beside) {
      const [name, breadth] = state.beside.split("~");
      const tree = await loadTree(name, task);
      found.push(firstSamples(tree, breadthOf(breadth, tree)));
    }
    return found;
  }

  const remember = () => replaceAddress("tree", [forestName, task], { node: state.node, pane: state.pane || "", breadth: state.breadth === whole.samples.length ? "" : state.breadth, unfold: state.unfold, beside: state.beside });

  function select(pane, id, focus = false) {
    Object.assign(state, { pane, node: id });
    drawn.forEach(({ picture }, place) => place !== pane && picture.cards.forEach(({ element }) => element.setAttribute("aria-selected", "false")));
    const { tree, picture } = drawn[pane];
    const { element, place } = picture.show(id);
    const chain = place.data.chain.slice(Math.max(0, place.data.chain.indexOf(id)));
    panel.replaceChildren(...fill(document.createDocumentFragment(), {}, nodePanel(tree, chain[0], id === 0 ? [0] : chain, (other) => select(pane, other, true))).childNodes);
    panel.scrollTop = 0;
    if (focus) element.focus({ preventScroll: true });
    reveal(picture.frame, element);
    remember();
  }

  async function draw(focus = false) {
    const found = await trees();
    drawn = found.map((tree, pane) => {
      const picture = drawing(tree, { folded: !state.unfold, other: found.length > 1 ? found[1 - pane] : null, select: (id) => select(pane, id) });
      picture.sheet.addEventListener("keydown", (event) => walk(event, picture, (id) => select(pane, id, true)));
      return { tree, picture };
    });
    split.classList.toggle("two", drawn.length > 1);
    panes.replaceChildren(...drawn.map(({ tree, picture }) => h("section", { class: "pane", "aria-label": paneName(tree) }, drawn.length > 1 && h("h2", {}, paneName(tree)), picture.frame, h("p", { class: "note" }, paneNote(tree)))));
    drawn.forEach(({ picture }) => fit(picture));
    if (!drawn[state.pane]) state.pane = 0;
    const { nodes } = drawn[state.pane].tree;
    select(state.pane, state.node < nodes.length ? state.node : 0, focus);
  }

  const change = (key, redraw = true) => (value) => {
    state[key] = value;
    if (redraw) draw();
  };
  const counts = Array.from({ length: whole.samples.length - FEWEST + 1 }, (_, place) => String(place + FEWEST));
  const others = [["", "nothing"], ...index.forests.filter((f) => f.name !== forestName && f.trees.some((tree) => tree.task === task)).map((f) => [`${f.name}~`, forestWords(f)]), ...counts.map((count) => [`${forestName}~${count}`, `the same, first ${count} samples`])];
  const decide = () => drawn[state.pane].tree.decided !== null && select(state.pane, drawn[state.pane].tree.decided, true);
  const controls = h("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    choice("First samples", String(state.breadth), counts, (value) => change("breadth")(Number(value))),
    choice("Beside it", state.beside, others, change("beside")),
    tick("every step by itself", state.unfold, change("unfold")),
    h("button", { type: "button", onclick: decide, disabled: !whole.summary.decided }, "◆ what decided it"));
  const { forest } = whole;
  const content = [
    neighbours(treeList, (tree) => tree.forest.name === forestName && tree.task === task, treeAddress, "trees"),
    h("h1", {}, task, h("small", {}, ` ${forestWords(forest)}`)),
    h("p", { class: "goal" }, flat(whole.summary.goal || whole.samples[0].steps[0].observation)),
    controls, split];
  const keys = { d: decide, f: () => { state.unfold = state.unfold ? "" : "1"; controls.querySelector("input[type=checkbox]").checked = Boolean(state.unfold); draw(true); } };
  return { title: `${task}, ${forestWords(forest)}`, content, keys, shown: () => draw(), fit: (paper) => drawn.forEach(({ picture }) => fit(picture, paper)) };
}

const forestWords = (forest) => `${forest.environment}, seed ${forest.seed}, ${ROLES[forest.role] ?? forest.role}`;
const paneName = (tree) => `${forestWords(tree.forest)}, ${plural(tree.breadth, "sample")}`;
const paneNote = (tree) => `Merged by ${tree.forest.rule}. Lines: the wider the more samples, from red (failure below) to green (success below).`;

const SMALLEST = 0.68; // scale of a drawing; below it the frame scrolls
const PAPER = 700; // pixels, width of a drawing on paper

/** Shrinks a drawing that is a little too wide for its frame. */
function fit({ frame, sheet, width, height }, paper = false) {
  const room = paper ? PAPER : frame.clientWidth - 2 * parseFloat(getComputedStyle(frame).paddingLeft);
  const scale = Math.min(1, Math.max(paper ? 0 : SMALLEST, room / width));
  sheet.style.transform = scale < 1 ? `scale(${scale})` : "";
  sheet.style.marginRight = `${(scale - 1) * width}px`;
  sheet.style.marginBottom = `${(scale - 1) * height}px`;
}

/** Scrolls a frame, not the page, so that an element is in it. */
function reveal(frame, element) {
  const [outer, inner] = [frame.getBoundingClientRect(), element.getBoundingClientRect()];
  if (inner.left < outer.left + 16 || inner.right > outer.right - 40) frame.scrollLeft += inner.left - outer.left - outer.width / 3;
}

/** Arrow keys in a drawing. */
function walk(event, { cards, cardOf }, select) {
  const at = cardOf(Number(event.target.dataset.node));
  if (!at || event.ctrlKey || event.metaKey || event.altKey) return;
  const { place } = at;
  const column = cards.filter((each) => each.place.depth === place.depth && !each.place.data.ghost).sort((a, b) => a.place.middle - b.place.middle);
  const row = column.indexOf(at);
  const next = {
    ArrowLeft: place.parent,
    ArrowRight: place.children?.find(({ data }) => !data.ghost),
    ArrowUp: column[row - 1]?.place,
    ArrowDown: column[row + 1]?.place,
    Home: cards[0].place,
    Enter: place,
    " ": place,
  }[event.key];
  if (!next) return;
  event.preventDefault();
  select(next.data.chain[0]);
}

/** Links to the list, the row before and the row after. */
function neighbours(list, isHere, addressOf, view) {
  const at = list.findIndex(isHere);
  const link = (row, words, key) => row && h("a", { href: addressOf(row), "data-key": key }, words);
  return h("nav", { class: "neighbours", "aria-label": "Neighbours" }, h("a", { href: listAddress[view] ?? address(view) }, "← all"), at >= 0 && [link(list[at - 1], "previous", "p"), h("span", {}, `${at + 1} of ${list.length}`), link(list[at + 1], "next", "n")]);
}

const listAddress = {}; // the last address of each list, filters included

// ---- Episodes ------------------------------------------------------------------------------------------------------

const MOST = 4; // models side by side
const FIRST_CHOICE = ["sft_strong", "w2s_mcts", "w2s_dpo", "sft_weak"];

let episodeList = [];

const runOf = (name) => index.runs.find((run) => run.name === name);
const firstModels = (models) => [...FIRST_CHOICE.filter((model) => models.includes(model)), ...models].slice(0, 2);

/** Ticks for up to four models; `change` gets their names in the order of the tables. */
function modelChoice(models, chosen, change) {
  const set = new Set(chosen);
  const boxes = models.map((model) => h("input", { type: "checkbox", value: model, checked: set.has(model) }));
  const limit = () => boxes.forEach((box) => (box.disabled = !box.checked && boxes.filter((each) => each.checked).length >= MOST));
  const group = h("fieldset", { class: "models" }, h("legend", {}, `Models, up to ${MOST}`), boxes.map((box) => h("label", { class: "tick" }, box, label(box.value))));
  group.addEventListener("change", () => {
    limit();
    change(boxes.filter((box) => box.checked).map((box) => box.value));
  });
  limit();
  return group;
}

function episodesView({ query }) {
  const run = index.runs.find((each) => each.environment === (query.environment || index.runs[0]?.environment) && String(each.seed) === (query.seed ?? String(each.seed)));
  if (!run) return { title: "Episodes", content: [h("h1", {}, "Episodes"), h("p", {}, "Nobody was evaluated.")] };
  const splits = distinct(run.tasks.map((task) => task.split));
  const state = { environment: run.environment, seed: String(run.seed), split: splits.at(-1), differ: "1", ...query };
  let models = (query.models?.split(",") ?? []).filter((model) => run.models.includes(model));
  if (!models.length) models = firstModels(run.models);
  const [status, list] = [h("p", { class: "status", role: "status" }), h("ol", { class: "rows" })];
  const move = (key) => (value) => (location.hash = address("episodes", [], { ...state, [key]: value, models: models.join(","), q: "", type: "" }));
  const set = (key) => (value) => {
    state[key] = value;
    update();
  };
  const types = distinct(run.tasks.map((task) => task.type)).filter(Boolean).sort();
  const form = h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    searchField(state.q ?? "", set("q")),
    choice("Environment", run.environment, distinct(index.runs.map((each) => each.environment)), move("environment")),
    choice("Seed", String(run.seed), distinct(index.runs.filter((each) => each.environment === run.environment).map((each) => String(each.seed))), move("seed")),
    choice("Split", state.split, splits, set("split")),
    choice("Task type", state.type, any(types), set("type")),
    tick("only where their scores differ", state.differ, (value) => set("differ")(value || "0")),
    modelChoice(run.models, models, (chosen) => {
      models = chosen;
      update();
    }));
  form.querySelector(".tick input").checked = state.differ === "1";
  let turn = 0;
  async function update() {
    const mine = (turn += 1);
    replaceAddress("episodes", [], { ...state, models: models.join(",") });
    listAddress.episodes = location.hash;
    status.textContent = state.q ? "searching …" : "";
    const { texts, episodes } = state.q ? await chunk(`episodes/${run.name}`) : {};
    if (mine !== turn) return;
    const steps = (played) => models.filter((model) => played[model]).map((model) => played[model].steps);
    const found = state.q ? holding(texts, episodes, steps, state.q.toLowerCase()) : null;
    const places = models.map((model) => run.models.indexOf(model));
    episodeList = run.tasks
      .filter((task) => task.split === state.split && (!state.type || task.type === state.type))
      .filter((task) => !found || found.has(task.task) || named(task, state.q))
      .map((task) => ({ ...task, run, models, shown: places.map((place) => task.played[place]) }))
      .filter((task) => state.differ !== "1" || distinct(task.shown.map((played) => played?.[0])).length > 1);
    const spread = ({ shown }) => Math.max(...shown.map((p) => p?.[0] ?? 0)) - Math.min(...shown.map((p) => p?.[0] ?? 0));
    episodeList.sort((a, b) => spread(b) - spread(a) || compare([a.task], [b.task]));
    status.textContent = `${plural(episodeList.length, "task")}, the largest difference first`;
    showRows(list, episodeList, episodeRow);
  }
  update();
  const intro = "Episodes of one task beside each other, with the first step at which they differ.";
  return { title: "Episodes", content: [h("h1", {}, "Where models part"), h("p", { class: "note" }, intro), form, status, list] };
}

const episodeAddress = (row) => address("episode", [row.run.name, row.task], { models: row.models.join(",") });

function episodeRow(row) {
  const played = row.models.map((model, place) => {
    const [score, steps] = row.shown[place] ?? [null, 0];
    return h("span", { class: "side" }, score === null ? "–" : pill(score), h("span", {}, label(model)), h("small", {}, score === null ? "not played" : plural(steps, "step")));
  });
  return h("li", {}, h("a", { class: "row", href: episodeAddress(row) },
    h("span", { class: "what" }, h("b", {}, row.task), h("small", {}, [row.run.environment, `seed ${row.run.seed}`, row.type].filter(Boolean).join(" · ")), h("span", { class: "goal" }, flat(row.goal))),
    h("span", { class: "story" }, played)));
}

/** Rows of steps: what an episode has in common with the first one (`commonSteps`) stands in that one's rows. */
function aligned(episodes) {
  const rows = episodes[0].steps.map((step) => [step]);
  const extra = Array.from({ length: rows.length + 1 }, () => []); // rows before each of the first one's steps
  episodes.slice(1).forEach(({ steps }, other) => {
    let [free, own] = [0, 0]; // the next row and the next step of this episode
    for (const [row, its] of [...commonSteps(episodes[0].steps, steps), [rows.length, steps.length]]) {
      let over = 0;
      for (; own < its; own += 1) {
        if (free < row) rows[free++][other + 1] = steps[own];
        else (extra[row][over++] ??= [])[other + 1] = steps[own];
      }
      if (row < rows.length) rows[row][other + 1] = steps[its];
      [free, own] = [row + 1, its + 1];
    }
  });
  return extra.flatMap((before, place) => [...before, ...(rows[place] ? [rows[place]] : [])]);
}

/** Pairs of places of a longest common subsequence of two episodes' steps: the same action with the same answer. */
function commonSteps(left, right) {
  const same = (a, b) => left[a].said === right[b].said && left[a].answer === right[b].answer;
  const longest = Array.from({ length: left.length + 1 }, () => new Array(right.length + 1).fill(0));
  for (let a = left.length - 1; a >= 0; a -= 1)
    for (let b = right.length - 1; b >= 0; b -= 1) longest[a][b] = same(a, b) ? 1 + longest[a + 1][b + 1] : Math.max(longest[a + 1][b], longest[a][b + 1]);
  const found = [];
  for (let a = 0, b = 0; a < left.length && b < right.length; )
    if (same(a, b)) found.push([a++, b++]);
    else if (longest[a + 1][b] >= longest[a][b + 1]) a += 1;
    else b += 1;
  return found;
}

/** How many steps all episodes begin with alike, in action and in what was seen. */
function commonBeginning(episodes) {
  let length = 0;
  const alike = (step, other) => step && other && step.said === other.said && step.observation === other.observation;
  while (episodes.every(({ steps }) => alike(episodes[0].steps[length], steps[length]))) length += 1;
  return length;
}

async function episodeView({ parts: [runName, task], query }) {
  const run = runOf(runName);
  const row = run?.tasks.find((each) => each.task === task);
  if (!row) throw new Error(`${task}: nobody was evaluated on this task in ${runName}`);
  const { texts, episodes } = await chunk(`episodes/${runName}`);
  const there = run.models.filter((model) => episodes[task][model]);
  let models = (query.models?.split(",") ?? []).filter((model) => there.includes(model)).slice(0, MOST);
  if (!models.length) models = firstModels(there);
  const place = h("div", {});
  function draw() {
    replaceAddress("episode", [runName, task], { models: models.join(",") });
    const chosen = models.map((model) => ({ model, ...episodes[task][model], steps: readSteps(texts, episodes[task][model].steps) }));
    place.replaceChildren(...(chosen.length ? [sideBySide(chosen)] : [h("p", { class: "note" }, "Choose a model.")]));
  }
  draw();
  const content = [
    neighbours(episodeList, (each) => each.run.name === runName && each.task === task, episodeAddress, "episodes"),
    h("h1", {}, task, h("small", {}, ` ${run.environment}, seed ${run.seed}, ${row.split}`)),
    h("p", { class: "goal" }, flat(row.goal)),
    h("form", { class: "filters" }, modelChoice(there, models, (chosen) => { models = chosen; draw(); })), place];
  return { title: `${task}, ${runName}`, content };
}

function sideBySide(episodes) {
  const begin = episodes.length > 1 ? commonBeginning(episodes) : 0;
  const rest = aligned(episodes.map((episode) => ({ ...episode, steps: episode.steps.slice(begin) })));
  const places = episodes.map(({ steps }) => new Map(steps.map((step, number) => [step, number])));
  const cell = (step, place, agree) => {
    if (!step) return h("div", { class: "cell none", "aria-hidden": "true" });
    const number = places[place].get(step);
    const { steps } = episodes[place];
    return h("div", { class: `cell${agree ? " agree" : ""}`, title: agree ? "the same in all" : null }, episodes.length > 1 && h("small", { class: "whose" }, label(episodes[place].model)),
      h("p", { class: `said${step.invalid || step.refused ? " refused" : ""}` }, h("b", {}, `${number + 1} `), step.said || "(nothing)"),
      step.thought && h("p", { class: "thought" }, flat(step.thought)), cut(passage(step.answer, step.observation)),
      number === steps.length - 1 && h("p", { class: "note" }, endSign(episodes[place].score, 1), episodes[place].completed ? " the environment ended it" : " cut off"));
  };
  const heads = episodes.map(({ model, score, steps }) => h("div", { class: "head" }, h("b", {}, label(model)), " ", pill(score), h("small", {}, ` ${plural(steps.length, "step")}`)));
  const start = h("div", { class: "whole" }, h("h2", {}, "At first"), cut(passage(episodes[0].steps[0].observation)));
  const common = begin > 0 && h("details", { class: "whole", open: begin <= 3 }, h("summary", {}, `${plural(begin, "step")} that are the same`), episodes[0].steps.slice(0, begin).map((step, number) => h("div", { class: "common" }, h("p", { class: "said" }, h("b", {}, `${number + 1} `), step.said), step.thought && h("p", { class: "thought" }, flat(step.thought)), cut(passage(step.answer, step.observation)))));
  const parting = episodes.length > 1 && h("p", { class: `whole${rest.length ? " parting" : ""}`, id: "parting" }, rest.length > 0 && h("i", {}), rest.length ? ` Step ${begin + 1} is the first that differs` : " They are the same to the end");
  const agreed = (row) => episodes.length > 1 && episodes.every((_, place) => row[place] && row[place].said === row[0].said && row[place].answer === row[0].answer);
  const cells = rest.flatMap((row) => episodes.map((_, place) => cell(row[place], place, agreed(row))));
  const grid = h("div", { class: "sides", "--models": episodes.length }, heads, start, common, parting, cells);
  return h("div", { class: "scroll" }, grid);
}

// ---- Table 1 -------------------------------------------------------------------------------------------------------

const MEASURES = { average_reward: "task score", success_rate: "success", completion_rate: "completion" };

/** A head that sorts; `state` holds the key that is sorted by and the direction. */
function sorter(words, key, state, update, scope = "col") {
  const mine = state.sort === key;
  const turn = () => {
    Object.assign(state, { sort: key, down: mine && state.down === "1" ? "" : "1" });
    update();
  };
  const sign = mine ? (state.down === "1" ? " ▼" : " ▲") : "";
  return h("th", { scope, "aria-sort": mine ? (state.down === "1" ? "descending" : "ascending") : "none" }, h("button", { type: "button", class: "sort", onclick: turn }, words, h("span", { "aria-hidden": "true" }, sign)));
}

/** Brings the row that the address names into sight. */
function showNamed(table) {
  const row = table.querySelector("[aria-current=true]");
  row?.scrollIntoView({ block: "center" });
}

function table1View({ query }) {
  const state = { measure: "average_reward", ...query };
  const place = h("div", { class: "scroll" });
  const columns = distinct(index.cells.map(({ environment, split }) => `${environment} ${split}`));
  const models = distinct(index.cells.map(({ model }) => model)).sort((a, b) => Object.keys(index.labels).indexOf(a) - Object.keys(index.labels).indexOf(b));
  function update() {
    replaceAddress("table1", [], state);
    const cells = new Map(index.cells.filter(({ measure }) => measure === state.measure).map((cell) => [`${cell.environment} ${cell.split} ${cell.model}`, cell]));
    const value = (model) => cells.get(`${state.sort} ${model}`)?.value.mean ?? -1;
    const ordered = [...models];
    if (columns.includes(state.sort)) ordered.sort((a, b) => value(b) - value(a));
    if (state.sort && state.down !== "1") ordered.reverse();
    const rows = ordered.map((model) => h("tr", { "aria-current": state.row === model ? "true" : null },
      h("th", { scope: "row" }, h("a", { href: address("table1", [], { ...state, row: model }) }, label(model))),
      columns.map((column) => {
        const cell = cells.get(`${column} ${model}`);
        return cell ? h("td", { class: "amount", "--value": `${100 * cell.value.mean}%`, title: plural(cell.tasks, "task") }, h("b", {}, points(cell.value.mean)), h("small", {}, ` ${points(cell.value.low)} to ${points(cell.value.high)}`)) : h("td", {}, "–");
      })));
    const head = h("tr", {}, sorter("model", "", state, update), columns.map((column) => sorter(column, column, state, update)));
    place.replaceChildren(h("table", { class: "table1" }, h("caption", {}, `${MEASURES[state.measure]}, per cent, with ${100 * index.confidence} % intervals over tasks and seeds`), h("thead", {}, head), h("tbody", {}, rows)));
  }
  const form = h("form", { class: "filters" }, choice("Measure", state.measure, Object.entries(MEASURES), (measure) => { state.measure = measure; update(); }));
  update();
  const note = "A head sorts its column. A model's name is a link to its row. Success: G = 1. Completion: the environment ended the episode by itself.";
  return { title: "Table 1", content: [h("h1", {}, "Table 1"), h("p", { class: "note" }, note), form, place], shown: () => showNamed(place) };
}

// ---- Comparisons ---------------------------------------------------------------------------------------------------

const VERDICTS = { holds: "holds after correction", higher: "higher", lower: "lower", undecided: "not decided", identical: "no task differs" };
const FAMILIES = { headline: "ours against the SFT models", other: "all others" };
const comparisonId = (c) => [c.environment, c.split, c.measure, c.model, c.baseline].join(".");

function comparisonsView({ query }) {
  const all = index.comparisons;
  const values = (key) => distinct(all.map((each) => each[key]));
  const state = { split: values("split").at(-1) ?? "", measure: "average_reward", ...query };
  const [status, place] = [h("p", { class: "status", role: "status" }), h("div", { class: "scroll" })];
  const keys = { name: (c) => `${label(c.model)} ${label(c.baseline)}`, difference: (c) => c.difference, p: (c) => c.adjusted_p ?? c.p_value, environment: (c) => c.environment };
  function update() {
    replaceAddress("comparisons", [], state);
    const rows = all.filter((c) => ["environment", "split", "measure", "family", "model", "baseline"].every((key) => !state[key] || c[key] === state[key]))
      .filter((c) => !state.verdict || (state.verdict === "holds" ? c.holds : c.verdict === state.verdict));
    if (keys[state.sort]) rows.sort((a, b) => compare([keys[state.sort](a)], [keys[state.sort](b)]));
    if (state.sort && state.down === "1") rows.reverse();
    status.textContent = plural(rows.length, "comparison");
    place.replaceChildren(rows.length ? forestTable(rows, state, update) : "");
  }
  const set = (key) => (value) => {
    state[key] = value;
    update();
  };
  const models = (key) => any(values(key).map((model) => [model, label(model)]));
  const form = h("form", { class: "filters" },
    choice("Environment", state.environment, any(values("environment")), set("environment")),
    choice("Split", state.split, any(values("split")), set("split")),
    choice("Measure", state.measure, any(values("measure").map((key) => [key, MEASURES[key]])), set("measure")),
    choice("Family", state.family, any(Object.entries(FAMILIES)), set("family")),
    choice("Model", state.model, models("model"), set("model")),
    choice("Against", state.baseline, models("baseline"), set("baseline")),
    choice("Verdict", state.verdict, any(Object.entries(VERDICTS)), set("verdict")));
  update();
  const note = "Differences task by task, in points, with their intervals. Filled: it survives the correction for the number of comparisons. The tasks on which two models differ are a click away.";
  return { title: "Comparisons", content: [h("h1", {}, "Comparisons"), h("p", { class: "note" }, note), form, status, place], shown: () => showNamed(place) };
}

const probability = (value) => (value < 0.001 ? value.toExponential(1) : value.toPrecision(2));

const PLOT = 26; // pixels, height of a row

function forestTable(rows, state, update) {
  const reach = Math.max(0.02, ...rows.flatMap((c) => [Math.abs(c.low), Math.abs(c.high)]));
  const x = (value) => `${50 + (47 * value) / reach}%`;
  const unit = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].find((size) => reach / size < 4) ?? 1;
  const ticks = [];
  for (let at = -Math.floor(reach / unit); at <= reach / unit; at += 1) ticks.push(at * unit);
  const picture = (...children) => s("svg", { class: "plot", height: PLOT, "aria-hidden": "true" }, children);
  const lines = () => ticks.map((at) => s("line", { x1: x(at), x2: x(at), y1: 0, y2: PLOT, class: Math.abs(at) < 1e-9 ? "zero" : "tick" }));
  const axis = picture(ticks.map((at) => s("text", { x: x(at), y: 18, "text-anchor": "middle" }, `${at > 0 ? "+" : at < 0 ? "−" : ""}${Math.round(Math.abs(100 * at))}`)));
  const body = rows.map((c) => {
    const kind = c.verdict === "higher" || c.verdict === "lower" ? `${c.verdict}${c.holds ? " holds" : ""}` : "undecided";
    const id = comparisonId(c);
    const plot = picture(lines(), s("line", { x1: x(c.low), x2: x(c.high), y1: 13, y2: 13, class: `reach ${kind}` }), s("circle", { cx: x(c.difference), cy: 13, r: 5, class: `point ${kind}` }));
    const tasks = address("episodes", [], { environment: c.environment, split: c.split, models: `${c.baseline},${c.model}` });
    return h("tr", { "aria-current": state.row === id ? "true" : null, class: kind },
      h("th", { scope: "row" }, h("a", { href: address("comparisons", [], { ...state, row: id }) }, `${label(c.model)} − ${label(c.baseline)}`), h("small", {}, ` ${c.environment}${state.split ? "" : `, ${c.split}`}${state.measure ? "" : `, ${MEASURES[c.measure]}`}`)),
      h("td", { class: "forest" }, plot),
      h("td", {}, h("b", {}, signed(c.difference)), h("small", {}, ` ${signed(c.low)} to ${signed(c.high)}`)),
      h("td", { class: "words" }, c.wording), h("td", { class: "p" }, probability(c.adjusted_p ?? c.p_value)),
      h("td", { class: "won" }, h("a", { href: tasks, "aria-label": `the tasks on which they differ: ${c.wins} won, ${c.losses} lost` }, `${c.wins} / ${c.losses}`)));
  });
  const head = h("tr", {}, sorter("comparison", "name", state, update), h("th", { scope: "col", class: "forest" }, h("span", { class: "hidden" }, "interval"), axis), sorter("difference", "difference", state, update), h("th", { scope: "col" }, "verdict"), sorter("p corrected", "p", state, update), h("th", { scope: "col" }, "won / lost"));
  return h("table", { class: "comparisons" }, h("thead", {}, head), h("tbody", {}, body));
}

// ---- The page ------------------------------------------------------------------------------------------------------

const VIEWS = { trees: treesView, tree: treeView, episodes: episodesView, episode: episodeView, table1: table1View, comparisons: comparisonsView };
const TABS = { tree: "trees", episode: "episodes" };

let current = { keys: {} };
let turn = 0;

async function show() {
  const mine = (turn += 1);
  const where = readAddress();
  const view = document.getElementById("view");
  let made;
  try {
    if (!VIEWS[where.view]) throw new Error(`${where.view}: there is no such view`);
    made = await VIEWS[where.view](where);
  } catch (error) {
    made = { title: "Not found", content: [h("h1", {}, "Not found"), h("p", { role: "alert" }, error.message)] };
  }
  if (mine !== turn) return;
  view.replaceChildren(...fill(document.createDocumentFragment(), {}, made.content).childNodes);
  document.title = `${made.title} – explorer`;
  for (const link of document.querySelectorAll(".bar nav a")) {
    const here = link.getAttribute("href") === `#/${TABS[where.view] ?? where.view}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
  current = made;
  await made.shown?.();
  document.documentElement.dataset.view = where.view;
  document.documentElement.dataset.drawn = String(mine);
}

function pressed(event) {
  const typing = event.target.closest("input:not([type=checkbox]), select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const link = ["n", "p"].includes(event.key) && document.querySelector(`[data-key="${event.key}"]`);
  const act = { "/": () => document.querySelector("input[type=search]")?.focus(), "?": () => document.getElementById("keys").showModal(), ...current.keys }[event.key];
  if (!link && !act) return;
  event.preventDefault();
  if (link) location.hash = link.getAttribute("href");
  else act();
}

async function start() {
  index = await unpack(document.querySelector('script[data-name="index"]').textContent);
  addEventListener("hashchange", show);
  addEventListener("keydown", pressed);
  addEventListener("beforeprint", () => current.fit?.(true));
  addEventListener("afterprint", () => current.fit?.(false));
  addEventListener("resize", () => current.fit?.(false));
  document.getElementById("help").addEventListener("click", () => document.getElementById("keys").showModal());
  document.getElementById("skip").addEventListener("click", () => document.getElementById("view").focus());
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("theme").addEventListener("click", () => {
    const { style } = document.documentElement;
    const now = style.colorScheme || (dark.matches ? "dark" : "light");
    style.colorScheme = now === "dark" ? "light" : "dark";
  });
  await show();
}

start();
