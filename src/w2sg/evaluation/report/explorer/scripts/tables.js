"use strict";
// Table 1, and the comparisons as a forest plot.

const MEASURES = { average_reward: "task score", success_rate: "success", completion_rate: "completion" };

/** A head that sorts; `state` holds the key that is sorted by and the direction. */
function sorter(words, key, state, update, scope = "col") {
  const mine = state.sort === key;
  const turn = () => {
    Object.assign(state, { sort: key, down: mine && state.down === "1" ? "" : "1" });
    update();
  };
  const sign = mine ? (state.down === "1" ? " ▼" : " ▲") : "";
  return h(
    "th",
    { scope, "aria-sort": mine ? (state.down === "1" ? "descending" : "ascending") : "none" },
    h("button", { type: "button", class: "sort", onclick: turn }, words, h("span", { "aria-hidden": "true" }, sign)),
  );
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
  const models = distinct(index.cells.map(({ model }) => model)).sort(
    (a, b) => Object.keys(index.labels).indexOf(a) - Object.keys(index.labels).indexOf(b),
  );
  function update() {
    replaceAddress("table1", [], state);
    const cells = new Map(
      index.cells
        .filter(({ measure }) => measure === state.measure)
        .map((cell) => [`${cell.environment} ${cell.split} ${cell.model}`, cell]),
    );
    const value = (model) => cells.get(`${state.sort} ${model}`)?.value.mean ?? -1;
    const ordered = [...models];
    if (columns.includes(state.sort)) ordered.sort((a, b) => value(b) - value(a));
    if (state.sort && state.down !== "1") ordered.reverse();
    const rows = ordered.map((model) =>
      h(
        "tr",
        { "aria-current": state.row === model ? "true" : null },
        h("th", { scope: "row" }, h("a", { href: address("table1", [], { ...state, row: model }) }, label(model))),
        columns.map((column) => {
          const cell = cells.get(`${column} ${model}`);
          return cell
            ? h(
                "td",
                { class: "amount", "--value": `${100 * cell.value.mean}%`, title: plural(cell.tasks, "task") },
                h("b", {}, points(cell.value.mean)),
                h("small", {}, ` ${points(cell.value.low)} to ${points(cell.value.high)}`),
              )
            : h("td", {}, "–");
        }),
      ),
    );
    const head = h(
      "tr",
      {},
      sorter("model", "", state, update),
      columns.map((column) => sorter(column, column, state, update)),
    );
    place.replaceChildren(
      h(
        "table",
        { class: "table1" },
        h(
          "caption",
          {},
          `${MEASURES[state.measure]}, per cent, with ${100 * index.confidence} % intervals over tasks, and over seeds where there are several`,
        ),
        h("thead", {}, head),
        h("tbody", {}, rows),
      ),
    );
  }
  const form = h(
    "form",
    { class: "filters" },
    choice("Measure", state.measure, Object.entries(MEASURES), (measure) => {
      state.measure = measure;
      update();
    }),
  );
  update();
  const note =
    "A head sorts its column. A model's name is a link to its row. Success: G = 1. Completion: the environment ended the episode by itself.";
  return {
    title: "Table 1",
    content: [h("h1", {}, "Table 1"), h("p", { class: "note" }, note), form, place],
    shown: () => showNamed(place),
  };
}

const VERDICTS = {
  holds: "holds after correction",
  higher: "higher",
  lower: "lower",
  undecided: "not decided",
  identical: "no task differs",
};
const FAMILIES = { headline: "ours against the SFT models", other: "all others" };
const comparisonId = (c) => [c.environment, c.split, c.measure, c.model, c.baseline].join(".");

