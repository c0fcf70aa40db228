"""The requests of a bulk decision before it is made: what was ticked, and the tables of the
preview."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors.bulk import BulkLine
from apps.approvals.services.bulk import MOST_ITEMS, BulkChoice
from apps.common.errors import DomainError, Invalid
from apps.common.identifiers import number_of, uuid_of
from apps.common.language import lazy as _
from apps.web.fragments import person
from apps.web.refusals import Refusal, refusal_of
from apps.web.tables import Column, Table, table


@dataclass
class Picked:
    """The selected items of the preview, `request:hash:tier:authority`, and the chosen authorities.
    `refusal`: an item has an invalid authority or tier."""

    choices: list[BulkChoice] = field(default_factory=list)
    refusal: DomainError | None = None
    values: set[str] = field(default_factory=set)
    authorities: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: HttpRequest) -> "Picked":
        picked = cls()
        rows: list[tuple[UUID, str, str, str]] = []
        for value in request.POST.getlist("item")[: MOST_ITEMS + 1]:
            identifier, _unused, rest = value.partition(":")
            payload_hash, _unused, rest = rest.partition(":")
            tier, _unused, authority = rest.partition(":")
            for request_id in ids_of([identifier]):
                chosen = request.POST.get(f"authority-{request_id}") or authority
                picked.authorities[str(request_id)] = chosen
                picked.values.add(str(request_id))
                rows.append((request_id, payload_hash, tier, chosen))
        people = User.objects.in_bulk({number_of(key, digits=9) or 0 for *_unused, key in rows})
        for request_id, payload_hash, tier, key in rows:
            # Never fall back to another authority than the preview showed, such as the user's own
            # or a delegated one.
            under, number = people.get(number_of(key, digits=9) or 0), number_of(tier, digits=9)
            if under is None:
                picked.refusal = Invalid(
                    _("It does not say under whose authority to sign."), code="authority_invalid"
                )
            elif number is None:
                picked.refusal = Invalid(_("It does not say at which tier."), code="bad_tier")
            picked.choices.append(BulkChoice(request_id, payload_hash, under, number))
        return picked


def ids_of(texts: list[str]) -> list[UUID]:
    """Return the valid ids, each once, in order."""
    return list(dict.fromkeys(filter(None, map(uuid_of, texts))))


# --- tables ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PreviewRow:
    """A row of the preview. `chosen`: the authority that a form came back with. `why` the user
    cannot sign it, if so."""

    line: BulkLine
    checked: bool = True
    chosen: str | None = None
    why: Refusal | None = None

    @property
    def pk(self) -> UUID:
        return self.line.request.pk

    @property
    def single(self) -> User:
        return self.line.authorities[0]

    @property
    def item(self) -> str:
        """Return what the form sends of it: the request, bound to what the page shows of it."""
        return f"{self.pk}:{self.line.payload_hash}:{self.line.tier}:{self.single.pk}"

    @property
    def asked_by(self) -> object:
        return self.line.request.requested_by or gettext("the engine")


def _then(row: PreviewRow) -> str:
    return row.line.after or gettext("it is carried out")


_TITLE = Column(
    head=_("Request"),
    value="line.request.title",
    form="title",
    part="approvals/_bulk_title.html",
)
_AGE = Column(head=_("Age"), value="line.request.created_at", form="age")
_FOR = Column(head=_("For"), value="single", form="name", part="approvals/_bulk_for.html")
_AMOUNT = Column(
    head=_("Amount"), value="line.request.amount", form="amount", currency="line.request.currency"
)
_PICK = Column(head=_("Tick"), value="checked", form="pick", part="approvals/_bulk_pick.html")
_THEN = Column(head=_("Then"), value=_then, form="name", text=_("then {}"))
_OPEN = Column(head=_("Open"), value="pk", form="open", part="approvals/_bulk_open.html")
_WHY = Column(head=_("Why not"), value="why", form="why", part="approvals/_bulk_why.html")


def preview_table(request: HttpRequest, lines: Iterable[BulkLine], picked: Picked | None) -> Table:
    """Return the table of what the user can sign. `picked`: what a form came back with."""
    user = person(request)
    rows = [
        PreviewRow(
            line,
            checked=picked is None or str(line.request.pk) in picked.values,
            chosen=picked.authorities.get(str(line.request.pk)) if picked else None,
        )
        for line in lines
    ]
    # Who signs for others needs the room more than the age.
    for_others = any(len(row.line.authorities) > 1 or row.single.pk != user.pk for row in rows)
    between = (replace(_AGE, form="aside", part="approvals/_bulk_age.html"), _FOR)
    columns = (_PICK, _TITLE, *(between if for_others else (_AGE,)), _THEN, _AMOUNT, _OPEN)
    return _table(request, rows, columns, id="bulk-lines", caption=gettext("To be signed"))


def barred_table(request: HttpRequest, lines: Iterable[BulkLine]) -> Table:
    """Return the table of what the user cannot sign, with the reason of each."""
    rows = [PreviewRow(line, why=refusal_of(line.refusal)) for line in lines if line.refusal]
    return _table(
        request,
        rows,
        (_TITLE, _WHY, _AMOUNT),
        id="bulk-barred",
        caption=gettext("Not by you"),
        to=lambda row: reverse("request", args=[row.pk]),
    )


def _table(request: HttpRequest, rows: Any, columns: Any, **given: Any) -> Table:
    return table(
        request,
        rows,
        columns,
        order="",
        default="",
        address="",
        version=lambda row: "",
        **given,
    )
