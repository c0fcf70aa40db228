"""People, and what tests of keys ask for."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts import throttle
from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User
from apps.notifications.models import Mail, Notification
from apps.pix.contracts import ClaimStatus, ClaimType, Origin, RulebookStatus
from apps.pix.contracts.entries import AccountGiven, OwnerGiven
from apps.pix.models import Claim, ClaimRulebook, Entry, EntryChange
from apps.pix.rulebooks.documents import SOURCE
from apps.pix.services import entries, entry_directory, entry_ending
from tests.directory import OTHER, OURS, SimulatedDirectory
from tests.pix.participants import participants

CPF, CNPJ = "11122233396", "11222333000181"
PHONE, EMAIL = "+5511987654321", "ana@example.com"


@dataclass
class Keys:
    """Everything that a test of keys starts from."""

    people: dict[str, User]

    @property
    def officer(self) -> User:
        return self.people["officer"]

    def body(self, **changes: Any) -> dict[str, Any]:
        """The arguments of the creation of João's CPF as a key."""
        account = {"participant": OURS, "branch": "0001", "number": "7654321", "type": "CACC"}
        owner = {"type": "NATURAL_PERSON", "tax_id": CPF, "name": "João Silva"}
        account |= changes.pop("account", {})
        owner |= changes.pop("owner", {})
        return {
            "key_type": "CPF",
            "key": CPF,
            "account": AccountGiven(**account),
            "owner": OwnerGiven(**owner),
            "by": self.officer,
            "via": "api",
            "as_of": timezone.now(),
            **changes,
        }

    def ask(self, **changes: Any) -> EntryChange:
        """A creation that was asked for."""
        change, new = entries.entry_create(**self.body(**changes))
        assert new
        return change

    def about(self, **changes: Any) -> dict[str, Any]:
        return {"by": self.officer, "via": "api", "as_of": timezone.now(), **changes}

    def carry(self, change: EntryChange) -> Entry:
        """Do what its workflow does."""
        entry_directory.change_send(change_id=change.pk)
        entry_ending.change_apply(change_id=change.pk, as_of=timezone.now())
        return Entry.objects.get(pk=change.entry_id)

    def active(self, **changes: Any) -> Entry:
        """A key that the directory has."""
        change = self.ask(**changes)
        if hasattr(change, "code"):
            EntryChange.objects.filter(pk=change.pk).update(status="running")
        return self.carry(change)

    def claim(self, entry: Entry, **columns: Any) -> Claim:
        """A claim of the key, which nobody has decided."""
        book, _ = ClaimRulebook.objects.get_or_create(
            code="source",
            defaults={"document": SOURCE, "digest": "0" * 64, "status": RulebookStatus.ACTIVE},
        )
        return Claim.objects.create(
            **{
                "claim_id": f"C-{Claim.objects.count() + 1}",
                "workflow_id": f"claim-{Claim.objects.count() + 1}",
                "claim_type": ClaimType.PORTABILITY,
                "entry_ref": entry.entry_id,
                "key_type": entry.key_type,
                "key": entry.key,
                "claimer_ispb": OTHER,
                "donor_ispb": entry.participant,
                "claimer_ours": True,
                "donor_ours": True,
                "branch": "",
                "account_number": "99",
                "account_type": "TRAN",
                "owner_type": entry.owner_type,
                "tax_id": entry.tax_id,
                "name": entry.name,
                "rulebook": book,
                "status": ClaimStatus.WAITING,
                "resolution_ends_at": timezone.now(),
                "origin": Origin.ENGINE,
                "request_digest": "",
                **columns,
            }
        )

    def code(self) -> str:
        """The newest code that was sent: to a mailbox, or to who asked for a phone's."""
        mail = Mail.objects.filter(kind="entry_change.code").order_by("-pk").first()
        told = Notification.objects.filter(kind="entry_change.code").order_by("-pk").first()
        text = mail.text if mail else told.title if told else ""
        return text[:6]


@pytest.fixture(autouse=True)
def _own_redis(settings: Any) -> None:
    """Counters and copies of this test alone."""
    settings.LIVE_PREFIX = f"test-{uuid4()}"
    throttle.reset()


@pytest.fixture
def keys(db: None, directory: SimulatedDirectory) -> Keys:
    participants()
    return Keys(demo_people_ensure())


@pytest.fixture
def shared_keys(transactional_db: None, directory: SimulatedDirectory) -> Keys:
    """As `keys`, committed: threads see it."""
    participants()
    return Keys(demo_people_ensure())


def at(**later: float) -> datetime:
    """So much later than now."""
    return timezone.now() + timedelta(**later)


def at_once(call: Callable[[int], Any], times: int) -> list[Any]:
    """Call it so often at the same moment; what each call returned."""
    together = threading.Barrier(times)

    def one(number: int) -> Any:
        together.wait()
        try:
            return call(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(one, range(times)))
