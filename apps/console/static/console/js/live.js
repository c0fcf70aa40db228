// One websocket a page. Elements say what they depend on (data-live="inbox request:…") and fetch
// themselves again by htmx on the event "live". The socket carries no data: a message that is lost
// costs a second of staleness, and everything is fetched again after a reconnect.
/* global htmx */
import { word } from "./words.js";

const GAP = 500; // ms between two fetches of one element: at most two a second
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const AWAY_WAIT = 5000; // ms until a part that could not be fetched is asked for again
const GIVE_UP = new Set([4400, 4401]); // bad topics; signed out

const WORDS = {
  wait: [word("Connecting…"), word("Connecting: changes will appear by themselves in a moment.")],
  live: [word("Live"), word("Live: changes appear by themselves.")],
  off: [
    word("Not live"),
    word("Not live: reload the page to see what changed. It keeps trying to connect."),
  ],
  away: [word("Not reachable"), word("Not reachable, trying again. What you see is as it was.")],
  gone: [
    word("Not live"),
    word("Not live: a part of this page is no longer there for you. Reload the page."),
  ],
};

const indicator = document.querySelector("[data-live-indicator]");
const lastSent = new WeakMap();
const onItsWay = new WeakSet();
let socket = null;
let attempts = 0;
let retry = 0;

function show(state) {
  document.documentElement.dataset.socket = state;
  if (!indicator || indicator.dataset.liveState === state) return;
  indicator.dataset.liveState = state;
  indicator.title = WORDS[state][1];
  indicator.querySelector("[data-live-words]").textContent = WORDS[state][0];
  indicator.querySelector("[data-live-more]").textContent = WORDS[state][1];
  const reload = indicator.querySelector("[data-live-reload]");
  if (reload) reload.hidden = !["off", "away", "gone"].includes(state);
}

const elements = () => [...document.querySelectorAll("[data-live]")];
const topicsOf = (element) => element.dataset.live.split(/\s+/).filter(Boolean);

// --- a part that cannot be fetched ------------------------------------------------------------
// htmx leaves the page as it is; here it is said, and tried again until every part came. A part that
// is refused, because the row is gone or a right was taken away, is asked for with the next change.
const away = new Set();

const fetches = (event) => event.target.closest?.("[data-live]");

function notFetched(event) {
  const element = fetches(event);
  const status = event.detail.xhr?.status ?? 0;
  if (!element || status === 401) return; // on its way to sign in
  const refused = status >= 400 && status < 500 && status !== 429;
  away.add(element);
  show(refused ? "gone" : "away");
  if (refused) return;
  setTimeout(() => element.isConnected && htmx.trigger(element, "live"), AWAY_WAIT);
}

// A page has several parts, and each is told to go to the sign-in: the second navigation would break
// off the first, which may already have arrived.
let leaving = false;
document.addEventListener("htmx:beforeOnLoad", (event) => {
  if (!event.detail.xhr.getResponseHeader("HX-Redirect")) return;
  if (leaving) event.preventDefault();
  leaving = true;
});
addEventListener("pageshow", () => {
  leaving = false;
});

for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, notFetched);
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const element = fetches(event);
  if (!element || event.detail.isError || !away.delete(element)) return;
  for (const other of away) if (!other.isConnected) away.delete(other);
  if (!away.size) show(socket?.readyState === WebSocket.OPEN ? "live" : "off");
});

function refresh(element) {
  if (onItsWay.has(element)) return; // the fetch that waits will see this change, too
  onItsWay.add(element);
  const wait = (lastSent.get(element) ?? -Infinity) + GAP - performance.now();
  setTimeout(() => {
    onItsWay.delete(element);
    // From when it is sent, not from when it was due: a timer that was late brings the next no nearer.
    lastSent.set(element, performance.now());
    if (element.isConnected) htmx.trigger(element, "live");
  }, Math.max(0, wait));
}

function heard(event) {
  let message;
  try {
    message = JSON.parse(event.data);
  } catch {
    return;
  }
  if (message.topic === "hello") {
    attempts = 0;
    if (!away.size) show("live");
    elements().forEach(refresh);
    return;
  }
  if (message.error) return; // a topic that this person may not watch; the others are live
  for (const element of elements()) {
    if (topicsOf(element).includes(message.topic)) refresh(element);
  }
}

function connect() {
  clearTimeout(retry);
  const topics = [...new Set(elements().flatMap(topicsOf))];
  if (!topics.length) return;
  const address = new URL(document.body.dataset.liveUrl, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.search = new URLSearchParams({ topics: topics.join(",") });
  const mine = new WebSocket(address);
  socket = mine;
  mine.addEventListener("message", heard);
  mine.addEventListener("close", (event) => {
    if (mine !== socket) return;
    socket = null;
    if (!away.size) show("off");
    if (GIVE_UP.has(event.code)) return;
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** attempts) * (0.75 + Math.random() / 2);
    attempts += 1;
    retry = setTimeout(connect, wait);
  });
}

function again() {
  if (socket && socket.readyState <= WebSocket.OPEN) elements().forEach(refresh);
  else {
    attempts = 0;
    connect();
  }
}

if (document.body.dataset.liveUrl) {
  show("wait");
  connect();
  window.addEventListener("online", again);
  window.addEventListener("pageshow", (event) => event.persisted && again());
  document.addEventListener("visibilitychange", () => document.hidden || again());
}
