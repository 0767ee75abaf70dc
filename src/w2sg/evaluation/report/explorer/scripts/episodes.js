"use strict";
// Episodes of one task beside each other.

const MOST = 4; // models side by side
const FIRST_CHOICE = ["sft_strong", "w2s_mcts", "w2s_dpo", "sft_weak"];

let episodeList = [];

const runOf = (name) => index.runs.find((run) => run.name === name);
const firstModels = (models) => [...FIRST_CHOICE.filter((model) => models.includes(model)), ...models].slice(0, 2);

/** Ticks for up to four models; `change` gets their names in the order of the tables. */
function modelChoice(models, chosen, change) {
  const set = new Set(chosen);
  const boxes = models.map((model) => h("input", { type: "checkbox", value: model, checked: set.has(model) }));
  const limit = () =>
    boxes.forEach((box) => (box.disabled = !box.checked && boxes.filter((each) => each.checked).length >= MOST));
  const group = h(
    "fieldset",
    { class: "models" },
    h("legend", {}, `Models, up to ${MOST}`),
    boxes.map((box) => h("label", { class: "tick" }, box, label(box.value))),
  );
  group.addEventListener("change", () => {
    limit();
    change(boxes.filter((box) => box.checked).map((box) => box.value));
  });
  limit();
  return group;
}

function episodesView({ query }) {
  const run = index.runs.find(
    (each) =>
      each.environment === (query.environment || index.runs[0]?.environment) &&
      String(each.seed) === (query.seed ?? String(each.seed)),
  );
  if (!run) return { title: "Episodes", content: [h("h1", {}, "Episodes"), h("p", {}, "Nobody was evaluated.")] };
  const splits = distinct(run.tasks.map((task) => task.split));
  const state = { environment: run.environment, seed: String(run.seed), split: splits.at(-1), differ: "1", ...query };
  let models = (query.models?.split(",") ?? []).filter((model) => run.models.includes(model));
  if (!models.length) models = firstModels(run.models);
  const [status, list] = [h("p", { class: "status", role: "status" }), h("ol", { class: "rows" })];
  const move = (key) => (value) =>
    (location.hash = address("episodes", [], { ...state, [key]: value, models: models.join(","), q: "", type: "" }));
  const set = (key) => (value) => {
    state[key] = value;
    update();
  };
  const types = distinct(run.tasks.map((task) => task.type))
    .filter(Boolean)
    .sort();
  const form = h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    searchField(state.q ?? "", set("q")),
    choice("Environment", run.environment, distinct(index.runs.map((each) => each.environment)), move("environment")),
    choice(
      "Seed",
      String(run.seed),
      distinct(index.runs.filter((each) => each.environment === run.environment).map((each) => String(each.seed))),
      move("seed"),
    ),
    choice("Split", state.split, splits, set("split")),
    choice("Task type", state.type, any(types), set("type")),
    tick("only where their scores differ", state.differ, (value) => set("differ")(value || "0")),
    modelChoice(run.models, models, (chosen) => {
      models = chosen;
      update();
    }),
  );
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
    const spread = ({ shown }) =>
      Math.max(...shown.map((p) => p?.[0] ?? 0)) - Math.min(...shown.map((p) => p?.[0] ?? 0));
    episodeList.sort((a, b) => spread(b) - spread(a) || compare([a.task], [b.task]));
    status.textContent = `${plural(episodeList.length, "task")}, the largest difference first`;
    showRows(list, episodeList, episodeRow);
  }
  update();
  const intro = "Episodes of one task beside each other, with the first step at which they differ.";
  return {
    title: "Episodes",
    content: [h("h1", {}, "Where models part"), h("p", { class: "note" }, intro), form, status, list],
  };
}

const episodeAddress = (row) => address("episode", [row.run.name, row.task], { models: row.models.join(",") });

