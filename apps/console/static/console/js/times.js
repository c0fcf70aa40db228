// The server writes times in UTC; here they become the reader's zone, and ages are kept fresh.
const local = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", {
  numeric: "auto", style: "short",
});
const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [604800, "day", 86400]];

function words(element, now) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  element.title = full.format(at);
  const seconds = Math.round((at - now) / 1000);
  const distance = Math.abs(seconds);
  const step = STEPS.find(([below]) => distance < below);
  let text = (element.dataset.when === "hour" ? hour : local).format(at);
  if (element.dataset.when === "age" && step) {
    text = distance < 10 ? "just now" : relative.format(Math.trunc(seconds / step[2]), step[1]);
  }
  if (element.textContent !== text) element.textContent = text;
}

export function freshen(root = document) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-when]")) words(element, now);
}

freshen();
setInterval(freshen, 20_000);
document.addEventListener("countersign:merged", () => freshen());
