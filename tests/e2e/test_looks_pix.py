"""Every page of Pix keys, as `test_looks` looks at those of the other domains."""

import pytest

from tests.directory import OURS, SimulatedDirectory
from tests.e2e.conftest import Site, be_live
from tests.e2e.pix_places import DONORS, PixWorld
from tests.e2e.test_looks import EVERY_LOOK, look_over, looked_at

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def places(shared_site: Site, directory: SimulatedDirectory) -> dict[str, dict[str, str]]:
    """Addresses by who opens them, and what for."""
    return PixWorld(shared_site, directory).places()


@pytest.mark.timeout(1200 if EVERY_LOOK else 600)
@pytest.mark.parametrize(
    "round_",
    [
        "officer of keys",
        "officer of claims",
        "officer of reports",
        "auditor of keys",
        "requester of claims",
        "admin of keys",
    ],
)
def test_every_page_of_pix_keys_is_accessible_fits_and_is_not_blocked(
    round_: str, site: Site, places: dict[str, dict[str, str]]
) -> None:
    page = site.sign_in(round_.partition(" ")[0])
    assert look_over(page, places[round_]) == {}


def test_what_opens_on_pages_of_pix_keys_is_accessible_too(
    site: Site, places: dict[str, dict[str, str]]
) -> None:
    page = site.sign_in("officer")
    page.goto(places["officer of keys"]["pix-key-active"])
    page.get_by_role("button", name="Show the key in full").click()
    be_live(page)
    found = looked_at(page, "pix-full-key")
    # Nothing that came meanwhile has masked it: somebody has to read it.
    assert page.get_by_text("39053344705").count()
    page.get_by_role("link", name="Mask it again").click()
    page.get_by_role("button", name="Show the key in full").wait_for()
    assert not page.get_by_text("39053344705").count()
    for name in ("pix-claim-confirmed", "pix-infraction-received"):
        claims, reports = places["officer of claims"], places["officer of reports"]
        page.goto({**claims, **reports}[name])
        be_live(page)
        for box in page.locator("main details.panel summary").all():
            box.click()
        found |= looked_at(page, f"{name}-open")
    # Somebody has the key: the form leads to the claim.
    tax_id, name = DONORS["cancelled"]
    page.goto("/pix/keys/new/")
    page.get_by_label("Type of key").select_option("CPF")
    page.get_by_label("Key", exact=True).fill(tax_id)
    page.get_by_label("Participant").select_option(OURS)
    page.get_by_label("Account number").fill("0007654321")
    page.get_by_label("CPF or CNPJ of the owner").fill(tax_id)
    page.get_by_label("Name of the owner").fill(name)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("link", name="Claim the key").wait_for()
    found |= looked_at(page, "pix-key-refused")
    page.get_by_role("link", name="Claim the key").click()
    page.wait_for_url("**/pix/claims/new/?from=key")
    assert page.get_by_label("Name of the owner").input_value() == name
    # Several claims are decided together.
    page.goto(places["officer of claims"]["pix-claims-inbox"])
    for box in page.locator("input[name=ids]").all():
        box.check()
    page.get_by_role("button", name="Decide what is ticked").click()
    page.locator("#bulk-lines").wait_for()
    page.get_by_label("Approve", exact=True).check()
    page.get_by_label("Grounds to approve").wait_for()
    found |= looked_at(page, "pix-bulk")
    assert found == {}
