// The page of one request: the bar at the foot goes to the form, and the signed text is copied.

import { word } from "../console/js/words.js";

// Without scripts the link loads the page with the verdict chosen; here what was typed stays.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.(".decide-bar a[data-verdict]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const verdict = link.dataset.verdict;
  const choice = document.querySelector(`#decide input[name=verdict][value=${verdict}]`);
  if (!choice) return;
  event.preventDefault();
  choice.checked = true;
  const coded = document.querySelector(`#decide .grounds-${verdict} [aria-required]`);
  document.getElementById("decide").scrollIntoView({ block: "start" });
  (coded ?? document.querySelector("#decide textarea"))?.focus({ preventScroll: true });
});

// A link of the menu closes it.
document.addEventListener("click", (event) => {
  const menu = event.target.closest?.(".decide-more");
  if (menu && event.target.closest("a")) menu.open = false;
});

async function copy(button) {
  const text = document.getElementById(button.dataset.copy);
  const told = document.getElementById(`${button.dataset.copy}-copied`);
  try {
    await navigator.clipboard.writeText(text.textContent);
    told.textContent = word("Copied.");
  } catch {
    // Not allowed, or not a secure page: the reader copies what is marked.
    getSelection().selectAllChildren(text);
    told.textContent = word("Marked: copy it with the keyboard.");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (button) copy(button);
});

// A live update brings the button as it was served.
document.addEventListener("countersign:merged", () => {
  for (const element of document.querySelectorAll("[data-copy]")) element.hidden = false;
});
