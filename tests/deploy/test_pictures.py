"""The list of the pictures that `make pictures` makes."""

import re
from urllib.parse import urlsplit

import pytest
from django.urls import resolve

from deploy.local.pictures import PICTURES, Picture, main
from deploy.local.screen import DEMO_LOGINS
from deploy.local.stack import ROOT

NAMES = [picture.name for picture in PICTURES]


@pytest.mark.parametrize("picture", PICTURES, ids=NAMES)
def test_its_page_exists_and_its_user_is_one_of_the_demo(picture: Picture) -> None:
    assert resolve(urlsplit(picture.path).path)
    assert picture.user in DEMO_LOGINS
    assert picture.link == "" or picture.link.startswith("/")


def test_every_picture_of_the_documents_is_made_and_each_name_is_given_once() -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {
        name for path in texts for name in re.findall(r"images/([\w-]+)\.png", path.read_text())
    }
    kept = {path.stem for path in (ROOT / "docs" / "images").glob("*.png")}
    assert shown | kept <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_a_name_that_is_not_in_the_list_starts_nothing() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nowhere"])
    assert ended.value.code == 2
