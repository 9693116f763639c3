"use strict";
(() => {
const root = document.documentElement;
root.classList.add("scripted");

// What stands in a cell: a number, a text, or null.
const readCell = (cell) => {
  if (cell.hasAttribute("data-none")) return null;
  return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
};

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), undefined, { numeric: true });
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const rows = [...body.rows].sort((one, two) => {
        const a = readCell(one.cells[column]), b = readCell(two.cells[column]);
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * compare(a, b);
      });
      body.append(...rows);
    });
  });
}

// The numbers of a table, from its cells; of a figure, from the JSON beside it.
const readData = (source) => {
  if (source.tagName === "SCRIPT") return JSON.parse(source.textContent);
  return {
    title: source.dataset.title,
    columns: [...source.tHead.rows[0].cells].map((cell) => cell.textContent),
    rows: [...source.tBodies[0].rows].map((row) => [...row.cells].map(readCell)),
  };
};

// A spreadsheet runs text that begins like a formula; an apostrophe keeps it text.
const writeCell = (value) => {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  const text = /^\s*[=+\-@]|^[\t\r]/.test(value) ? "'" + value : value;
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
};
const writers = {
  csv: ["text/csv", (data) => [data.columns, ...data.rows].map((row) => row.map(writeCell).join(",") + "\r\n").join("")],
  json: ["application/json", (data) => JSON.stringify(data, null, 1)],
};
for (const button of document.querySelectorAll("button[data-take]")) {
  button.addEventListener("click", () => {
    const [type, write] = writers[button.dataset.take];
    const text = write(readData(document.getElementById(button.dataset.from)));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = `${button.dataset.file}.${button.dataset.take}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

// Without leave to write to the clipboard, the text is selected for the reader to copy.
const tell = (text) => { document.getElementById("told").textContent = text; };
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(source.innerText.trim());
    } catch {
      getSelection().selectAllChildren(source);
      said = "Selected";
    }
    tell(said);
    button.textContent = said;
    setTimeout(() => { button.textContent = "Copy"; tell(""); }, 2000);
  });
}

// Once the other scripts have made their tables too: what is wider than its place says so.
addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".scroll, .cx-cells, .paper")) {
    const more = document.createElement("p");
    more.className = "more live";
    more.ariaHidden = "true";
    box.before(more);
    const look = () => {
      const left = box.scrollLeft > 1, right = box.scrollWidth - box.clientWidth - box.scrollLeft > 1;
      more.hidden = !left && !right;
      // By keyboard a figure is moved only where it is wider than its card.
      if (box.className === "paper") more.hidden ? box.removeAttribute("tabindex") : (box.tabIndex = 0);
      more.textContent = right ? "scroll →" : "← scroll";
    };
    box.addEventListener("scroll", look);
    new ResizeObserver(look).observe(box);
    look();
  }
});

// What a link leads to opens; on paper all is open.
const folds = [...document.querySelectorAll("details.fold")];
const unfold = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = target && (target.closest("details.fold") || target.querySelector(":scope > details.fold"));
  if (!fold || fold.open) return;
  fold.open = true;
  target.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();
let closed = [];
addEventListener("beforeprint", () => {
  closed = folds.filter((fold) => !fold.open);
  closed.forEach((fold) => { fold.open = true; });
});
addEventListener("afterprint", () => { closed.forEach((fold) => { fold.open = false; }); });

const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const paint = () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  theme.setAttribute("aria-pressed", String(dark));
};
theme.addEventListener("click", () => {
  root.dataset.theme = theme.getAttribute("aria-pressed") === "true" ? "light" : "dark";
  paint();
});
system.addEventListener("change", paint);
paint();
})();
