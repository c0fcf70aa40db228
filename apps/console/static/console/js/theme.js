// Runs in the head, before the first paint. The admin's own script uses the same key and attribute,
// so a choice made there holds here.
"use strict";
(() => {
  const order = ["auto", "light", "dark"];

  function stored() {
    try {
      const value = localStorage.getItem("theme");
      return order.includes(value) ? value : "auto";
    } catch {
      return "auto"; // storage is blocked: the choice lasts as long as the page
    }
  }

  let theme = stored();
  document.documentElement.dataset.theme = theme;

  function show(button) {
    button.title = button.dataset[theme]; // what it is now, and what comes next
    const words = button.querySelector("[data-theme-words]");
    if (words) words.textContent = button.title;
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.hidden = false;
      show(button);
      button.addEventListener("click", () => {
        theme = order[(order.indexOf(theme) + 1) % order.length];
        document.documentElement.dataset.theme = theme;
        try {
          localStorage.setItem("theme", theme);
        } catch {
          // see above
        }
        show(button);
      });
    }
  });
})();
