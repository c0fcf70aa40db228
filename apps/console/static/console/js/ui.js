// Small manners: scripts' buttons appear, a form is sent once.
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
  field.setCustomValidity(large ? `The file is larger than ${Math.floor(most / 1048576)} MB.` : "");
  if (large) field.reportValidity();
});

// After a refused form the reader starts at what was refused.
document.querySelector("[data-focus]")?.focus();
