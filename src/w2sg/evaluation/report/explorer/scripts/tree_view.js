"use strict";
// One tree, or two beside each other, with the node that was chosen.

const FEWEST = 2; // samples of a tree to look at

async function treeView({ parts: [forestName, task], query }) {
  const whole = await loadTree(forestName, task);
  if (!treeList.length) treeList = filteredTrees({}, null);
  const breadthOf = (text, tree) =>
    Math.min(tree.samples.length, Math.max(Math.min(FEWEST, tree.samples.length), Number(text) || tree.samples.length));
  const state = {
    node: Number(query.node ?? whole.summary.decided?.node ?? 0),
    breadth: breadthOf(query.breadth, whole),
    unfold: query.unfold ?? "",
    beside: query.beside ?? "",
    pane: Number(query.pane ?? 0),
  };
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

  const remember = () =>
    replaceAddress("tree", [forestName, task], {
      node: state.node,
      pane: state.pane || "",
      breadth: state.breadth === whole.samples.length ? "" : state.breadth,
      unfold: state.unfold,
      beside: state.beside,
    });

  function select(pane, id, focus = false) {
    Object.assign(state, { pane, node: id });
    drawn.forEach(
      ({ picture }, place) =>
        place !== pane && picture.cards.forEach(({ element }) => element.setAttribute("aria-selected", "false")),
    );
    const { tree, picture } = drawn[pane];
    const { element, place } = picture.show(id);
    const chain = place.data.chain.slice(Math.max(0, place.data.chain.indexOf(id)));
    panel.replaceChildren(
      ...fill(
        document.createDocumentFragment(),
        {},
        nodePanel(tree, chain[0], id === 0 ? [0] : chain, (other) => select(pane, other, true)),
      ).childNodes,
    );
    panel.scrollTop = 0;
    if (focus) element.focus({ preventScroll: true });
    reveal(picture.frame, element);
    remember();
  }

  async function draw(focus = false) {
    const found = await trees();
    if (!panes.isConnected) return; // somebody has gone on meanwhile
    drawn = found.map((tree, pane) => {
      const picture = drawing(tree, {
        folded: !state.unfold,
        other: found.length > 1 ? found[1 - pane] : null,
        select: (id) => select(pane, id),
      });
      picture.sheet.addEventListener("keydown", (event) => walk(event, picture, (id) => select(pane, id, true)));
      return { tree, picture };
    });
    split.classList.toggle("two", drawn.length > 1);
    panes.replaceChildren(
      ...drawn.map(({ tree, picture }) =>
        h(
          "section",
          { class: "pane", "aria-label": paneName(tree) },
          drawn.length > 1 && h("h2", {}, paneName(tree)),
          picture.frame,
          h("p", { class: "note" }, paneNote(tree)),
        ),
      ),
    );
    drawn.forEach(({ picture }) => fit(picture));
    if (!drawn[state.pane]) state.pane = 0;
    const { nodes } = drawn[state.pane].tree;
    select(state.pane, state.node < nodes.length ? state.node : 0, focus);
  }

  const change =
    (key, redraw = true) =>
    (value) => {
      state[key] = value;
      if (redraw) draw();
    };
  const counts = Array.from({ length: whole.samples.length - FEWEST + 1 }, (_, place) => String(place + FEWEST));
  const others = [
    ["", "nothing"],
    ...index.forests
      .filter((f) => f.name !== forestName && f.trees.some((tree) => tree.task === task))
      .map((f) => [`${f.name}~`, forestWords(f)]),
    ...counts.map((count) => [`${forestName}~${count}`, `the same, first ${count} samples`]),
  ];
  const decide = () =>
    drawn[state.pane].tree.decided !== null && select(state.pane, drawn[state.pane].tree.decided, true);
  const controls = h(
    "form",
    { class: "filters", onsubmit: (event) => event.preventDefault() },
    choice("First samples", String(state.breadth), counts, (value) => change("breadth")(Number(value))),
    choice("Beside it", state.beside, others, change("beside")),
    tick("every step by itself", state.unfold, change("unfold")),
    h("button", { type: "button", onclick: decide, disabled: !whole.summary.decided }, "◆ what decided it"),
  );
  const { forest } = whole;
  const content = [
    neighbours(treeList, (tree) => tree.forest.name === forestName && tree.task === task, treeAddress, "trees"),
    h("h1", {}, task, h("small", {}, ` ${forestWords(forest)}`)),
    h("p", { class: "goal" }, flat(whole.summary.goal || whole.samples[0].steps[0].observation)),
    controls,
    split,
  ];
  const keys = {
    d: decide,
    f: () => {
      state.unfold = state.unfold ? "" : "1";
      controls.querySelector("input[type=checkbox]").checked = Boolean(state.unfold);
      draw(true);
    },
  };
  return {
    title: `${task}, ${forestWords(forest)}`,
    content,
    keys,
    shown: () => draw(),
    fit: (paper) => drawn.forEach(({ picture }) => fit(picture, paper)),
  };
}

const forestWords = (forest) => `${forest.environment}, seed ${forest.seed}, ${ROLES[forest.role] ?? forest.role}`;
const paneName = (tree) => `${forestWords(tree.forest)}, ${plural(tree.breadth, "sample")}`;
const paneNote = ({ forest }) =>
  `Merged by ${forest.rule}. Lines: the wider the more samples, from red (failure below) to green (success below). ` +
  `Diamonds: ways part whose mean G differs${forest.gap > 0 ? ` by ${forest.gap} or more` : ""}.`;

const SMALLEST = { phone: 0.85, desk: 0.68 }; // scale of a drawing; below it the frame scrolls
const PHONE = 560; // pixels, up to which a frame is a phone's
const PAPER = 700; // pixels, width of a drawing on paper

/** Shrinks a drawing that is a little too wide for its frame. */
function fit({ frame, sheet, width, height }, paper = false) {
  const room = paper ? PAPER : frame.clientWidth - 2 * parseFloat(getComputedStyle(frame).paddingLeft);
  const scale = Math.min(1, Math.max(paper ? 0 : SMALLEST[room > PHONE ? "desk" : "phone"], room / width));
  sheet.style.transform = scale < 1 ? `scale(${scale})` : "";
  sheet.style.marginRight = `${(scale - 1) * width}px`;
  sheet.style.marginBottom = `${(scale - 1) * height}px`;
}

/** Scrolls a frame, not the page, so that an element is in it. */
function reveal(frame, element) {
  const [outer, inner] = [frame.getBoundingClientRect(), element.getBoundingClientRect()];
  if (inner.left < outer.left + 16 || inner.right > outer.right - 40)
    frame.scrollLeft += inner.left - outer.left - outer.width / 3;
}

/** Arrow keys in a drawing. */
function walk(event, { cards, cardOf }, select) {
  const at = cardOf(Number(event.target.dataset.node));
  if (!at || event.ctrlKey || event.metaKey || event.altKey) return;
  const { place } = at;
  const column = cards
    .filter((each) => each.place.depth === place.depth && !each.place.data.ghost)
    .sort((a, b) => a.place.middle - b.place.middle);
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
  return h(
    "nav",
    { class: "neighbours", "aria-label": "Neighbours" },
    h("a", { href: listAddress[view] ?? address(view) }, "← all"),
    at >= 0 && [
      link(list[at - 1], "previous", "p"),
      h("span", {}, `${at + 1} of ${list.length}`),
      link(list[at + 1], "next", "n"),
    ],
  );
}

const listAddress = {}; // the last address of each list, filters included
