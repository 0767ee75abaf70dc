"use strict";
// All that is known of one node of a tree.

/** All that is known of a node and its chain. */
function nodePanel(tree, id, chain, select) {
  const node = tree.nodes[id];
  const last = tree.nodes[chain.at(-1)];
  const search = tree.search?.[id];
  const marks = [];
  for (const path of tree.paths) {
    if (!path.nodes.includes(id)) continue;
    const origin = path.source < 0 ? "put together from several samples" : `in the words of sample ${path.source}`;
    marks.push(
      h(
        "li",
        {},
        h("span", { class: "sign star" }, "★"),
        ` e* of ${label(path.method)}: value ${fixed(path.value)}, ${origin}, replayed ${fixed(path.replay)}, ${path.certified ? "certified" : "not certified"}`,
      ),
    );
  }
  for (const pair of tree.pairs) {
    const place = {
      [pair.parent]: "its sides part after this",
      [pair.rejected]: "rejected side",
      [pair.chosen]: "preferred side",
    };
    const where = chain.find((each) => place[each]);
    if (where === undefined) continue;
    const words = pair.chosen === pair.rejected && where !== pair.parent ? "both sides begin so" : place[where];
    marks.push(
      h(
        "li",
        {},
        h("span", { class: `sign ${where === pair.rejected ? "minus" : "plus"}` }, where === pair.rejected ? "−" : "+"),
        ` pair of ${label(pair.method)}: ${words} (${fixed(pair.chosenScore)} over ${fixed(pair.rejectedScore)})`,
      ),
    );
  }
  if (id > 0 && tree.expert?.nodes.includes(id))
    marks.push(h("li", {}, h("span", { class: "sign expert" }, "E"), " the expert did the same here"));
  const title = id === 0 ? "Task" : node.step ? flat(node.step.said) || "(no action)" : "Ends here";
  const step =
    id === 0
      ? null
      : h(
          "p",
          { class: "note" },
          node.stop
            ? `after ${plural(node.depth, "step")}`
            : `step ${node.depth}${chain.length > 1 ? `, and ${plural(chain.filter((each) => tree.nodes[each].step).length - 1, "step")} that follow` : ""}`,
        );
  return [
    h("h2", { tabindex: "-1" }, title),
    step,
    id === 0 && cut(passage(tree.samples[0].steps[0].observation)),
    optionsTable(tree, last, select),
    h(
      "dl",
      { class: "numbers" },
      number("samples", `${node.members.length} of ${tree.breadth}`),
      number("mean G", fixed(node.mean)),
      search && [
        number("search visits c", search[0]),
        number("value r/c", fixed(search[1])),
        number("UCB", id === 0 ? "–" : fixed(search[2], 3)),
      ],
    ),
    !tree.search &&
      h(
        "p",
        { class: "note" },
        tree.whole ? "No search was run on this tree." : "Search, e* and pairs belong to the tree of all samples.",
      ),
    marks.length > 0 && h("ul", { class: "marks" }, marks),
    h("h3", {}, "Who went there"),
    samplesTable(tree, node),
    chain.some((each) => tree.nodes[each].step) && [
      h("h3", {}, "Steps"),
      h(
        "ol",
        { class: "steps" },
        chain.filter((each) => tree.nodes[each].step).map((each, place) => stepItem(tree, each, place === 0)),
      ),
    ],
  ];
}

const number = (words, value) => h("div", {}, h("dt", {}, words), h("dd", {}, String(value)));

/** The ways after a node, if there are several. */
function optionsTable(tree, node, select) {
  if (node.children.length < 2) return null;
  const found = tree.informative.filter(([parent]) => parent === node.id);
  const sides = new Map(
    found.flatMap(([, best, worst]) => [
      [best, "best"],
      [worst, "worst"],
    ]),
  );
  const labels = node.children.map((id) => (tree.nodes[id].step ? flat(tree.nodes[id].step.said) : "ends here"));
  const shared = sharedBeginning(labels);
  const caption = found.length
    ? `Ways part here: mean G differs by ${fixed(Math.max(...found.map(([, , , gap]) => gap)))}${tree.decided === node.id ? ". This decided the task." : ""}`
    : "Ways part here";
  const rows = node.children.map((id, place) => {
    const child = tree.nodes[id];
    const known = tree.search?.[id];
    const link = h(
      "button",
      { type: "button", class: "link", onclick: () => select(id) },
      actionLabel(labels[place], shared),
    );
    return h(
      "tr",
      { class: sides.get(id) ?? "" },
      h("td", {}, link),
      h("td", {}, child.members.length),
      h("td", {}, pill(child.mean)),
      tree.search && [h("td", {}, known[0]), h("td", {}, fixed(known[2], 3))],
    );
  });
  const heads = ["action", "samples", "mean G", ...(tree.search ? ["visits c", "UCB"] : [])];
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: `options${tree.decided === node.id ? " decided" : ""}` },
      h("caption", {}, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((head) => h("th", { scope: "col" }, head)),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}

function samplesTable(tree, node) {
  const rows = node.members.map((member) => {
    const sample = tree.samples[member];
    const end =
      sample.steps.length === node.depth ? "here" : `step ${sample.steps.length}${sample.completed ? "" : ", cut off"}`;
    return h(
      "tr",
      {},
      h("td", {}, `${label(sample.policy)} ${sample.number}`),
      h("td", {}, `${sample.temperature} / ${sample.top_p}`),
      h("td", { class: "words" }, end),
      h("td", {}, endSign(sample.score, 1)),
    );
  });
  const heads = ["sample", "T / top p", "ends", "G"];
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((head) => h("th", { scope: "col" }, head)),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
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
  return h(
    "li",
    { value: depth },
    h(
      "details",
      { open },
      h(
        "summary",
        {},
        h("code", { class: step.invalid || step.refused ? "refused" : "" }, flat(step.said) || "(no action)"),
        known && h("small", {}, ` c ${known[0]}, UCB ${fixed(known[2], 3)}`),
      ),
      h("h4", {}, "Observation"),
      passage(step.observation, before),
      said.length > 0 && [
        h("h4", {}, said.length > 1 ? "Thoughts" : "Thought"),
        said.map(([thought, who]) =>
          h("p", { class: "thought" }, flat(thought), said.length > 1 && h("small", {}, ` (sample ${who.join(", ")})`)),
        ),
      ],
      h("h4", {}, step.invalid ? "Response without an action" : "Action"),
      h("p", { class: "said" }, step.said || "(nothing)"),
      h("h4", {}, step.refused ? "Answer: refused" : "Answer"),
      passage(step.answer, step.observation),
    ),
  );
}
