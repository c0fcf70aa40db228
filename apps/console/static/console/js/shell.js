// The frame of every page, in the admin too: menus that close, and the navigation as a rail of icons.
// Without scripts a menu closes by its own button, and the rail's button is a form.
const YEAR = 365 * 86_400;

const menus = () => [...document.querySelectorAll("details.menu[open]")];

// --- menus --------------------------------------------------------------------------------------
// A click beside the drawer is one on the element itself: its backdrop is drawn by the style sheet.
function closeFor(target) {
  for (const menu of menus()) if (menu === target || !menu.contains(target)) menu.open = false;
}

document.addEventListener("click", (event) => closeFor(event.target));
document.addEventListener("focusin", (event) => closeFor(event.target));

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const [menu] = menus();
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// "Back" shows the page as it was left.
window.addEventListener("pageshow", () => closeFor(null));

// --- rail ---------------------------------------------------------------------------------------
const form = document.querySelector("form[data-fold]");

function fold(navigation) {
  const rail = navigation.toggleAttribute("data-rail");
  const word = form.querySelector("[data-folded]");
  word.textContent = rail ? word.dataset.folded : word.dataset.unfolded;
  form.querySelector("button").value = rail ? "0" : "1";
  for (const link of navigation.querySelectorAll("a.nav-link")) {
    if (rail) link.title = link.querySelector(".nav-word").textContent;
    else link.removeAttribute("title");
  }
  return rail;
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const rail = fold(form.closest(".side-nav"));
  // The server reads it before it draws the next page; it is the cookie that its own form sets.
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `rail=${rail ? 1 : 0}; path=/; max-age=${YEAR}; samesite=lax${secure}`;
});
