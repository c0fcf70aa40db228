"""`make pictures`: every picture of docs/images, made anew from the running program.

    python -m deploy.local.pictures [--to FOLDER] [NAME …]

Starts a stack of its own on free ports with the demo data and photographs pages in a headless
Chromium, in windows of fixed sizes. The browser's clock stands still, its language and time zone
are fixed, and a page is taken when it has stopped changing: two runs on one day differ in nothing
but ids.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from deploy.local.processes import StartError, free_port
from deploy.local.run import Launcher
from deploy.local.screen import DEMO_PASSWORD, Screen
from deploy.local.stack import PORTS, REPLACED_BY, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = ROOT / "docs" / "images"
DESKTOP, PHONE = 1280, 390
#: A page is taken when it looked the same for so long; after so many looks, as it is.
STILL_SECONDS, LOOKS = 3.0, 20


class Picture(NamedTuple):
    """A picture, `<name>.png`: the page at `path` as `user` sees it. `link`: instead, the page
    behind its first link whose address begins so."""

    name: str
    path: str
    user: str
    theme: Literal["light", "dark"] = "light"
    width: int = DESKTOP
    height: int = 900
    link: str = ""


PICTURES = (
    Picture("inbox", "/inbox/", "reviewer"),
    Picture("request", "/inbox/?mine=on", "reviewer", link="/requests/"),
    Picture("home-dark", "/", "operator", theme="dark"),
    Picture("workers", "/workers/", "operator"),
    Picture("trip", "/trips/?bus=night-coach", "agent", link="/trips/0"),
)


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 when every picture was made."""
    parser = argparse.ArgumentParser(prog="pictures", description="Makes the pictures of docs.")
    names = [picture.name for picture in PICTURES]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; or all")
    parser.add_argument("--to", type=Path, default=IMAGES, help="the folder they are put into")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    chosen = [one for one in PICTURES if one.name in (options.names or names)]
    screen = Screen()
    try:
        with site(screen) as url, browser() as one:
            take(chosen, url=url, browser=one, folder=options.to, screen=screen)
    except StartError as error:
        screen.say(str(error), style="bold red")
        return 1
    return 0


@contextmanager
def site(screen: Screen) -> Iterator[str]:
    """The address of a stack like that of `make run`, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-pictures-"))
    folder.chmod(0o711)  # PostgreSQL may run as somebody else
    environ = {key: value for key, value in os.environ.items() if key not in REPLACED_BY}
    environ |= {name: str(free_port()) for name in PORTS}
    launcher = Launcher({**environ, "COUNTERSIGN_DATA": str(folder)}, screen)
    try:
        launcher.up()
        yield f"http://127.0.0.1:{launcher.ports['WEB_PORT']}"
    finally:
        launcher.down()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def browser() -> "Iterator[Browser]":
    """A headless Chromium: CHROMIUM_PATH, else Playwright's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        one = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM_PATH") or None,
            chromium_sandbox=False,  # it shows pages of ours only
            args=["--disable-gpu", "--force-color-profile=srgb", "--font-render-hinting=none"],
        )
        yield one
        one.close()


def take(
    pictures: list[Picture], *, url: str, browser: "Browser", folder: Path, screen: Screen
) -> None:
    """Make the pictures and say where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    for picture in pictures:
        context = browser.new_context(
            base_url=url,
            viewport={"width": picture.width, "height": picture.height},
            color_scheme=picture.theme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        page = context.new_page()
        page.clock.set_fixed_time(now)
        sign_in(page, picture.user)
        page.goto(picture.path)
        if picture.link:
            address = page.locator(f'main a[href^="{picture.link}"]').first.get_attribute("href")
            page.goto(address or picture.path)
        file = folder / f"{picture.name}.png"
        file.write_bytes(still(page))
        screen.say(f"✓ {file}", style="green")
        context.close()


def sign_in(page: "Page", user: str) -> None:
    """Log in as one of the demo's people."""
    page.goto("/login/")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", DEMO_PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/login/" not in address)


def still(page: "Page") -> bytes:
    """The picture of the window once nothing in it changes: the page is live, and the demo's
    requests go on for a while after the start."""
    page.mouse.move(0, 0)
    before = b""
    for _ in range(LOOKS):
        now = page.screenshot(animations="disabled", caret="hide")
        if now == before:
            break
        before = now
        time.sleep(STILL_SECONDS)
    return before


if __name__ == "__main__":
    sys.exit(main())
