"use strict";
// One tree as cards and lines.

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
  const hierarchy = d3
    .tree()
    .nodeSize([CARD.row, CARD.width + CARD.gap])
    .separation(() => 1)(d3.hierarchy(root));
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
  for (let at = id; at > 0; at = tree.nodes[at].parent)
    words.push(tree.nodes[at].step ? tree.nodes[at].step.said : "■");
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
  const links = all
    .slice(1)
    .map((place) => ({ place, d: curve(place), node: place.data.ghost ? null : tree.nodes[place.data.chain[0]] }));
  for (const { d, node } of links) if (node && starred.has(node.id)) lines.append(s("path", { d, class: "halo" }));
  for (const { d, node } of links) {
    if (!node) lines.append(s("path", { d, class: "ghost" }));
    else
      lines.append(
        s("path", {
          d,
          class: "link",
          "stroke-width": 1.5 + (8 * node.members.length) / tree.breadth,
          "--score": `${100 * node.mean}%`,
        }),
      );
    if (node && experts.has(node.id)) lines.append(s("path", { d, class: "ghost" }));
  }
  const cards = all.map((place) => {
    const element = place.data.ghost
      ? ghostCard(place, tree)
      : treeCard(place, tree, { starred, experts, gaps, known });
    element.style.left = `${place.left}px`;
    element.style.top = `${place.middle}px`;
    element.style.width = `${place.wide}px`;
    if (!place.data.ghost)
      element.addEventListener("click", () =>
        select(place.data.chain[0] === 0 ? 0 : place.data.chain.at(0), place.data),
      );
    return { element, place };
  });
  const sheet = h(
    "div",
    {
      class: "sheet",
      role: "tree",
      "aria-label": `Tree of ${tree.task}, ${tree.forest.name}, ${plural(tree.breadth, "sample")}`,
    },
    lines,
    cards.map(({ element }) => element),
  );
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
  const words = steps.length
    ? flat(steps[0].step.said || steps[0].step.response || "")
    : first.id === 0
      ? "Task"
      : "ends here";
  const siblings = (place.parent?.children ?? []).filter(({ data }) => !data.ghost && tree.nodes[data.chain[0]].step);
  const shared = steps.length
    ? sharedBeginning(siblings.map(({ data }) => flat(tree.nodes[data.chain[0]].step.said)))
    : "";
  const through = `${first.members.length} of ${tree.breadth}`;
  return h(
    "div",
    {
      class: `card${first.id === 0 ? " root" : ""}${alone ? " alone" : ""}`,
      role: "treeitem",
      "aria-level": place.depth + 1,
      "aria-selected": "false",
      tabindex: "-1",
      "data-node": chain[0],
      "--score": `${100 * first.mean}%`,
      title: words,
    },
    h("span", { class: "action" }, actionLabel(words, shared)),
    steps.length > 1 && restOf(steps.map(({ step }) => step)),
    h(
      "span",
      { class: "foot" },
      first.id !== 0 && h("span", {}, unseen(", "), through, unseen(" samples, mean G ")),
      first.id !== 0 && (end ? endSign(end.mean, end.members.length) : pill(first.mean)),
      end && unseen(", ends here"),
      marks.map((mark) => sign(...mark)),
      alone && unseen(", only in this tree"),
    ),
    parting !== undefined &&
      h(
        "span",
        { class: `diamond${decides ? " decides" : ""}`, title: "mean G of the ways that part here differs by so much" },
        h("i", {}),
        unseen(", ways part, gap "),
        fixed(gaps.get(parting)),
        decides && unseen(", this decided the task"),
      ),
  );
}

/** What follows the first step of a chain: how many steps, and the last of them with its beginning and its end. */
function restOf(steps) {
  const last = flat(steps.at(-1).said);
  const short = last.length > REST ? `${last.slice(0, REST - 15)}…${last.slice(-14)}` : last;
  return h("span", { class: "rest" }, `+${steps.length - 1}${steps.length > 2 ? " … " : " "}`, short);
}

function ghostCard(place, tree) {
  const { steps } = place.data;
  return h(
    "div",
    {
      class: "card ghost",
      role: "treeitem",
      "aria-level": place.depth + 1,
      "aria-selected": "false",
      tabindex: "-1",
      title: steps.map((step) => flat(step.said)).join("\n"),
    },
    h("span", { class: "action" }, flat(steps[0].said)),
    steps.length > 1 && restOf(steps),
    h("span", { class: "foot" }, sign("expert", "E", "no sample went on so"), "expert", endSign(tree.expert.score, 1)),
  );
}
