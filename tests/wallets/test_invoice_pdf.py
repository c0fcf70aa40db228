"""The invoice as PDF: its text can be extracted, and the same data is the same bytes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pypdfium2
import pytest
from django.utils.translation import override

from apps.wallets.invoice_pdf import Company, InvoiceData, Line, as_json, from_json, render

DATA = InvoiceData(
    number="INV-2026-000042",
    issued_at=datetime(2026, 11, 29, 20, 0, tzinfo=UTC),
    company=Company(
        name="Volteryde Transport Ltd",
        address=("12 Adeola Odeku Street", "Lagos"),
        tax_id="NG-12345678-0001",
    ),
    rider_name="João Ọláyínká",
    rider_email="rider@example.org",
    user_id="demo-rider",
    currency="NGN",
    lines=(
        Line("Top-up of the wallet", Decimal("1500.10")),
        Line("Serviço em São Paulo", Decimal("0.29")),
    ),
    reference="topup-0194-1",
    transaction_id="18446744073709551615",
)


def text_of(data: InvoiceData) -> list[str]:
    """The text of every page, blanks made alike."""
    document = pypdfium2.PdfDocument(render(data))
    try:
        pages = [page.get_textpage().get_text_range() for page in document]
    finally:
        document.close()
    # Between two letters of a word that was broken stands a space without width.
    return [" ".join(page.replace("\u200b", "").split()) for page in pages]


def test_everything_on_it_can_be_extracted() -> None:
    (text,) = text_of(DATA)
    for said in (
        *("Invoice", "INV-2026-000042", "29 Nov 2026"),
        *("Volteryde Transport Ltd", "12 Adeola Odeku Street", "NG-12345678-0001"),
        *("João", "rider@example.org", "demo-rider"),
        *("Amount in NGN", "Top-up of the wallet ₦1,500.10", "Serviço em São Paulo ₦0.29"),
        "Total ₦1,500.39",
        *("topup-0194-1", "18446744073709551615", "Page 1 of 1"),
    ):
        assert said in text


@pytest.mark.parametrize(
    ("currency", "shown"),
    [
        ("BRL", "R$ 1,500.39"),
        ("GHS", "GH₵ 1,500.39"),
        ("USD", "$1,500.39"),
        ("EUR", "EUR 1,500.39"),
    ],
)
def test_a_currency_is_written_as_its_people_do(currency: str, shown: str) -> None:
    assert f"Total {shown}" in text_of(replace(DATA, currency=currency))[0]


def test_the_same_data_is_the_same_bytes_whoever_reads() -> None:
    first = render(DATA)
    with override("de"):
        assert render(from_json(json.loads(json.dumps(as_json(DATA))))) == first
    assert first.startswith(b"%PDF-")
    assert render(replace(DATA, number="INV-2026-000043")) != first


def test_what_a_rider_wrote_is_text_and_nothing_else() -> None:
    hostile = '#panic() $x$ <script> *b* _i_ @ref `raw` \\u{41} #read("/etc/passwd") // no "q"'
    data = replace(DATA, rider_name=hostile, lines=(Line(hostile, Decimal(1)),))
    (text,) = text_of(data)
    assert text.count(hostile) == 2


def test_a_word_longer_than_a_line_is_broken_and_stays_on_the_page() -> None:
    (text,) = text_of(replace(DATA, lines=(Line("w" * 300, Decimal(1)),)))
    assert text.count("w") >= 300
    assert "₦1.00" in text


def test_many_lines_are_many_pages_with_the_total_at_the_end() -> None:
    lines = tuple(Line(f"Line {number}", Decimal(number)) for number in range(1, 81))
    pages = text_of(replace(DATA, lines=lines))
    assert len(pages) > 2
    assert all("Amount in NGN" in page for page in pages)
    assert "Total ₦3,240.00" in pages[-1]
    assert f"Page {len(pages)} of {len(pages)}" in pages[-1]


def test_letters_that_no_font_has_do_not_stop_it() -> None:
    assert "INV-2026-000042" in text_of(replace(DATA, rider_name="王小明"))[0]


def test_a_time_without_a_zone_has_no_day() -> None:
    with pytest.raises(ValueError, match="zone"):
        render(replace(DATA, issued_at=datetime(2026, 11, 29)))
