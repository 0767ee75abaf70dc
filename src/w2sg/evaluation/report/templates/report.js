"use strict";

// Tables sort by a click on a column's name; without this script they read as they are.
const figure = (text) => {
  const found = text.replaceAll("−", "-").replaceAll(",", "").match(/^[^\d+-]?\s*([+-]?\d+(\.\d+)?(e[+-]?\d+)?)/i);
  return found ? Number(found[1]) : NaN;
};
const compare = (one, other) => {
  const [a, b] = [figure(one), figure(other)];
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  return one.localeCompare(other, "en", { numeric: true });
};
for (const table of document.querySelectorAll("table.sortable")) {
  const names = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  names.forEach((name, column) => {
    if (name.tagName !== "TH" || !name.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...name.childNodes);
    name.append(button);
    button.addEventListener("click", () => {
      const upward = name.getAttribute("aria-sort") !== "ascending";
      for (const other of names) other.removeAttribute("aria-sort");
      name.setAttribute("aria-sort", upward ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
      for (const body of table.tBodies) {
        const rows = [...body.rows].filter((row) => row.cells.length > column);
        body.append(...rows.sort((a, b) => (upward ? 1 : -1) * compare(key(a), key(b))));
      }
    });
  });
}

// The contents show which section is being read.
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      for (const link of links.values()) link.removeAttribute("aria-current");
      const link = links.get(entry.target.id);
      link.setAttribute("aria-current", "true");
      const list = link.closest("nav");
      list.scrollTo({ left: link.offsetLeft - 40, top: link.offsetTop - list.clientHeight / 2 });
    }
  },
  { rootMargin: "-15% 0px -80% 0px" },
);
for (const id of links.keys()) reading.observe(document.getElementById(id));

// Paper has nothing to click on: what is folded is printed unfolded.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
});
