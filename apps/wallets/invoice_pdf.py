"""An invoice as PDF: one page that a rider is sent, made by typst from frozen data.

The same data is the same bytes, on every machine: no system fonts, no clock, no language of a
reader. Texts are passed as data, never as markup.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import typst
from django.conf import settings
from django.utils.translation import gettext

from apps.common.dates import day_words
from apps.common.language import in_site_language
from apps.common.money import NO_BREAK, exact, figure

_TEMPLATE = Path(__file__).with_name("invoice.typ")
#: What riders know their currency by; the code stands above the column.
_SIGNS = {"NGN": "₦", "BRL": "R$", "GHS": "GH₵", "ZAR": "R", "KES": "KSh", "USD": "$"}


@dataclass(frozen=True)
class Company:
    """Who writes the invoice, as printed."""

    name: str
    address: tuple[str, ...] = ()
    tax_id: str = ""


@dataclass(frozen=True)
class Line:
    """What is paid for. The amount is in major units of the invoice's currency."""

    description: str
    amount: Decimal


@dataclass(frozen=True)
class InvoiceData:
    """Everything that is printed. `issued_at` has a zone: its day there is the invoice's date."""

    number: str
    issued_at: datetime
    company: Company
    rider_name: str
    rider_email: str
    user_id: str
    currency: str
    lines: tuple[Line, ...]
    reference: str
    transaction_id: str

    @property
    def total(self) -> Decimal:
        """The sum of the lines."""
        return sum((line.amount for line in self.lines), Decimal(0))


def as_json(data: InvoiceData) -> dict[str, Any]:
    """Return the data as a document that can be kept; `from_json` reads it."""
    lines = [
        {"description": line.description, "amount": exact(line.amount, data.currency)}
        for line in data.lines
    ]
    return {**asdict(data), "issued_at": data.issued_at.isoformat(), "lines": lines}


def from_json(document: dict[str, Any]) -> InvoiceData:
    """Return the data that `as_json` wrote."""
    company = document["company"]
    lines = (Line(line["description"], Decimal(line["amount"])) for line in document["lines"])
    return InvoiceData(
        **{
            **document,
            "issued_at": datetime.fromisoformat(document["issued_at"]),
            "company": Company(**{**company, "address": tuple(company["address"])}),
            "lines": tuple(lines),
        }
    )


@in_site_language
def render(data: InvoiceData) -> bytes:
    """Return the PDF. Raises ValueError for a time without a zone. Takes about 20 ms."""
    if data.issued_at.tzinfo is None:
        raise ValueError("the time of issue has no zone")
    return bytes(
        typst.compile(
            _TEMPLATE,
            root=_TEMPLATE.parent,
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={"data": json.dumps(_printed(data))},
            timestamp=int(data.issued_at.timestamp()),
        )
    )


def _printed(data: InvoiceData) -> dict[str, Any]:
    """Return every text of the page."""
    date = day_words(data.issued_at.date())
    facts = {
        gettext("Payment reference"): data.reference,
        gettext("Transaction"): data.transaction_id,
    }
    return {
        "language": settings.LANGUAGE_CODE.partition("-")[0],
        "number": data.number,
        "date": date,
        "company": asdict(data.company),
        "rider": {"name": data.rider_name, "email": data.rider_email, "user_id": data.user_id},
        "facts": [{"name": name, "value": value} for name, value in facts.items() if value],
        "lines": [
            {"description": line.description, "amount": _money(line.amount, data.currency)}
            for line in data.lines
        ],
        "total": _money(data.total, data.currency),
        "words": {
            "title": gettext("Invoice"),
            "number": gettext("Number"),
            "date": gettext("Date"),
            "billed_to": gettext("Billed to"),
            "tax_id": gettext("Tax number"),
            "description": gettext("Description"),
            "amount": gettext("Amount in {currency}").format(currency=data.currency),
            "total": gettext("Total"),
            "paid": gettext("Paid on {day}. Nothing is owed.").format(day=date),
            # Filled in by typst, which knows the pages.
            "page": gettext("Page {page} of {pages}"),
        },
    }


def _money(amount: Decimal, currency: str) -> str:
    sign = _SIGNS.get(currency, currency)
    return f"{sign}{NO_BREAK if len(sign) > 1 else ''}{figure(amount, currency)}"
