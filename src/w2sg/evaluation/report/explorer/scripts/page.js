"use strict";
// Which view an address shows, and the keys.

const VIEWS = {
  trees: treesView,
  tree: treeView,
  episodes: episodesView,
  episode: episodeView,
  table1: table1View,
  comparisons: comparisonsView,
};
const TABS = { tree: "trees", episode: "episodes" };

let current = { keys: {} };
let turn = 0; // of the views drawn

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
  if (mine > 1) view.focus({ preventScroll: true });
  document.documentElement.dataset.view = where.view;
  document.documentElement.dataset.drawn = String(mine);
}

function pressed(event) {
  const typing = event.target.closest("input:not([type=checkbox]), select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const link = ["n", "p"].includes(event.key) && document.querySelector(`[data-key="${event.key}"]`);
  const act = {
    "/": () => document.querySelector("input[type=search]")?.focus(),
    "?": () => document.getElementById("keys").showModal(),
    ...current.keys,
  }[event.key];
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

start().catch((error) => {
  const words = `This browser cannot show the page (${error.message}); one of the last years can.`;
  document.getElementById("view").replaceChildren(h("p", { role: "alert" }, words));
});
