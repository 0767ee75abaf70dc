"use strict";
// What the page holds, and trees as objects.

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
