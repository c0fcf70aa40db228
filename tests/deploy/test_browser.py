"""The browser of the tests. A module of its own: Playwright keeps an event loop in the thread."""


def test_the_browser_opens_a_page(chromium) -> None:
    page = chromium.new_page()
    page.set_content("<h1>Countersign</h1>")
    assert page.inner_text("h1") == "Countersign"
    page.close()
