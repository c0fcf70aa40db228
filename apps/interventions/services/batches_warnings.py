"""Warnings about payments of a batch that look like another payment. Nothing is refused, because a
household may be paid the same every month. Requester and signers read the warnings, line by line,
before money moves; each sees only those about payments that they may see."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.core.cache import cache
from django.db.models import Exists, Max, OuterRef
from django.utils.translation import get_language, gettext

from apps.accounts.models import User
from apps.common.dates import day_words
from apps.common.windows import site_day
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Intervention, InterventionBatch, Outcome
from apps.interventions.models.interventions import InterventionQuerySet
from apps.interventions.services.batches_input import Item

#: How recent a payment must be for an equal one to get a warning.
RECENT = timedelta(days=30)
#: How many warnings are listed; all of them are counted.
MOST = 100
#: The longest time between a payment's timestamp and its commit.
UNSEEN = timedelta(minutes=1)
CACHE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class BatchWarning:
    """`code`: `same_in_batch` or `paid_recently`; `line` is 0 if the batch was not a file."""

    number: int
    line: int
    code: str
    detail: str

    @property
    def place(self) -> str:
        """Return the place in words: "Line 5", or "Payment 4"."""
        return _place(self.number, self.line)


@dataclass(frozen=True)
class Warned:
    """The first MOST warnings in the order of the payments, and their total number."""

    first: tuple[BatchWarning, ...] = ()
    total: int = 0


@dataclass(frozen=True)
class _Evaluation:
    """The result of checking all payments at `until`. `counted`: those of the payments within
    UNSEEN before it that were counted; `oldest`: the oldest counted payment."""

    warned: Warned
    until: datetime
    counted: frozenset[datetime]
    oldest: datetime | None


def items_warn(items: Iterable[Item], *, currency: str, by: User, as_of: datetime) -> Warned:
    """Check a list that `by` previews: payments equal in target and amount, and payments equal to
    one within RECENT that `by` may see. One query, for any length of the list."""
    return _evaluated(items, _visible(by).filter(currency=currency), as_of).warned


def batch_warn(batch: InterventionBatch, *, by: User, as_of: datetime) -> Warned:
    """Check a batch for a reader or signer: also against payments since it was requested, until it
    started. Leaves out its own payments and payments that `by` may not see.

    Caches the result per process and language, once for all users who see every payment, and once
    for each other user; computes it again, with two queries, only after an equal payment, or when a
    counted one is no longer recent. Until then each call is one query, for payments since.
    """
    until = batch.started_at or as_of
    everything = by.has_perm(InterventionQuerySet.view_permission)
    # The warnings are kept in the reader's words.
    key = f"batch-warned:{batch.pk}:{get_language()}" + ("" if everything else f":{by.pk}")
    visible = _visible(by)
    known: _Evaluation | None = cache.get(key)
    if known is None or not _still_right(known, batch, visible, until):
        rows = batch.items.filter(amount__isnull=False).order_by("number")
        columns = ("number", "amount", "target", "line")
        items = (Item(**row) for row in rows.values(*columns).iterator(chunk_size=2000))
        others = visible.filter(currency=batch.currency).exclude(batch=batch.pk)
        known = _evaluated(items, others, until)
        cache.set(key, known, CACHE_SECONDS)
    return known.warned


# --- helpers -------------------------------------------------------------------------------------
def _visible(by: User) -> InterventionQuerySet:
    return Intervention.objects.visible_to(by)


def _evaluated(items: Iterable[Item], others: InterventionQuerySet, until: datetime) -> _Evaluation:
    sound = [item for item in items if item.sound and item.amount is not None]
    lately = others.filter(
        # The condition on the status is that of the index.
        status=InterventionStatus.EXECUTED,
        settled_at__gt=until - RECENT,
        settled_at__lte=until,
        target__in={item.target for item in sound},
    )
    newest = lately.order_by().values("target", "amount").annotate(at=Max("settled_at"))
    paid: dict[tuple[str, Decimal | None], datetime] = {
        (row["target"], row["amount"]): row["at"] for row in newest
    }
    found: list[BatchWarning] = []
    counted: list[datetime] = []
    seen: dict[tuple[str, Decimal | None], Item] = {}
    for item in sound:
        like = (item.target, item.amount)
        if (first := seen.setdefault(like, item)) is not item:
            told = _same(first.number, first.line)
            found.append(BatchWarning(item.number, item.line, "same_in_batch", told))
        if at := paid.get(like):
            counted.append(at)
            told = gettext("The same target was paid the same amount on {day}.").format(
                day=day_words(site_day(at))
            )
            found.append(BatchWarning(item.number, item.line, "paid_recently", told))
    return _Evaluation(
        warned=Warned(tuple(found[:MOST]), len(found)),
        until=until,
        counted=frozenset(at for at in counted if at > until - UNSEEN),
        oldest=min(counted, default=None),
    )


def _still_right(
    known: _Evaluation, batch: InterventionBatch, visible: InterventionQuerySet, until: datetime
) -> bool:
    """Return whether checking all payments again would give the same result."""
    if until < known.until or (known.oldest and known.oldest <= until - RECENT):
        return False
    # The index of outcomes by time finds the later payments, without reading others.
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


def _same(number: int, line: int) -> str:
    return (
        gettext("The same target and amount as line {line}.").format(line=line)
        if line
        else gettext("The same target and amount as payment {number}.").format(number=number)
    )


def _place(number: int, line: int) -> str:
    return (
        gettext("Line {line}").format(line=line)
        if line
        else gettext("Payment {number}").format(number=number)
    )
