"""The payments of a batch as received: each is cleaned, or kept with its error.

An invalid item never fails the others, so nothing here raises for a single item.
"""

from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings

from apps.common import csvio
from apps.common.canonical_json import as_it_came, digest
from apps.common.csvio import CsvRow, FileRow
from apps.common.errors import DomainError, Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import amount_written, exact
from apps.common.uploads import TooLarge, size_in_words
from apps.common.validation import amount_sent, clean_amount, clean_payee, clean_region, clean_text
from apps.interventions.models import Policy
from apps.interventions.services.policy_limits import check_limit, check_region

MOST_ITEMS = 20_000
#: How much of an invalid item's input is kept.
RAW_LIMIT = 4000
FIELDS = ("amount", "target", "justification", "region")
_NEEDED = set(FIELDS[:3])
_TOO_MANY = filled(_("A batch has at most {most:,} items."), most=MOST_ITEMS)


@dataclass(frozen=True)
class Item:
    """One payment. `code` and `detail` describe its error; `raw` is then the input as it was
    received.

    `line`: the line of the file at which it begins; 0 without a file.
    """

    number: int
    amount: Decimal | None = None
    currency: str = ""
    target: str = ""
    justification: str = ""
    region: str = ""
    code: str = ""
    detail: str = ""
    raw: Any = None
    line: int = 0

    @property
    def sound(self) -> bool:
        """Return whether the item is valid."""
        return not self.code

    @property
    def signed(self) -> list[Any]:
        """Return the fields that are signed and hashed."""
        assert self.amount is not None  # only valid items are signed
        return [
            self.number,
            exact(self.amount, self.currency),
            self.target,
            self.justification,
            self.region,
        ]


def items_clean(raw_items: Sequence[Any], *, currency: str) -> list[Item]:
    """Clean each item separately, before the policy is checked. Raises Invalid `no_items`,
    `too_many_items`."""
    if not raw_items:
        raise Invalid(_("A batch has at least one item."), code="no_items")
    if len(raw_items) > MOST_ITEMS:
        raise Invalid(_TOO_MANY, code="too_many_items")
    return [_clean(number, raw, currency) for number, raw in enumerate(raw_items, start=1)]


def items_judge(items: Iterable[Item], policy: Policy, *, raw_items: Sequence[Any]) -> list[Item]:
    """Check the valid items against the policy's terms; those with an amount or a region that it
    does not allow become invalid."""
    return [_judged(item, policy, raw_items) if item.sound else item for item in items]


def items_digest(items: Iterable[Item]) -> str:
    """Return the SHA-256 of the canonical list of valid items, which the batch's signature
    covers."""
    return digest([item.signed for item in items if item.sound])


def body_digest(items: Iterable[Item], **fields: str) -> str:
    """Return the digest of everything that was requested, independent of the policy; it identifies
    a repetition."""
    listed = [item.signed if item.sound else [item.number, item.raw] for item in items]
    return digest({**fields, "items": listed})


def file_items(body: bytes) -> list[FileRow]:
    """Return the rows of a file in UTF-8: CSV whose header has the columns amount, target,
    justification and optionally region, in any order, separated by `,`, `;` or tab; or JSON lines,
    each an object with these members.

    Raises TooLarge, and as `csvio.read` or, if the file begins with `{`, as
    `csvio.read_json_lines`.
    """
    most = settings.BATCH_MAX_BYTES
    if len(body) > most:
        raise TooLarge(
            filled(_("A batch may have at most {size}."), size=size_in_words(most)), most=most
        )
    if body.removeprefix(BOM_UTF8).lstrip().startswith(b"{"):
        return list(
            csvio.read_json_lines([body], most=MOST_ITEMS, most_bytes=most, rows_in_words=_TOO_MANY)
        )
    return csvio.read(body, FIELDS, needed=FIELDS[:3], most=MOST_ITEMS, rows_in_words=_TOO_MANY)


def _clean(number: int, came: Any, currency: str) -> Item:
    line, raw = _parts(came)
    try:
        if not isinstance(raw, dict) or not _NEEDED <= raw.keys() <= set(FIELDS):
            raise Invalid(
                _(
                    "An item has an amount, a target, a justification and, if wanted, a "
                    "region; nothing else."
                ),
                code="item_invalid",
            )
        return Item(
            number,
            # Programs write amounts in one format; people, in CSV files, in several.
            amount=clean_amount(
                (amount_written if isinstance(came, CsvRow) else amount_sent)(raw["amount"]),
                currency,
            ),
            currency=currency,
            target=clean_payee(raw["target"]),
            justification=clean_text(
                raw["justification"], field="justification", limit=5000, multiline=True
            ),
            region=clean_region(_region(raw.get("region"))),
            line=line,
        )
    except DomainError as refusal:
        return _wrong(number, refusal, came)


def _judged(item: Item, policy: Policy, raw_items: Sequence[Any]) -> Item:
    assert item.amount is not None
    try:
        check_limit(policy, item.amount)
        check_region(policy, item.region)
    except DomainError as refusal:
        return _wrong(item.number, refusal, raw_items[item.number - 1])
    return item


def _wrong(number: int, refusal: DomainError, came: Any) -> Item:
    line, raw = _parts(came)
    kept = as_it_came(raw, most=RAW_LIMIT)
    return Item(number, code=refusal.code, detail=refusal.detail, raw=kept, line=line)


def _parts(came: Any) -> tuple[int, Any]:
    return (came.line, came.values) if isinstance(came, FileRow) else (0, came)


def _region(raw: Any) -> Any:
    """Return the region without blanks around it; None and blanks mean no region."""
    return raw.strip() if isinstance(raw, str) else "" if raw is None else raw
