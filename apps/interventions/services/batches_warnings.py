"""Payments of a batch that look like another one. Nothing is refused for it: a household is paid
the same every month. Who asks and who signs read it, line by line, before money moves: each of them
is told of the payments that they may see, never of somebody else's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.core.cache import cache
from django.db.models import Exists, F, Max, Min, OuterRef, Subquery, Window
from django.utils.timezone import localtime

from apps.accounts.models import User
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Intervention, InterventionBatch, Outcome
from apps.interventions.models.interventions import InterventionQuerySet
from apps.interventions.services.batches_input import Item

#: Paid so lately, the same to the same is worth a question.
RECENT = timedelta(days=30)
#: So many are told one by one; all of them are counted.
MOST = 100
#: A payment bears a time at most that long before others can see it.
UNSEEN = timedelta(minutes=1)
CACHE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class BatchWarning:
    """`code`: `same_in_batch` or `paid_recently`; `line` is 0 where the batch was no file."""

    number: int
    line: int
    code: str
    detail: str

    @property
    def place(self) -> str:
        """Where it stands, in words: "Line 5", or "Payment 4"."""
        return _place(self.number, self.line)


@dataclass(frozen=True)
class Warned:
    """The first MOST warnings in the order of the payments, and how many there are."""

    first: tuple[BatchWarning, ...] = ()
    total: int = 0


@dataclass(frozen=True)
class _Evaluation:
    """What a look at all payments of a batch came to at `until`. `counted`: of those paid within
    UNSEEN before it, the ones that are in it; `oldest` of all that are."""

    warned: Warned
    until: datetime
    counted: frozenset[datetime]
    oldest: datetime | None


def items_warn(items: Iterable[Item], *, currency: str, by: User, as_of: datetime) -> Warned:
    """Of a list that `by` tries out: payments alike in target and amount, and those like one that
    was paid within RECENT and is visible to them. One query, however long the list."""
    sound = [item for item in items if item.sound and item.amount is not None]
    paid = _paid(_seen_by(by), {item.target for item in sound}, currency=currency, as_of=as_of)
    found: list[BatchWarning] = []
    seen: dict[tuple[str, Decimal], Item] = {}
    for item in sound:
        assert item.amount is not None
        key = (item.target, item.amount)
        if (first := seen.setdefault(key, item)) is not item:
            found.append(_same(item.number, item.line, first.number, first.line))
        if at := paid.get(key):
            found.append(_recent(item.number, item.line, at))
    return Warned(tuple(found[:MOST]), len(found))


def batch_warn(batch: InterventionBatch, *, by: User, as_of: datetime) -> Warned:
    """The same of a batch, for who reads or signs it: also what was paid since it was asked for,
    until it began. Its own payments are none of those, nor are payments that `by` may not see.

    All of its payments are read once a process for everybody who sees every payment, and once for
    each of the others, with two queries; again only after one like them
    was paid, or when one that counted is no longer recent. Until then a look is one query, for
    what was paid since.
    """
    until = batch.started_at or as_of
    everything = by.has_perm(InterventionQuerySet.view_permission)
    key = f"batch-warned:{batch.pk}" + ("" if everything else f":{by.pk}")
    visible = _seen_by(by)
    known: _Evaluation | None = cache.get(key)
    if known is None or not _still_right(known, batch, visible, until):
        known = _evaluated(batch, visible, until)
        cache.set(key, known, CACHE_SECONDS)
    return known.warned


def _seen_by(by: User) -> InterventionQuerySet:
    return Intervention.objects.visible_to(by)


def _evaluated(
    batch: InterventionBatch, visible: InterventionQuerySet, until: datetime
) -> _Evaluation:
    like = visible.filter(
        target=OuterRef("target"), amount=OuterRef("amount"), currency=batch.currency
    ).exclude(batch=batch.pk)
    rows = batch.items.filter(amount__isnull=False)
    recent = list(
        rows.annotate(paid_at=Subquery(_recently(like, until).values("settled_at")[:1]))
        .filter(paid_at__isnull=False)
        .values_list("number", "line", "paid_at")
    )
    alike = Window(Min("number"), partition_by=["target", "amount"])
    same = (
        rows.annotate(
            first=alike, first_line=Window(Min("line"), partition_by=["target", "amount"])
        )
        .filter(first__lt=F("number"))
        .values_list("number", "line", "first", "first_line")
    )
    found = [_same(*row) for row in same] + [_recent(*row) for row in recent]
    # Per payment, first what it repeats in the file.
    found.sort(key=lambda one: (one.number, one.code == "paid_recently"))
    paid = [paid_at for _, _, paid_at in recent]
    return _Evaluation(
        warned=Warned(tuple(found[:MOST]), len(found)),
        until=until,
        counted=frozenset(at for at in paid if at > until - UNSEEN),
        oldest=min(paid, default=None),
    )


def _still_right(
    known: _Evaluation, batch: InterventionBatch, visible: InterventionQuerySet, until: datetime
) -> bool:
    """Whether a look at all of the payments would come to the same."""
    if until < known.until or (known.oldest and known.oldest <= until - RECENT):
        return False
    # The index of outcomes by time leads to what was paid since, and nothing else is read.
    since = Outcome.objects.filter(
        at__gt=known.until - UNSEEN,
        at__lte=until,
        status=InterventionStatus.EXECUTED,
        intervention__currency=batch.currency,
    ).exclude(intervention__batch=batch.pk)
    like = batch.items.filter(
        target=OuterRef("intervention__target"), amount=OuterRef("intervention__amount")
    )
    fresh = since.filter(Exists(like)).exclude(at__in=known.counted)
    return not visible.filter(pk__in=fresh.values("intervention")).exists()


def _paid(
    visible: InterventionQuerySet, targets: set[str], *, currency: str, as_of: datetime
) -> dict[tuple[str, Decimal], datetime]:
    """When each of them was last paid which amount, within RECENT."""
    rows = visible.filter(target__in=targets, currency=currency)
    lately = _recently(rows, as_of).order_by().values("target", "amount")
    found = lately.annotate(at=Max("settled_at")).values_list("target", "amount", "at")
    return {(target, amount): at for target, amount, at in found}


def _recently(rows: InterventionQuerySet, until: datetime) -> InterventionQuerySet:
    # The condition on the status is the index's own.
    return rows.filter(
        status=InterventionStatus.EXECUTED, settled_at__gt=until - RECENT, settled_at__lte=until
    ).order_by("-settled_at")


def _same(number: int, line: int, first: int, first_line: int) -> BatchWarning:
    detail = f"The same target and amount as {_place(first, first_line).lower()}."
    return BatchWarning(number, line, "same_in_batch", detail)


def _recent(number: int, line: int, at: datetime) -> BatchWarning:
    detail = f"The same target was paid the same amount on {localtime(at):%-d %b %Y}."
    return BatchWarning(number, line, "paid_recently", detail)


def _place(number: int, line: int) -> str:
    return f"Line {line}" if line else f"Payment {number}"