function comparisonsView({ query }) {
  const all = index.comparisons;
  const values = (key) => distinct(all.map((each) => each[key]));
  const state = { split: values("split").at(-1) ?? "", measure: "average_reward", ...query };
  const [status, place] = [h("p", { class: "status", role: "status" }), h("div", { class: "scroll" })];
  const keys = {
    name: (c) => `${label(c.model)} ${label(c.baseline)}`,
    difference: (c) => c.difference,
    p: (c) => c.adjusted_p ?? c.p_value,
    environment: (c) => c.environment,
  };
  function update() {
    replaceAddress("comparisons", [], state);
    const rows = all
      .filter((c) =>
        ["environment", "split", "measure", "family", "model", "baseline"].every(
          (key) => !state[key] || c[key] === state[key],
        ),
      )
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
  const form = h(
    "form",
    { class: "filters" },
    choice("Environment", state.environment, any(values("environment")), set("environment")),
    choice("Split", state.split, any(values("split")), set("split")),
    choice("Measure", state.measure, any(values("measure").map((key) => [key, MEASURES[key]])), set("measure")),
    choice("Family", state.family, any(Object.entries(FAMILIES)), set("family")),
    choice("Model", state.model, models("model"), set("model")),
    choice("Against", state.baseline, models("baseline"), set("baseline")),
    choice("Verdict", state.verdict, any(Object.entries(VERDICTS)), set("verdict")),
  );
  update();
  const note =
    "Differences task by task, in points, with their intervals. Filled: it survives the correction for the number of comparisons. The tasks on which two models differ are a click away.";
  return {
    title: "Comparisons",
    content: [h("h1", {}, "Comparisons"), h("p", { class: "note" }, note), form, status, place],
    shown: () => showNamed(place),
  };
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
  const lines = () =>
    ticks.map((at) =>
      s("line", { x1: x(at), x2: x(at), y1: 0, y2: PLOT, class: Math.abs(at) < 1e-9 ? "zero" : "tick" }),
    );
  const axis = picture(
    ticks.map((at) =>
      s(
        "text",
        { x: x(at), y: 18, "text-anchor": "middle" },
        `${at > 0 ? "+" : at < 0 ? "−" : ""}${Math.round(Math.abs(100 * at))}`,
      ),
    ),
  );
  const body = rows.map((c) => {
    const kind =
      c.verdict === "higher" || c.verdict === "lower" ? `${c.verdict}${c.holds ? " holds" : ""}` : "undecided";
    const id = comparisonId(c);
    const plot = picture(
      lines(),
      s("line", { x1: x(c.low), x2: x(c.high), y1: 13, y2: 13, class: `reach ${kind}` }),
      s("circle", { cx: x(c.difference), cy: 13, r: 5, class: `point ${kind}` }),
    );
    const tasks = address("episodes", [], {
      environment: c.environment,
      split: c.split,
      models: `${c.baseline},${c.model}`,
    });
    return h(
      "tr",
      { "aria-current": state.row === id ? "true" : null, class: kind },
      h(
        "th",
        { scope: "row" },
        h("a", { href: address("comparisons", [], { ...state, row: id }) }, `${label(c.model)} − ${label(c.baseline)}`),
        h(
          "small",
          {},
          ` ${c.environment}${state.split ? "" : `, ${c.split}`}${state.measure ? "" : `, ${MEASURES[c.measure]}`}`,
        ),
      ),
      h("td", { class: "forest" }, plot),
      h("td", {}, h("b", {}, signed(c.difference)), h("small", {}, ` ${signed(c.low)} to ${signed(c.high)}`)),
      h("td", { class: "words" }, c.wording),
      h("td", { class: "p" }, probability(c.adjusted_p ?? c.p_value)),
      h(
        "td",
        { class: "won" },
        h("a", { href: tasks, title: "the tasks on which they differ" }, `${c.wins} / ${c.losses}`),
      ),
    );
  });
  const head = h(
    "tr",
    {},
    sorter("comparison", "name", state, update),
    h("th", { scope: "col", class: "forest" }, h("span", { class: "hidden" }, "interval"), axis),
    sorter("difference", "difference", state, update),
    h("th", { scope: "col" }, "verdict"),
    sorter("p corrected", "p", state, update),
    h("th", { scope: "col" }, "won / lost"),
  );
  return h("table", { class: "comparisons" }, h("thead", {}, head), h("tbody", {}, body));
}
