"use strict";
// The list of all trees: filters, search, order.

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
    .filter(
      (f) =>
        (!query.environment || f.environment === query.environment) && (!query.seed || String(f.seed) === query.seed),
    )
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
    found.set(
      name,
      holding(texts, trees, (tree) => tree.samples.map((sample) => sample.steps), words),
    );
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
    const types = distinct(here.flatMap((f) => f.trees.map((tree) => tree.type)))
      .filter(Boolean)
      .sort();
    const most = Math.max(0, ...here.flatMap((f) => f.trees.map((tree) => tree.informative)));
    const counts = Array.from({ length: most + 1 }, (_, count) => [
      count || "",
      count ? `${count} or more` : "any number",
    ]);
    form.replaceChildren(
      searchField(state.q ?? "", set("q")),
      choice(
        "Environment",
        state.environment,
        any(distinct(index.forests.map((f) => f.environment))),
        set("environment"),
      ),
      choice("Seed", state.seed, any(distinct(index.forests.map((f) => String(f.seed)))), set("seed")),
      choice(
        "Samples of",
        state.role,
        any(distinct(index.forests.map((f) => f.role)).map((role) => [role, ROLES[role] ?? role])),
        set("role"),
      ),
      choice("Task type", state.type, any(types), set("type")),
      choice("Informative divergences", state.informative, counts, set("informative")),
      choice(
        "Sort by",
        state.sort,
        Object.entries(SORTS).map(([key, [words]]) => [key, words]),
        set("sort"),
      ),
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
  const intro =
    "Each row is a task that a model explored several times. Its samples were merged into one tree; where they part, and what that decided, is said in the middle.";
  update();
  return {
    title: "Trees",
    content: [h("h1", {}, "What decided each task"), h("p", { class: "note" }, intro), form, status, list],
  };
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
  list.append(
    h("li", {}, h("button", { type: "button", class: "all", onclick: rest }, `show the other ${rows.length - SHOWN}`)),
  );
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
    : [
        h(
          "small",
          { class: "none" },
          {},
          distinct(tree.scores).length > 1
            ? "ways part, by less than counts"
            : `every sample scores ${fixed(tree.scores[0])}`,
        ),
      ];
  const facts = [
    plural(tree.informative, "divergence"),
    plural(tree.nodes, "node"),
    plural(tree.ends, "end"),
    tree.path && `e* ${tree.path}`,
  ];
  return h(
    "li",
    {},
    h(
      "a",
      { class: "row", href: treeAddress(tree) },
      h(
        "span",
        { class: "what" },
        h("b", {}, tree.task),
        h("small", {}, [forest.environment, `seed ${forest.seed}`, ROLES[forest.role] ?? forest.role].join(" · ")),
        h("span", { class: "goal" }, flat(tree.goal)),
      ),
      h("span", { class: "story" }, story),
      h("span", { class: "facts" }, scoreDots(tree.scores), h("small", {}, facts.filter(Boolean).join(" · "))),
    ),
  );
}

function scoreDots(scores) {
  const dots = [...scores]
    .sort((a, b) => b - a)
    .map((score) => h("i", { class: score >= 1 ? "dot won" : "dot", "--score": `${100 * score}%` }));
  return h(
    "span",
    {
      class: "dots",
      role: "img",
      "aria-label": `scores of the samples: ${scores.map((score) => fixed(score)).join(", ")}`,
    },
    dots,
  );
}
