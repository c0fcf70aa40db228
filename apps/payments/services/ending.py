"""What the engine asks of the row of an event or a batch: start it again, or note that it can never
be started."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from apps.common.identifiers import uuid_of
from apps.engine import process
from apps.payments.contracts import BatchState, Stage
from apps.payments.models import Intake, PaymentBatch
from apps.payments.services import admission, batches, carrying

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand


def event_restart(identifier: str) -> None:
    """Start the workflow of an open event again."""
    if identifier.isdecimal():
        admission.event_start_again(intake_id=int(identifier))


def event_undeliverable(command: "EngineCommand") -> None:
    """Quarantine an event whose workflow can never be started. Joins the caller's transaction."""
    if not command.subject_id.isdecimal():
        return
    row = Intake.objects.filter(pk=int(command.subject_id)).first()
    if row is not None:
        carrying.open_event_end(
            event_id=row.event_id,
            stage=Stage.ENGINE,
            code="workflow_undeliverable",
            detail=process.why_undeliverable(command),
        )


def events_ended(identifiers: Sequence[str]) -> Collection[str]:
    """Return the events whose start commands are not needed any more."""
    keys = {one: int(one) for one in identifiers if one.isdecimal()}
    open_rows = set(
        Intake.objects.filter(pk__in=keys.values(), done_at=None).values_list("pk", flat=True)
    )
    return [one for one in identifiers if keys.get(one) not in open_rows]


def batch_restart(identifier: str) -> None:
    """Let the events of an open batch be admitted again."""
    batches.batch_release(batch_id=identifier, alone=False)


def batch_undeliverable(command: "EngineCommand") -> None:
    """Let the events of a batch go whose workflow can never be started. Joins the caller's
    transaction."""
    pk = uuid_of(command.subject_id)
    if pk is not None and PaymentBatch.objects.filter(pk=pk).exists():
        batches.open_batch_release(batch_id=command.subject_id, alone=False)


def batches_ended(identifiers: Sequence[str]) -> Collection[str]:
    """Return the batches whose start commands are not needed any more."""
    pks = [pk for pk in map(uuid_of, identifiers) if pk is not None]
    open_rows = PaymentBatch.objects.filter(pk__in=pks, state=BatchState.OPEN)
    still = {str(pk) for pk in open_rows.values_list("pk", flat=True)}
    return [one for one in identifiers if one not in still]
