"""A text that has grown by a third, as it does in other languages, is not cut off and does not push
the page sideways. The pages come from this process: the browser only lays them out."""

from collections.abc import Callable, Iterator
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tests.e2e.conftest import DESKTOP, PHONE
from tests.language.pages import Opened, pages_for, part

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.e2e

#: Elements with a marked text whose box is too small for it; and whether the page is too wide.
_CUT_OFF = """() => {
  const out = [];
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) out.push(`the page is ${wide} px too wide`);
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].filter((n) => n.nodeType === 3);
    const text = own.map((n) => n.textContent).join("");
    if (!text.includes("⟦") || !one.checkVisibility({ visibilityProperty: true })) continue;
    // Said to who cannot see, and ids, which may be cut.
    if (one.closest(".sr, .visually-hidden, .skip, .who")) continue;
    let clipped = false;
    for (let box = one; box; box = box.parentElement) {
      const { clip, clipPath } = getComputedStyle(box);
      clipped ||= box.offsetWidth <= 1 || clipPath !== "none" || clip !== "auto";
    }
    if (clipped) continue;
    if (one.clientWidth && one.scrollWidth > one.clientWidth + 1) {
      out.push(`${one.tagName.toLowerCase()}.${one.className}: ${text.trim().slice(0, 60)}`);
    }
  }
  return out;
}"""


@pytest.fixture(autouse=True)
def orm_beside_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright keeps an event loop in this thread; nothing else runs in it."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


@pytest.fixture
def show(chromium: "Browser") -> Iterator[Callable[[str, int], "Page"]]:
    """`show(html, width)`: the document in a page, with the site's own style sheets."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    given = {"html": ""}

    def answer(route: "Route") -> None:
        path = urlsplit(route.request.url).path
        found = finders.find(path.removeprefix("/static/")) if path != "/" else None
        if path == "/":
            route.fulfill(body=given["html"], content_type="text/html; charset=utf-8")
        elif found:
            kind = guess_type(path)[0] or "text/plain"
            route.fulfill(body=Path(str(found)).read_bytes(), content_type=kind)
        else:
            route.fulfill(status=404)

    def build(html: str, width: int) -> "Page":
        given["html"] = html
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("http://site.example/")
        return page

    page.route("**/*", answer)
    yield build
    context.close()


def test_longer_texts_fit(
    pseudo: None,
    shown: Opened,
    as_person: Callable[[str], Client],
    show: Callable[[str, int], "Page"],
) -> None:
    left: dict[str, Any] = {}
    for name, html in pages_for(as_person("admin"), shown).items():
        if "<html" not in html:
            continue
        # In the quick round each page is laid out once, at the width that its name chooses.
        widths = [width for n, width in enumerate((DESKTOP, PHONE)) if part(n)(name)]
        page = show(html, widths[0])
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            if found := page.evaluate(_CUT_OFF):
                left[f"{name} at {width}"] = found
    assert left == {}
