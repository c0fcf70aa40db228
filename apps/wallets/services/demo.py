"""The demo's riders and what is in their wallets. Idempotent by ids and keys.

The data are a table, `apps/wallets/demo/riders.csv`. Outside checks rely on the balance that
`demo-rider` opens with.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.accounts.demo_users import SEEDER
from apps.accounts.models import User
from apps.wallets.contracts import AccountKind, JournalKind
from apps.wallets.services.accounts import system_account, wallet_account
from apps.wallets.services.ledger import post
from apps.wallets.services.riders import RIDER_SUBJECT, rider_put
from apps.web.demo import table


def wallets_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress."""
    riders: list[dict[str, Any]] = table("wallets", "riders", dict, opening=Decimal)
    for rider in riders:
        _rider(**rider)
    yield f"{len(riders)} riders with their wallets"


def _rider(user_id: str, name: str, email: str, currency: str, opening: Decimal) -> None:
    now = timezone.now()
    rider_put(
        user_id=user_id,
        name=name,
        email=email,
        currency=currency,
        by=SEEDER,
        via="command",
        as_of=now,
    )
    if opening:
        post(
            key=f"demo:{user_id}:opening",
            kind=JournalKind.ADJUSTMENT,
            currency=currency,
            lines={
                system_account(AccountKind.ADJUSTMENT, currency): opening,
                wallet_account(user_id): -opening,
            },
            subject_type=RIDER_SUBJECT,
            subject_id=user_id,
            as_of=now,
            note="Opening balance of the demo.",
        )
