// The server writes times in UTC; here they become the reader's zone, and ages are kept fresh.
const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
import { word } from "./words.js";

const local = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, {
  weekday: "short", day: "numeric", month: "short", year: "numeric",
});
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", {
  numeric: "auto", style: "short",
});
const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [604800, "day", 86400]];

const two = (number) => String(Math.trunc(number)).padStart(2, "0");
const dayOf = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;

// The whole time in the reader's zone: 2026-03-01T09:30:05+01:00 (Africa/Lagos).
function iso(at) {
  const ahead = -at.getTimezoneOffset();
  const offset = `${ahead < 0 ? "-" : "+"}${two(Math.abs(ahead) / 60)}:${two(Math.abs(ahead) % 60)}`;
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return `${dayOf(at)}T${time}${offset} (${zone})`;
}

function age(at, now) {
  const seconds = Math.round((at - now) / 1000);
  const distance = Math.abs(seconds);
  const step = STEPS.find(([below]) => distance < below);
  if (!step) return local.format(at);
  return distance < 10 ? word("just now") : relative.format(Math.trunc(seconds / step[2]), step[1]);
}

function words(element, now) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const kind = element.dataset.when;
  element.title = kind === "clock" ? iso(at) : full.format(at);
  const forms = {
    age: () => age(at, now), clock: () => clock.format(at), day: () => day.format(at),
    hour: () => hour.format(at),
  };
  const text = (forms[kind] ?? (() => local.format(at)))();
  if (element.textContent !== text) element.textContent = text;
}

// The server groups a timeline by days in UTC; the reader's days begin at another hour.
function regroup(box) {
  const heading = box.querySelector(".timeline-day");
  const list = box.querySelector(".timeline");
  const rows = [...box.querySelectorAll(".timeline > li")];
  if (!heading || !rows.length) return;
  const days = new Map();
  for (const row of rows) {
    const time = row.querySelector("time");
    const key = dayOf(new Date(time.dateTime));
    if (!days.has(key)) days.set(key, { at: time.dateTime, rows: [] });
    days.get(key).rows.push(row);
  }
  const parts = [];
  for (const { at, rows: those } of days.values()) {
    const title = heading.cloneNode(true);
    title.querySelector("time").dateTime = at;
    title.classList.toggle("only-engine", those.every((row) => row.classList.contains("engine")));
    const items = list.cloneNode(false);
    items.append(...those);
    parts.push(title, items);
  }
  box.replaceChildren(...parts);
}

export function freshen(root = document) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-when]")) words(element, now);
}

function arrived() {
  document.querySelectorAll(".timeline-days").forEach(regroup);
  freshen();
}

arrived();
setInterval(freshen, 20_000);
document.addEventListener("countersign:merged", arrived);
