"""Every page of Pix keys, as `test_looks` looks at those of the other domains."""

import pytest

from tests.directory import SimulatedDirectory
from tests.e2e.conftest import Site
from tests.e2e.pix_places import PixWorld
from tests.e2e.test_looks import EVERY_LOOK, look_over

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
