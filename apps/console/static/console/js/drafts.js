// What is typed outlives the session. A form with data-draft (template tag `draft`) is kept in this
// browser while somebody types, and is as they left it when they have signed in again. It is kept in
// localStorage: signing out in one tab removes what every tab kept, and a tab that was closed or has
// crashed is a loss as well. Computers are shared, so a draft belongs to whoever typed it and is gone
// when they sign out, when somebody else signs in, when the server has accepted the form, when a page
// says that it is closed (`drafts_over`), and after half a day. Passwords, codes and files are never
// kept, nor hidden fields but those that the form names.
import { element, timed, word } from "./words.js";

const STORE = "drafts";
const DONE = "drafts_done"; // cookie of apps/web/drafts.py
const EVERYTHING = "*";
const LEFT = "drafts-signed-out";
const MOST = 20;
const LONGEST_AGE = 12 * 3600 * 1000; // ms
const LONGEST_TEXT = 100_000; // characters of one field
const SAVE_AFTER = 300; // ms
const MOST_OFFERED = 3;

const owner = document.querySelector("meta[name=signed-in]")?.content ?? "";
const states = new WeakMap();
const unsaved = new Map(); // form → timer
let stopped = !owner; // nobody is signed in, or they have signed out in another tab

// --- the store ----------------------------------------------------------------------------------
const known = ({ at, owner: by }) => Date.now() - at < LONGEST_AGE && (!owner || by === owner);

function read() {
  try {
    const all = Object.entries(JSON.parse(localStorage.getItem(STORE) ?? "{}"));
    return Object.fromEntries(all.filter(([, draft]) => known(draft)));
  } catch {
    return {};
  }
}

function write(all) {
  try {
    const newest = Object.entries(all).sort(([, a], [, b]) => b.at - a.at).slice(0, MOST);
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(newest)));
  } catch {
    // storage is blocked or full: nothing is kept, and the page works as it is
  }
}

function put(key, draft) {
  const all = read();
  if (draft) all[key] = draft;
  else delete all[key];
  write(all);
}

function told() {
  const cookie = document.cookie.split("; ").find((one) => one.startsWith(`${DONE}=`));
  if (!cookie) return [];
  document.cookie = `${DONE}=; Max-Age=0; Path=/; SameSite=Lax`;
  return decodeURIComponent(cookie.slice(DONE.length + 1)).split("~");
}

function clear() {
  const closed = [...document.querySelectorAll("[data-drafts-over]")];
  const done = [...told(), ...closed.flatMap((one) => words(one.dataset.draftsOver))];
  try {
    if (done.includes(EVERYTHING)) return localStorage.removeItem(STORE);
  } catch {
    return;
  }
  const all = read();
  for (const key of done) delete all[key];
  if (done.length || owner) write(all);
}

// --- a form -------------------------------------------------------------------------------------
const NEVER = new Set(["hidden", "password", "file", "submit", "button", "image", "reset"]);
const SECRET = /password|one-time-code/;

const words = (text) => (text ?? "").split(/\s+/).filter(Boolean);
const isBox = (field) => field.type === "checkbox" || field.type === "radio";

function groups(form) {
  const found = new Map();
  for (const field of form.elements) {
    if (!field.name || !field.matches("input, textarea, select")) continue;
    if (NEVER.has(field.type) || SECRET.test(field.autocomplete ?? "")) continue;
    found.set(field.name, [...(found.get(field.name) ?? []), field]);
  }
  return found;
}

function hidden(form, names) {
  const wanted = words(names);
  const fits = (name) =>
    wanted.some((one) => (one.endsWith("*") ? name.startsWith(one.slice(0, -1)) : name === one));
  return [...form.elements].filter((field) => field.type === "hidden" && fits(field.name));
}

const valuesOf = (fields) => Object.fromEntries(fields.map((field) => [field.name, field.value]));

function served(field) {
  if (field.type !== "select-one") return [...field.options].filter((one) => one.defaultSelected);
  return [[...field.options].findLast((one) => one.defaultSelected) ?? field.options[0]];
}

function changed(field) {
  if (isBox(field)) return field.checked !== field.defaultChecked;
  if (!field.options) return field.value !== field.defaultValue;
  const before = served(field);
  return [...field.options].some((one) => one.selected !== before.includes(one));
}

function reset(field) {
  if (isBox(field)) field.checked = field.defaultChecked;
  else if (!field.options) field.value = field.defaultValue;
  else for (const one of field.options) one.selected = served(field).includes(one);
}

const plain = (value) =>
  JSON.stringify(value, (_, part) => part.trim?.().replace(/\r\n?/g, "\n") ?? part);

