"""The feature store: what was paid to each target, append-only; the newest row is the value."""

from decimal import Decimal
from functools import partial

from django.db import connection, transaction

from apps.common.locks import transaction_lock
from apps.interventions.models import FeatureValue, Intervention
from apps.interventions.services.online_store import copy_end


def features_add(intervention: Intervention) -> None:
    """Add the execution to the target's features, once. Joins the caller's transaction, as its last
    statements: later ones would hold up everybody else who pays that target."""
    _append(intervention, [(n, d, f"{intervention.pk}:{n}") for n, d in _deltas(intervention)])


def features_revert(intervention: Intervention) -> bool:
    """Subtract the execution if it was added, once; return whether it was. Joins the caller's
    transaction."""
    lines = [(n, -d, f"{intervention.pk}:{n}") for n, d in _deltas(intervention)]
    keys = [key for _, _, key in lines]
    counted = set(FeatureValue.objects.filter(key__in=keys).values_list("key", flat=True))
    lines = [(n, d, f"{key}:reverted") for n, d, key in lines if key in counted]
    if lines:
        _append(intervention, lines)
    return bool(lines)


def _deltas(intervention: Intervention) -> list[tuple[str, Decimal]]:
    return [
        (f"paid_total_{intervention.currency.lower()}", intervention.amount),
        ("paid_count", Decimal(1)),
    ]


_APPEND = """
INSERT INTO interventions_featurevalue (entity, name, value, key, at)
SELECT %(entity)s, line.name,
       line.delta + COALESCE(
           (SELECT value FROM interventions_featurevalue
             WHERE entity = %(entity)s AND name = line.name ORDER BY id DESC LIMIT 1), 0),
       line.key, clock_timestamp()
  FROM unnest(%(names)s::text[], %(deltas)s::numeric[], %(keys)s::text[])
       AS line(name, delta, key)
ON CONFLICT (key) DO NOTHING
RETURNING id
"""


def _append(intervention: Intervention, lines: list[tuple[str, Decimal, str]]) -> None:
    names, deltas, keys = (list(column) for column in zip(*lines, strict=True))
    entity = intervention.target
    # A value follows from the one before, so concurrent calls for a target wait for each other.
    transaction_lock(f"feature:{entity}")
    with connection.cursor() as cursor:
        cursor.execute(_APPEND, {"entity": entity, "names": names, "deltas": deltas, "keys": keys})
        written = [row for (row,) in cursor.fetchall()]
    if written:
        transaction.on_commit(partial(copy_end, entity, row=max(written)), robust=True)
