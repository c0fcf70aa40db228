"""What the mirror knows of a row's workflows, for services that settle rows of ended ones."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Exists, OuterRef

from apps.engine.contracts import RunStatus
from apps.engine.process.recovery import reconcile
from apps.engine.process.spec import Process, R
from apps.engine.process.workflow import is_under_way
from apps.engine.selectors import runs_by_row, runs_of

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.engine.models import WorkflowRun

_NOT_CLOSED = (RunStatus.RUNNING, RunStatus.LOST)


def is_carried(process: Process[R], row: R, *, id_field: str = "") -> bool:
    """Return whether a workflow of the row runs according to the mirror, or is under way.

    `id_field`: the column with the id of the workflow that counts, once there is one.
    """
    running = _runs(process, row, id_field).filter(status=RunStatus.RUNNING)
    return running.exists() or is_under_way(process, row)


def reconcile_closed(
    process: Process[R],
    rows: "QuerySet[R]",
    settle: Callable[[UUID, "WorkflowRun"], str],
    *,
    id_field: str,
    limit: int,
) -> Counter[str]:
    """Settle those of `rows` whose workflow, named in the column `id_field`, is closed: `settle`
    gets the id and the newest run, in its own transaction (`reconcile`).

    Only ends that the mirror has confirmed count; rows of unknown workflows are left alone.
    """
    runs = runs_by_row(process.subject, workflow_id=OuterRef(id_field))
    closed = rows.filter(
        Exists(runs.filter(confirmed=True).exclude(status__in=_NOT_CLOSED)),
        ~Exists(runs.filter(status=RunStatus.RUNNING)),
    )

    def settle_one(pk: UUID) -> str:
        row = process.model._default_manager.get(pk=pk)
        run = _runs(process, row, id_field).first()
        return settle(pk, run) if run else "left"

    return reconcile(process, list(closed.values_list("pk", flat=True)[:limit]), settle_one)


def _runs(process: Process[R], row: R, id_field: str) -> "QuerySet[WorkflowRun]":
    runs = runs_of(process.subject, row.pk)
    workflow_id = getattr(row, id_field) if id_field else ""
    return runs.filter(workflow_id=workflow_id) if workflow_id else runs
