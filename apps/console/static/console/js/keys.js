// Single keys for people who live in the list. They can be switched off (WCAG 2.1.4), never act
// while somebody types, and do nothing that a link or a button does not do as well.
const help = document.getElementById("keys");
const toggle = document.getElementById("keys-on");

function enabled() {
  try {
    return localStorage.getItem("keys") !== "off";
  } catch {
    return true;
  }
}

function openHelp() {
  if (help && !help.open) help.showModal();
}

const rowOf = (element) => element?.closest?.(".rows [data-key]");
const links = () => [...document.querySelectorAll(".rows [data-key]:not([data-gone]) .row-title")];

function move(by) {
  const all = links();
  if (!all.length) return;
  const here = rowOf(document.activeElement);
  const at = all.findIndex((link) => rowOf(link) === here);
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by;
  all[Math.max(0, Math.min(all.length - 1, next))].focus();
}

function verdict(name) {
  const choice = document.querySelector(`#decide input[name=verdict][value=${name}]`);
  if (choice) {
    choice.checked = true;
    const coded = document.querySelector(`#decide .grounds-${name} [aria-required]`);
    (coded ?? document.querySelector("#decide textarea"))?.focus();
    return;
  }
  const link = rowOf(document.activeElement)?.querySelector(".row-title[data-decidable]");
  if (link) {
    const address = new URL(link.href);
    address.searchParams.set("verdict", name);
    address.hash = "decide";
    location.assign(address);
  }
}

// The button of the row, or of the page of one request; what it says is what it does.
function claim() {
  const row = rowOf(document.activeElement);
  const place = row ?? (document.querySelector(".rows [data-key]") ? null : document);
  place?.querySelector("form[data-claim] button")?.click();
}

function tick() {
  rowOf(document.activeElement)?.querySelector("input[name=ids]")?.click();
}

// The box of the search page, or that of the header, wherever one can be seen; else the page.
function search() {
  const boxes = ["search-text", "find"].map((id) => document.getElementById(id));
  const box = boxes.find((one) => one?.checkVisibility());
  if (box) {
    box.focus();
    box.select();
  } else {
    location.assign("/search/");
  }
}

function filter() {
  const field =
    document.querySelector(".filters input[type=search]") ??
    document.querySelector(".filters input:not([type=hidden]), .filters select");
  field?.focus();
}

const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  a: () => verdict("approve"),
  r: () => verdict("reject"),
  c: claim,
  x: tick,
  n: () => document.querySelector("[data-arrivals-show]:not([hidden])")?.click(),
  f: filter,
  "/": search,
  "?": openHelp,
};

const typing = (element) =>
  element.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
  const field = typing(event.target);
  if (event.ctrlKey || event.metaKey) {
    // Not a single key: it works also where those are switched off.
    if (event.key.toLowerCase() !== "k" || event.shiftKey || field) return;
    event.preventDefault();
    search();
    return;
  }
  if (arrow(event, field)) return;
  if (!enabled() || field) return;
  const action = ACTIONS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

// Between the box of the search page and its results.
function arrow(event, field) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const inResults = event.target.closest(".search-rows [data-key]");
  if (!by || !(inResults || (field?.id === "search-text" && by > 0 && links().length))) return false;
  event.preventDefault();
  if (by < 0 && rowOf(event.target) === rowOf(links()[0])) {
    document.getElementById("search-text").focus();
  } else {
    move(by);
  }
  return true;
}

document.querySelector("[data-keys-open]")?.addEventListener("click", openHelp);
if (toggle) {
  toggle.checked = enabled();
  toggle.addEventListener("change", () => {
    try {
      localStorage.setItem("keys", toggle.checked ? "on" : "off");
    } catch {
      // storage is blocked: nothing to remember
    }
  });
}
