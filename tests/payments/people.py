"""People of the quarantine, and what they do."""

import json
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.services import request_decide
from apps.payments.models import QuarantinedEvent, QuarantineEdit
from apps.payments.services import edits


@dataclass(frozen=True)
class People:
    """Who edits, who signs, who may do all, and who only reads."""

    corrector: User
    releaser: User
    admin: User
    auditor: User

    def edit(self, row: QuarantinedEvent, document: Any, **given: Any) -> QuarantineEdit:
        text = document if isinstance(document, str) else json.dumps(document)
        about: dict[str, Any] = {
            "row_id": row.pk,
            "text": text,
            "reason": "The sender has confirmed it.",
            "by": self.corrector,
            "via": "api",
            "as_of": timezone.now(),
        }
        edit, _ = edits.edit_ask(**about | given)
        return edit

    def sign(
        self,
        edit: QuarantineEdit,
        verdict: str = "approve",
        by: User | None = None,
        reason: str = "Compared with the provider.",
    ) -> QuarantineEdit:
        request = edits.edit_approval(edit)
        assert request is not None
        request_decide(
            request_id=request.pk,
            by=by or self.releaser,
            verdict=verdict,
            reason=reason,
            payload_hash=request.payloads.get().hash,
            via="api",
            as_of=timezone.now(),
        )
        edit.refresh_from_db()
        return edit
