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

function search() {
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
  "/": search,
  "?": openHelp,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (!enabled() || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
  const action = ACTIONS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

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