function valueOf(group) {
  if (isBox(group[0])) {
    return {
      on: group.filter((field) => field.checked).map((field) => field.value),
      of: group.map((field) => field.value),
    };
  }
  if (!group[0].options) return group.map((field) => field.value);
  return group.map((field) => [...field.selectedOptions].map((one) => one.value));
}

function same(form, draft) {
  const here = groups(form);
  return Object.entries(draft.values).every(([name, value]) => {
    const group = here.get(name);
    return group && plain(valueOf(group)) === plain(value);
  });
}

// Returns how many boxes stand for something that was not on the page when it was read.
function fill(form, draft) {
  let unread = 0;
  for (const [name, group] of groups(form)) {
    const value = draft.values[name];
    if (!value) continue;
    group.forEach((field, index) => {
      if (isBox(field)) {
        const seen = value.of.includes(field.value);
        if (!seen) unread += 1;
        field.checked = seen && value.on.includes(field.value);
      } else if (field.options) {
        for (const one of field.options) one.selected = (value[index] ?? []).includes(one.value);
        // What is offered no more must not be replaced by what stands first.
        if (value[index]?.length && !value[index].includes(field.value)) field.selectedIndex = -1;
      } else field.value = value[index] ?? "";
    });
  }
  return unread;
}

// What was typed stays bound to what was read. Returns whether that is another version than this.
function bind(form, draft) {
  for (const field of hidden(form, form.dataset.draftOnce)) {
    field.value = draft.once[field.name] ?? field.value;
  }
  let stale = false;
  for (const field of hidden(form, form.dataset.draftVersion)) {
    const was = draft.version[field.name];
    if (was === undefined || was === field.value) continue;
    field.value = was;
    stale = true;
  }
  return stale;
}

function toReopen(form) {
  if (!form.dataset.draftReopen) return null;
  const fields = hidden(form, form.dataset.draftWith);
  return {
    action: form.dataset.draftReopen,
    fields: fields.flatMap((field) => words(field.value).map((value) => [field.name, value])),
  };
}

function save(form, sent = false) {
  clearTimeout(unsaved.get(form));
  unsaved.delete(form);
  const state = states.get(form);
  if (!state || stopped || !form.isConnected) return;
  const values = {};
  let tooLong = false;
  let differs = state.returned;
  for (const [name, group] of groups(form)) {
    const touched = group.some(changed);
    if (!touched && !state.names.has(name) && !group[0].options) continue;
    if (group.some((field) => !isBox(field) && field.value.length > LONGEST_TEXT)) {
      tooLong = true;
      continue;
    }
    state.names.add(name);
    values[name] = valueOf(group);
    differs ||= touched;
  }
  if (!differs) return put(form.dataset.draft, null);
  put(form.dataset.draft, {
    owner,
    at: Date.now(),
    sent,
    values,
    tooLong,
    version: valuesOf(hidden(form, form.dataset.draftVersion)),
    once: valuesOf(hidden(form, form.dataset.draftOnce)),
    title: document.title.split(" · ")[0],
    path: location.pathname + location.search,
    reopen: toReopen(form),
  });
}

const flush = () => [...unsaved.keys()].forEach((form) => save(form));

// --- words --------------------------------------------------------------------------------------
function icon() {
  const any = document.querySelector("svg.icon use")?.getAttribute("href")?.split("#")[0];
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${any}#info`);
  made.append(use);
  return made;
}

const button = (text, onclick, kind = "button-plain") =>
  element("button", { type: "button", className: `button ${kind} button-small`, onclick }, text);

// The live region stands there empty first: screen readers tell what changes in one.
function say(note, ...children) {
  note.replaceChildren();
  setTimeout(() => note.replaceChildren(icon(), ...children), 50);
}

function noteOf(tone) {
  const note = element("div", { className: `note note-${tone} draft-note` });
  note.setAttribute("role", "status");
  return note;
}

const first = (form) =>
  form.querySelector("textarea") ?? form.querySelector("input:not([type=hidden]), select");

function discard(form, note) {
  const state = states.get(form);
  for (const [name, group] of groups(form)) if (state.names.has(name)) group.forEach(reset);
  for (const field of form.elements) {
    if (field.name in state.page) field.value = state.page[field.name];
  }
  state.names.clear();
  state.returned = false;
  put(form.dataset.draft, null);
  say(note, element("p", {}, word("Discarded.")));
  first(form)?.focus();
}

