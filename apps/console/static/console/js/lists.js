// Rows that are ticked and claimed. Everything here works by plain forms as well; with scripts a
// claim leaves the reader where they are, and ticks outlive the rows that move off the page.
/* global htmx */
import { word } from "./words.js";

const bulk = document.getElementById("bulk-form");
const chosen = new Set();

// --- what was done, said where it moves nothing -------------------------------------------------
const said = document.createElement("div");
said.className = "said";
said.setAttribute("role", "status");
document.body.append(said);
let silence = 0;

function say(text, kind = "success") {
  clearTimeout(silence);
  said.replaceChildren();
  if (!text) return;
  const note = document.createElement("div");
  note.className = `note note-${kind}`;
  const words = document.createElement("p");
  words.textContent = text;
  note.append(words);
  said.append(note);
  if (kind === "success") silence = setTimeout(() => say(""), 6000);
}

document.addEventListener("keydown", (event) => event.key === "Escape" && say(""));

// --- ticks --------------------------------------------------------------------------------------
const boxes = () => [...document.querySelectorAll(".rows input[name=ids]")];

function show() {
  if (!bulk) return;
  const here = new Set(boxes().map((box) => box.value));
  const away = [...chosen].filter((id) => !here.has(id));
  for (const input of bulk.querySelectorAll("input[type=hidden][name=ids]")) input.remove();
  for (const id of away) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name: "ids", value: id });
    bulk.append(input);
  }
  const words = bulk.querySelector("[data-picked]");
  const text = !chosen.size
    ? word("Tick requests to decide them together.")
    : away.length
      ? word("{n} ticked, {away} of them no longer in this list", { n: chosen.size, away: away.length })
      : word("{n} ticked", { n: chosen.size });
  if (words.textContent !== text) words.textContent = text;
  bulk.classList.toggle("has-picked", chosen.size > 0);
  const all = bulk.querySelector("[data-pick-all]");
  const ticked = boxes().filter((box) => box.checked).length;
  all.checked = ticked > 0 && ticked === boxes().length;
  all.indeterminate = ticked > 0 && !all.checked;
}

function note(box) {
  if (box.checked) chosen.add(box.value);
  else chosen.delete(box.value);
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-pick-all]")) {
    for (const box of boxes()) {
      box.checked = event.target.checked;
      note(box);
    }
    if (!event.target.checked) chosen.clear();
  } else if (event.target.matches(".rows input[name=ids]")) note(event.target);
  else return;
  show();
});

document.addEventListener("countersign:merged", () => {
  for (const box of boxes()) box.checked = chosen.has(box.value);
  show();
});

// Browsers keep ticks over a reload or "back".
window.addEventListener("pageshow", () => {
  boxes().forEach(note);
  show();
});

// --- claims -------------------------------------------------------------------------------------
async function send(form) {
  const button = form.querySelector("button");
  if (button.getAttribute("aria-disabled")) return;
  button.setAttribute("aria-disabled", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const message = page.querySelector(".messages .note");
    const bad = !answer.ok || (message && !message.matches(".note-success, .note-info"));
    const text = message?.textContent.replace(/\s+/g, " ").trim();
    say(text || (bad ? word("Nothing was changed. Open the request to see why.") : word("Done.")), bad ? "warn" : "success");
  } catch {
    say(word("The server did not answer. Nothing may have changed; try again."), "bad");
  } finally {
    button.removeAttribute("aria-disabled");
  }
  const live = form.closest("[data-live]");
  if (live) htmx.trigger(live, "live");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches(".rows form[data-claim]") || event.defaultPrevented) return;
  event.preventDefault();
  send(form);
});