function episodeRow(row) {
  const played = row.models.map((model, place) => {
    const [score, steps] = row.shown[place] ?? [null, 0];
    return h(
      "span",
      { class: "side" },
      score === null ? "–" : pill(score),
      h("span", {}, label(model)),
      h("small", {}, score === null ? "not played" : plural(steps, "step")),
    );
  });
  return h(
    "li",
    {},
    h(
      "a",
      { class: "row", href: episodeAddress(row) },
      h(
        "span",
        { class: "what" },
        h("b", {}, row.task),
        h("small", {}, [row.run.environment, `seed ${row.run.seed}`, row.type].filter(Boolean).join(" · ")),
        h("span", { class: "goal" }, flat(row.goal)),
      ),
      h("span", { class: "story" }, played),
    ),
  );
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
    for (let b = right.length - 1; b >= 0; b -= 1)
      longest[a][b] = same(a, b) ? 1 + longest[a + 1][b + 1] : Math.max(longest[a + 1][b], longest[a][b + 1]);
  const found = [];
  for (let a = 0, b = 0; a < left.length && b < right.length;)
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
    const chosen = models.map((model) => ({
      model,
      ...episodes[task][model],
      steps: readSteps(texts, episodes[task][model].steps),
    }));
    place.replaceChildren(...(chosen.length ? [sideBySide(chosen)] : [h("p", { class: "note" }, "Choose a model.")]));
  }
  draw();
  const content = [
    neighbours(episodeList, (each) => each.run.name === runName && each.task === task, episodeAddress, "episodes"),
    h("h1", {}, task, h("small", {}, ` ${run.environment}, seed ${run.seed}, ${row.split}`)),
    h("p", { class: "goal" }, flat(row.goal)),
    h(
      "form",
      { class: "filters" },
      modelChoice(there, models, (chosen) => {
        models = chosen;
        draw();
      }),
    ),
    place,
  ];
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
    return h(
      "div",
      { class: `cell${agree ? " agree" : ""}`, title: agree ? "the same in all" : null },
      episodes.length > 1 && h("small", { class: "whose" }, label(episodes[place].model)),
      h(
        "p",
        { class: `said${step.invalid || step.refused ? " refused" : ""}` },
        h("b", {}, `${number + 1} `),
        step.said || "(nothing)",
      ),
      step.thought && h("p", { class: "thought" }, flat(step.thought)),
      cut(passage(step.answer, step.observation)),
      number === steps.length - 1 &&
        h(
          "p",
          { class: "note" },
          endSign(episodes[place].score, 1),
          episodes[place].completed ? " the environment ended it" : " cut off",
        ),
    );
  };
  const heads = episodes.map(({ model, score, steps }) =>
    h(
      "div",
      { class: "head" },
      h("b", {}, label(model)),
      " ",
      pill(score),
      h("small", {}, ` ${plural(steps.length, "step")}`),
    ),
  );
  const start = h("div", { class: "whole" }, h("h2", {}, "At first"), cut(passage(episodes[0].steps[0].observation)));
  const common =
    begin > 0 &&
    h(
      "details",
      { class: "whole", open: begin <= 3 },
      h("summary", {}, `${plural(begin, "step")} that are the same`),
      episodes[0].steps
        .slice(0, begin)
        .map((step, number) =>
          h(
            "div",
            { class: "common" },
            h("p", { class: "said" }, h("b", {}, `${number + 1} `), step.said),
            step.thought && h("p", { class: "thought" }, flat(step.thought)),
            cut(passage(step.answer, step.observation)),
          ),
        ),
    );
  const parting =
    episodes.length > 1 &&
    h(
      "p",
      { class: `whole${rest.length ? " parting" : ""}`, id: "parting" },
      rest.length > 0 && h("i", {}),
      rest.length ? ` Step ${begin + 1} is the first that differs` : " They are the same to the end",
    );
  const agreed = (row) =>
    episodes.length > 1 &&
    episodes.every((_, place) => row[place] && row[place].said === row[0].said && row[place].answer === row[0].answer);
  const cells = rest.flatMap((row) => episodes.map((_, place) => cell(row[place], place, agreed(row))));
  const grid = h("div", { class: "sides", "--models": episodes.length }, heads, start, common, parting, cells);
  return h("div", { class: "scroll" }, grid);
}