function announce(form, draft, { stale, unread }) {
  const note = noteOf(stale || unread ? "warn" : "info");
  (form.querySelector(":scope > .panel-body") ?? form).prepend(note);
  const typed = element("p", {}, ...timed(word("We kept what you typed at {time}."), draft.at));
  const actions = element("p", { className: "actions" });
  const parts = [typed];
  if (draft.tooLong) typed.append(" ", word("One text was too long to be kept."));
  if (unread) {
    parts.push(element("p", {}, element("strong", {}, word("Changed since you read the list: {n}.", { n: unread })),
      " ", word("What has changed is not ticked. Read it, then tick it.")));
  }
  if (stale) {
    parts.push(element("p", {}, element("strong", {}, word("It has changed since you read it.")), " ",
      word("This form is still bound to what you read, and is refused as it stands. Read what is shown now.")));
    actions.append(button(word("I have read it, use this for what is shown now"), () => {
      for (const field of hidden(form, form.dataset.draftVersion)) {
        field.value = states.get(form).page[field.name];
      }
      save(form);
      note.remove();
      announce(form, draft, {});
      first(form)?.focus();
    }));
  }
  actions.append(button(word("Discard"), () => discard(form, note)));
  say(note, ...parts, actions);
}

// --- from here on -------------------------------------------------------------------------------
function begin(form) {
  const names = [form.dataset.draftVersion, form.dataset.draftOnce].join(" ");
  const state = { names: new Set(), page: valuesOf(hidden(form, names)), returned: false };
  states.set(form, state);
  form.append(element("input", { type: "hidden", name: "draft", value: form.dataset.draft }));
  const draft = read()[form.dataset.draft];
  if (!draft) return;
  state.names = new Set(Object.keys(draft.values));
  if (same(form, draft) && draft.sent) {
    // The server has refused it, said why, and shows it again: bound to what it shows.
    state.returned = true;
    save(form);
    return;
  }
  const there = same(form, draft); // a live part was exchanged, and what was typed moved with it
  const unread = there ? 0 : fill(form, draft);
  const stale = bind(form, draft);
  put(form.dataset.draft, { ...draft, sent: false });
  if (there && !stale) return;
  for (let box = form.closest("details"); box; box = box.parentElement.closest("details")) {
    box.open = true;
  }
  announce(form, draft, { stale, unread });
}

function beginAll() {
  for (const form of document.querySelectorAll("form[data-draft]")) {
    if (!states.has(form)) begin(form);
  }
}

// Whoever has just signed in again is told of what is kept for other pages.
function offer() {
  try {
    if (!sessionStorage.getItem(LEFT)) return;
    sessionStorage.removeItem(LEFT);
  } catch {
    return;
  }
  const here = new Set([...document.querySelectorAll("form[data-draft]")].map((f) => f.dataset.draft));
  const others = Object.entries(read()).filter(([key]) => !here.has(key));
  others.sort(([, a], [, b]) => b.at - a.at);
  const pages = new Map(others.reverse().map((one) => [one[1].reopen ? one[0] : one[1].path, one]));
  for (const [key, draft] of [...pages.values()].reverse().slice(0, MOST_OFFERED)) {
    const note = noteOf("info");
    const place = element("div", { className: "messages" }, note);
    document.getElementById("content")?.prepend(place);
    const open = draft.reopen
      ? button(word("Open it again"), () => reopen(draft.reopen), "")
      : element("a", { className: "button button-small", href: draft.path }, word("Open it"));
    const discardIt = button(word("Discard"), () => {
      for (const [other, { path }] of others) if (other === key || path === draft.path) put(other, null);
      say(note, element("p", {}, word("Discarded.")));
    });
    const what = element("p", {}, ...timed(word("We kept what you typed at {time}: {title}.", draft), draft.at));
    say(note, what, element("p", { className: "actions" }, open, discardIt));
  }
}

function reopen({ action, fields }) {
  const token = document.querySelector("input[name=csrfmiddlewaretoken]");
  const form = element("form", { method: "post", action, hidden: true }, token.cloneNode());
  for (const [name, value] of fields) form.append(element("input", { type: "hidden", name, value }));
  document.body.append(form);
  form.requestSubmit();
}

function typed(event) {
  const form = event.target.form;
  if (!form || !states.has(form)) return;
  clearTimeout(unsaved.get(form));
  unsaved.set(form, setTimeout(() => save(form), SAVE_AFTER));
}

clear();
if (owner) {
  beginAll();
  offer();
  document.addEventListener("input", typed);
  document.addEventListener("change", typed);
  document.addEventListener("submit", (event) => {
    if (!event.defaultPrevented && states.has(event.target)) save(event.target, true);
  });
  document.addEventListener("htmx:beforeSwap", flush);
  document.addEventListener("countersign:merged", () => (clear(), beginAll()));
  document.addEventListener("visibilitychange", () => document.hidden && flush());
  window.addEventListener("pagehide", flush);
  window.addEventListener("storage", (event) => {
    // Removed as a whole: whoever was signed in has left, in another tab.
    if (event.key === STORE && event.newValue === null) stopped = true;
  });
} else if (document.querySelector("input[type=password]")) {
  try {
    sessionStorage.setItem(LEFT, "1");
  } catch {
    // storage is blocked: there are no drafts either
  }
}
