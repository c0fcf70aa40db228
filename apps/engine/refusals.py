"""Audits inputs that workers refused: each once, and a limited number per run."""

from django.db import transaction

from apps.audit import services as audit
from apps.audit.chain import clean_text
from apps.audit.contracts import Outcome
from apps.audit.selectors import entries_about
from apps.common import correlation
from apps.common.locks import transaction_lock
from apps.engine import subjects
from apps.engine.contracts import CommandKind, RefusedInput
from apps.engine.models import EngineCommand

ACTION = "engine.input_refused"
#: The most entries per run. The last one says that no more follow.
MOST_OF_A_RUN = 20


def input_refused(refused: RefusedInput) -> bool:
    """Audit the refusal about the workflow's row; return whether an entry was written. Opens the
    outermost transaction.

    Written once, also if a replay or another worker reports it again; not at all when the run has
    `MOST_OF_A_RUN` entries. The entry has the handler's name and the reason, never the input.
    """
    with (
        correlation.correlated(refused.workflow_id[:80]),
        transaction.atomic(durable=True),
    ):
        # Serialise reports of the same run by two workers.
        transaction_lock(f"input_refused:{refused.run_id}")
        subject_type, subject_id = _subject(refused.workflow_id)
        earlier = list(
            entries_about((subject_type, subject_id))
            .filter(action=ACTION, body__run_id=refused.run_id)
            .values_list("body__key", flat=True)[:MOST_OF_A_RUN]
        )
        body = _body(refused)
        if body["key"] in earlier or len(earlier) == MOST_OF_A_RUN:
            return False
        if len(earlier) == MOST_OF_A_RUN - 1:
            body["further"] = "Further refusals of this run are not recorded."
        audit.entry_record(
            action=ACTION,
            subject_type=subject_type,
            subject_id=subject_id,
            # Every client of Temporal can send anything, and chooses its own identity.
            by=None,
            via="engine",
            outcome=Outcome.REFUSED,
            code=refused.code,
            body=body,
        )
    return True


def _body(refused: RefusedInput) -> dict[str, object]:
    return {
        "key": clean_text(refused.key)[:300],
        "workflow_id": refused.workflow_id[:300],
        "run_id": refused.run_id,
        "workflow_type": refused.workflow_type[:100],
        "what": refused.what,
        "name": refused.name[:100],
        "event": refused.event,
        "identity": refused.identity[:100],
        "detail": refused.detail[:300],
    }


def _subject(workflow_id: str) -> tuple[str, str]:
    """Return the workflow's subject: by the command that started it, else by the subjects' own
    rules."""
    workflow_id = clean_text(workflow_id)
    started = EngineCommand.objects.filter(workflow_id=workflow_id, kind=CommandKind.START)
    row = started.order_by("-id").values_list("subject_type", "subject_id").first()
    if row is None:
        row = subjects.identify_many([workflow_id]).get(workflow_id)
    # Cut as the audit trail does: a longer id would never be found again.
    return row if row and row[0] else ("workflow", workflow_id[:80])
