"""A synchronisation from the button to its report, in a browser."""

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.directory import OURS, SimulatedDirectory
from tests.e2e.conftest import Site, be_live, stay
from tests.support import eventually, patient

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e


def begun(site: Site) -> "Page":
    """The page of a synchronisation that the officer has begun with the button."""
    busy = "SELECT 1 FROM pix_syncrun WHERE participant = %s AND settled_at IS NULL"
    eventually(lambda: not site.stack.sql(busy, OURS))
    page = site.sign_in("officer")
    page.goto("/pix/sync/")
    page.get_by_role("link", name="Synchronise").first.click()
    page.get_by_label("Participant").select_option(OURS)
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url(re.compile("/pix/sync/[0-9a-f-]{36}/"))
    be_live(page)
    return page


def ends_well(page: "Page") -> None:
    badge = page.locator("#pix_sync-head .badge")
    expect(badge).to_have_text("equal", timeout=patient(60) * 1000)


def downloaded(page: "Page", link: str) -> tuple[str, bytes]:
    """Name and content of the file behind the link."""
    with page.expect_download() as waiting:
        page.get_by_role("link", name=link).click()
    file = waiting.value
    return file.suggested_filename, Path(file.path()).read_bytes()


def test_what_differs_is_found_repaired_and_reported(
    site: Site, directory: SimulatedDirectory
) -> None:
    held = "SELECT count(*) FROM pix_entry WHERE participant = %s AND status = 'active'"
    eventually(lambda: not site.stack.sql("SELECT 1 FROM pix_entry WHERE status = 'pending'"))
    ends_well(begun(site))
    ((before,),) = site.stack.sql(held, OURS)
    directory.tamper(OURS, key_type="EVP", changed=1)
    directory.tamper(OURS, key_type="EVP", extra=3)
    page = begun(site)
    stayed = stay(page)
    ends_well(page)
    assert stayed()
    found = page.locator("#sync-differences tr")
    expect(found).to_have_count(4)
    expect(page.locator("#sync-differences .badge")).to_have_text(["repaired"] * 4)
    expect(page.locator("#sync-types tr", has_text="EVP")).to_contain_text("equal")
    assert site.stack.sql(held, OURS) == [(before + 3,)]
    name, body = downloaded(page, "Report as CSV")
    rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
    assert name.endswith(".csv")
    assert sum("repaired" in row for row in rows) == 4, rows
    name, body = downloaded(page, "Report as PDF")
    assert name.endswith(".pdf") and body.startswith(b"%PDF-")
    # The next one finds nothing.
    page = begun(site)
    ends_well(page)
    expect(page.locator("#sync-found")).to_contain_text("None was found.")
