"""The QR code as inline SVG."""

from apps.web.qr import qr_svg


def test_its_label_is_what_the_caller_says_and_is_escaped() -> None:
    svg = qr_svg("https://example.org/m/1", label='Manifest of "NG-1" <b>')
    assert 'aria-label="Manifest of &quot;NG-1&quot; &lt;b&gt;"' in svg
    assert 'role="img"' in svg
    assert "style=" not in svg


def test_other_text_is_another_code() -> None:
    one, same, other = (qr_svg(text, label="x") for text in ("a", "a", "b"))
    assert one == same != other
