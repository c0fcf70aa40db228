"""The feature store: what was paid to a target so far, append-only; the newest row is the value."""

from decimal import Decimal

from django.db import connection

from apps.interventions.models import FeatureValue, Intervention


def features_add(intervention: Intervention) -> None:
    """Count the execution in the target's features, once. Joins the caller's transaction."""
    for name, delta in _deltas(intervention):
        _append(intervention, name, delta, key=f"{intervention.pk}:{name}")


def features_revert(intervention: Intervention) -> bool:
    """Take it out again where it was counted, once; whether it was. Joins."""
    reverted = False
    for name, delta in _deltas(intervention):
        key = f"{intervention.pk}:{name}"
        if FeatureValue.objects.filter(key=key).exists():
            _append(intervention, name, -delta, key=f"{key}:reverted")
            reverted = True
    return reverted


def _deltas(intervention: Intervention) -> list[tuple[str, Decimal]]:
    return [
        (f"paid_total_{intervention.currency.lower()}", intervention.amount),
        ("paid_count", Decimal(1)),
    ]


def _append(intervention: Intervention, name: str, delta: Decimal, *, key: str) -> None:
    with connection.cursor() as cursor:
        # A value follows from the one before it: two at once for one target wait for each other.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"feature:{intervention.target}:{name}"],
        )
    if FeatureValue.objects.filter(key=key).exists():
        return
    values = FeatureValue.objects.filter(entity=intervention.target, name=name)
    before = values.order_by("-id").values_list("value", flat=True).first() or Decimal(0)
    FeatureValue.objects.create(
        entity=intervention.target, name=name, value=before + delta, key=key
    )
