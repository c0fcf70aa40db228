// The editor of a definition: line numbers beside the text, and issues that lead to their line.
// Without scripts the issues name their lines, and the text is a plain field.

const text = document.querySelector("textarea.code-text");

function wrongLines() {
  const links = document.querySelectorAll("[data-line]");
  return new Set([...links].map((one) => Number(one.dataset.line)));
}

function number(lines) {
  const wrong = wrongLines();
  const count = text.value.split("\n").length;
  const shown = [];
  for (let line = 1; line <= count; line += 1) {
    const one = document.createElement("div");
    one.textContent = wrong.has(line) ? `● ${line}` : `${line}`;
    if (wrong.has(line)) one.className = "is-wrong";
    shown.push(one);
  }
  lines.replaceChildren(...shown);
}

function goTo(line) {
  const before = text.value.split("\n").slice(0, line - 1);
  const begin = before.reduce((sum, one) => sum + one.length + 1, 0);
  const end = text.value.indexOf("\n", begin);
  text.focus();
  text.setSelectionRange(begin, end < 0 ? text.value.length : end);
  text.scrollTop = (line - 4) * Number.parseFloat(getComputedStyle(text).lineHeight);
}

if (text) {
  const editor = document.createElement("div");
  editor.className = "code-editor";
  const lines = document.createElement("div");
  lines.className = "code-lines";
  // Who hears the page hears the text; the lines that matter are in the issues.
  lines.setAttribute("aria-hidden", "true");
  text.replaceWith(editor);
  editor.append(lines, text);
  const follow = () => {
    lines.style.height = `${text.clientHeight}px`;
    lines.scrollTop = text.scrollTop;
  };
  const renumber = () => {
    number(lines);
    follow();
  };
  text.addEventListener("input", renumber);
  text.addEventListener("scroll", follow);
  new ResizeObserver(follow).observe(text);
  renumber();
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-line]");
    if (!link) return;
    event.preventDefault();
    goTo(Number(link.dataset.line));
  });
}
