// An htmx swap that changes only what differs, so that a live page never takes away what somebody
// is reading, typing into or pointing at. Parts of a fragment carry an id and data-merge:
//   replace  the element is exchanged when the server's text for it changed
//   keyed    a list whose rows have data-key and data-version; see mergeRows
//   state    exchanged only when its data-state changed; what was typed is kept
/* global htmx */
import { word } from "./words.js";

const served = new WeakMap();

for (const element of document.querySelectorAll("[data-merge=replace]")) {
  served.set(element, element.outerHTML);
}

function replace(old, fresh) {
  const text = fresh.outerHTML;
  if (served.get(old) === text) return old;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  for (const details of old.querySelectorAll("details[id][open]")) {
    const twin = fresh.querySelector(`#${CSS.escape(details.id)}`);
    if (twin) twin.open = true;
  }
  old.replaceWith(fresh);
  served.set(fresh, text);
  htmx.process(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  return fresh;
}

function notSent(text) {
  const kept = document.createElement("div");
  kept.className = "panel-body";
  kept.innerHTML = "<p></p><p class=\"kept\"></p>";
  kept.firstElementChild.textContent = word("What you had written was not sent:");
  kept.lastElementChild.textContent = text;
  return kept;
}

function replaceState(old, fresh) {
  if (old.dataset.state === fresh.dataset.state) return;
  const typed = [...old.querySelectorAll("textarea")].filter((box) => box.value.trim());
  const chosen = [...old.querySelectorAll("select[id]")].filter((box) => box.value);
  const verdict = old.querySelector("input[type=radio]:checked")?.value;
  const opened = [...old.querySelectorAll("details[id][open]")].map((details) => details.id);
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(fresh);
  htmx.process(fresh);
  for (const id of opened) {
    const twin = fresh.querySelector(`#${CSS.escape(id)}`);
    if (twin) twin.open = true;
  }
  const choice = fresh.querySelector(`input[type=radio][value="${CSS.escape(verdict ?? "")}"]`);
  if (choice) choice.checked = true;
  for (const box of typed) {
    // Each text into its own field: a reason to pause is none to resume.
    const twin = fresh.querySelector(`textarea#${CSS.escape(box.id)}`);
    if (twin) twin.value = box.value;
    else fresh.append(notSent(box.value));
  }
  for (const box of chosen) {
    const twin = fresh.querySelector(`select#${CSS.escape(box.id)}`);
    if ([...(twin?.options ?? [])].some((one) => one.value === box.value)) twin.value = box.value;
  }
  if (hadFocus) {
    fresh.tabIndex = -1;
    fresh.focus({ preventScroll: true });
  }
}

// --- rows ------------------------------------------------------------------------------------
// While the pointer or the focus is in the list nothing in it moves: rows that left are struck
// through in place, rows that came are announced above. Both are settled when the list is left,
// or by "Show".
const waiting = new WeakMap();

const rowsOf = (list) => [...list.children].filter((row) => row.dataset.key);
const inUse = (list) => list.matches(":hover") || list.contains(document.activeElement);

function settle(list) {
  const fresh = waiting.get(list);
  if (!fresh) return;
  waiting.delete(list);
  const current = new Map(rowsOf(list).map((row) => [row.dataset.key, row]));
  const wanted = new Set(fresh.map((row) => row.dataset.key));
  for (const [key, row] of current) if (!wanted.has(key)) row.remove();
  let place = list.firstElementChild;
  for (const row of fresh) {
    const known = current.get(row.dataset.key);
    const node = known ?? row;
    if (!known) node.classList.add("is-new");
    if (node === place) place = place.nextElementSibling;
    else list.insertBefore(node, place);
    if (!known) htmx.process(node);
  }
  announce(list, []);
}

function mergeRows(list, next) {
  const fresh = rowsOf(next);
  const current = new Map(rowsOf(list).map((row) => [row.dataset.key, row]));
  const wanted = new Set(fresh.map((row) => row.dataset.key));
  for (const row of fresh) {
    const known = current.get(row.dataset.key);
    if (!known || known.dataset.version === row.dataset.version) continue;
    const focused = known.contains(document.activeElement) ? document.activeElement.id : null;
    known.dataset.version = row.dataset.version;
    known.className = row.className;
    known.innerHTML = row.innerHTML;
    delete known.dataset.gone;
    htmx.process(known);
    if (focused !== null) {
      const same = focused && known.querySelector(`#${CSS.escape(focused)}`);
      (same || known.querySelector("a, button"))?.focus({ preventScroll: true });
    }
  }
  waiting.set(list, fresh);
  if (!inUse(list)) return settle(list);
  for (const [key, row] of current) if (!wanted.has(key)) row.dataset.gone = "";
  announce(list, fresh.filter((row) => !current.has(row.dataset.key)));
}

function announce(list, arrived) {
  const bar = document.querySelector(`[data-arrivals-for="${list.id}"]`);
  if (!bar) return;
  bar.classList.toggle("has-new", arrived.length > 0);
  bar.querySelector("[data-arrivals-show]").hidden = arrived.length === 0;
  const words = bar.querySelector("[data-arrivals-words]");
  words.replaceChildren();
  if (!arrived.length) {
    words.textContent = bar.dataset.idle;
    return;
  }
  words.append(`${arrived.length} new: `);
  arrived.slice(0, 3).forEach((row, index) => {
    if (index) words.append(", ");
    const link = row.querySelector("a").cloneNode(true);
    link.className = "";
    words.append(link);
  });
  if (arrived.length > 3) words.append(` and ${arrived.length - 3} more`);
}

for (const bar of document.querySelectorAll("[data-arrivals-for]")) {
  const list = document.getElementById(bar.dataset.arrivalsFor);
  bar.querySelector("[data-arrivals-show]").addEventListener("click", () => {
    settle(list);
    list.querySelector("a")?.focus();
  });
  const left = () => setTimeout(() => inUse(list) || settle(list), 0);
  list.addEventListener("pointerleave", left);
  list.addEventListener("focusout", left);
}

htmx.defineExtension("merge", {
  isInlineSwap: (style) => style === "merge",
  handleSwap(style, _target, fragment) {
    if (style !== "merge") return false;
    for (const fresh of fragment.querySelectorAll("[data-merge][id]")) {
      const old = document.getElementById(fresh.id);
      if (!old) continue;
      if (fresh.dataset.merge === "keyed") mergeRows(old, fresh);
      else if (fresh.dataset.merge === "state") replaceState(old, fresh);
      else replace(old, fresh);
    }
    document.dispatchEvent(new CustomEvent("countersign:merged"));
    return [];
  },
});
