// Small manners: scripts' buttons appear, a form is sent once.
import { word } from "./words.js";

for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;

// The server makes a doubled form harmless; this spares the second message.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
});

window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
  }
});

// A file that is too large is told before it travels; the server says so again.
document.addEventListener("change", (event) => {
  const field = event.target;
  const most = Number(field.dataset?.mostBytes);
  if (!most || !field.files) return;
  const large = [...field.files].some((file) => file.size > most);
  const mb = Math.floor(most / 1048576);
  field.setCustomValidity(large ? word("The file is larger than {mb} MB.", { mb }) : "");
  if (large) field.reportValidity();
});

// A switch that is remembered in this browser, also when a live update brings the part anew.
const switches = new Map();

function remembered(id) {
  try {
    return switches.get(id) ?? localStorage.getItem(`switch:${id}`) === "on";
  } catch {
    return false; // storage is blocked: off until it is switched on again
  }
}

function restore() {
  for (const box of document.querySelectorAll("input[data-remember]")) box.checked = remembered(box.id);
}

document.addEventListener("change", (event) => {
  const box = event.target;
  if (!box.matches?.("input[data-remember]")) return;
  switches.set(box.id, box.checked);
  try {
    localStorage.setItem(`switch:${box.id}`, box.checked ? "on" : "off");
  } catch {
    // storage is blocked: remembered until the page is left
  }
});

document.addEventListener("countersign:merged", restore);
restore();

// After a refused form the reader starts at what was refused.
document.querySelector("[data-focus]")?.focus();
