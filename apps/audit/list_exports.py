"""Audits exports of lists (`apps.web.exports`)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.audit.services import entry_record
from apps.common.errors import TooMany
from apps.common.language import lazy as _
from apps.common.locks import transaction_lock
from apps.web.exports import EXPORTS_WITHIN, MOST_EXPORTS

if TYPE_CHECKING:
    from apps.accounts.models import User

BEGUN, ENDED = "list.export", "list.exported"


class ExportRecorder:
    """Writes the entries of exports of lists, and keeps a person from exporting without end."""

    def check(self, *, by: "User") -> None:
        """Raise TooMany `too_many_exports` if the person has begun so many lately."""
        since = timezone.now() - EXPORTS_WITHIN
        begun = AuditEntry.objects.filter(actor_id=by.audit_id, at__gt=since, action=BEGUN)
        if len(begun.order_by("-at")[:MOST_EXPORTS]) == MOST_EXPORTS:
            raise TooMany(
                _("You have exported many lists in the last minutes. Try again later."),
                code="too_many_exports",
                retry_after=int(EXPORTS_WITHIN.total_seconds()),
            )

    def begin(self, *, by: "User", name: str, body: Mapping[str, Any]) -> None:
        """Audit that the person exports the list; TooMany `too_many_exports`."""
        with transaction.atomic(durable=True):
            # Two at the same moment count each other.
            transaction_lock(f"exports:{by.audit_id}")
            self.check(by=by)
            self._record(BEGUN, by=by, name=name, body=body)

    def end(self, *, by: "User", name: str, body: Mapping[str, Any]) -> None:
        """Audit that the whole file was read, with its number of rows."""
        with transaction.atomic(durable=True):
            self._record(ENDED, by=by, name=name, body=body)

    def _record(self, action: str, *, by: "User", name: str, body: Mapping[str, Any]) -> None:
        entry_record(
            action=action, subject_type="list", subject_id=name, by=by, via="page", body=dict(body)
        )
