import os
import pytest
from tests.e2e.conftest import Site
from tests.e2e.test_looks import _mail, problems, _fits, _outside, in_theme
pytestmark = pytest.mark.e2e

@pytest.mark.timeout(600)
def test_it(site: Site) -> None:
    n = _mail(site)
    page = site.sign_in("admin")
    left = {}
    for name, url in {"list": "/admin/notifications/mail/", "row": f"/admin/notifications/mail/{n}/change/", "files": "/admin/notifications/mailattachment/", "file": "/admin/notifications/mailattachment/1/change/", "contents": "/admin/notifications/mailcontent/"}.items():
        for width, theme in ((1280, "light"), (390, "dark"), (360, "light")):
            page.set_viewport_size({"width": width, "height": 900})
            in_theme(page, theme)
            page.goto(url)
            page.screenshot(path=f"/tmp/shots/mail-{name}-{width}.png", full_page=True)
            left[name, width] = (problems(page), _fits(page), [] if _fits(page) else _outside(page))
    for k, v in left.items(): print(k, v)
    assert all(v[1] for v in left.values())
