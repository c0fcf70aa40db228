// Tables that are wider than the window scroll inside their frame; the keyboard must reach them.
"use strict";
(() => {
  function reach() {
    for (const frame of document.querySelectorAll(".inline-group .tabular, #changelist .results")) {
      const scrolls = frame.scrollWidth > frame.clientWidth;
      if (scrolls) frame.tabIndex = 0;
      else frame.removeAttribute("tabindex");
    }
  }

  window.addEventListener("load", reach);
  window.addEventListener("resize", reach);
})();
