// What scripts say, in the page's language: the server puts its translations of these texts into
// <template id="words"> (templates/console/_words.html); without one they are said as written here.
const given = new Map();
for (const one of document.getElementById("words")?.content.children ?? []) {
  given.set(one.dataset.of, one.textContent);
}

export function word(text, values = {}) {
  return (given.get(text) ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function clock(at) {
  const today = new Date(at).toDateString() === new Date().toDateString();
  const day = today ? {} : { day: "numeric", month: "short" };
  const shown = new Intl.DateTimeFormat(undefined, { ...day, hour: "2-digit", minute: "2-digit" });
  return element("time", { dateTime: new Date(at).toISOString() }, shown.format(at));
}

// The text's {time} as an element that says it in the reader's zone.
export function timed(text, at) {
  const [before, after] = text.split("{time}");
  return [before, clock(at), after];
}
