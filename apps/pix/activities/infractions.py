"""Activities of infractions: fetch the input, call the service, return a contract. Their names are
those that other systems know."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from apps.engine.heartbeats import heartbeating
from apps.pix.contracts.infractions import (
    InfractionFacts,
    InfractionInput,
    OutsideInput,
    StartInput,
)
from apps.pix.services import (
    infraction_directory,
    infraction_opening,
    infraction_signals,
    infraction_telling,
    infraction_working,
)
from apps.pix.services.infraction_signing import SIGNED


@activity.defn(name="ValidateInfractionEligibilityActivity")
def validate_infraction(input: StartInput) -> None:
    """Refuse an input from outside that cannot become an infraction."""
    infraction_opening.infraction_validate(input=input.input)


@activity.defn(name="CreateInfractionActivity")
def create_infraction(input: StartInput) -> InfractionFacts:
    """Return the infraction of the input; make it if nobody has."""
    return infraction_opening.infraction_open(
        workflow_id=input.workflow_id, input=input.input, as_of=input.as_of
    )


@activity.defn(name="InvestigateInfractionActivity")
def investigate_infraction(input: InfractionInput) -> InfractionFacts:
    """Open the request that is open until the decision."""
    return SIGNED.open(input.row_id, workflow_id=input.workflow_id, as_of=input.as_of)


@activity.defn(name="NotifyReportedParticipantActivity")
def notify_reported_participant(input: InfractionInput) -> None:
    """Tell the people of the reported side, once."""
    infraction_telling.reported_tell(row_id=input.row_id)


# An exception raised in the thread could prevent writing down the directory's answer.
@activity.defn(name="NotifyBacenActivity", no_thread_cancel_exception=True)
def notify_bacen(input: InfractionInput) -> InfractionFacts:
    """Tell the directory what it is owed next."""
    return heartbeating(infraction_directory.directory_tell, row_id=input.row_id, as_of=input.as_of)


@activity.defn(name="GetInfractionStatusActivity")
def get_infraction_status(input: InfractionInput) -> InfractionFacts:
    """Return what the database knows of the infraction."""
    return infraction_opening.infraction_look(
        row_id=input.row_id, workflow_id=input.workflow_id, signals=input.signals
    )


@activity.defn(name="AddEvidenceActivity")
def add_evidence(input: OutsideInput) -> InfractionFacts:
    """Keep evidence that a signal brought."""
    return _outside(infraction_signals.evidence_take, input)


@activity.defn(name="ResolveInfractionActivity")
def resolve_infraction(input: OutsideInput) -> InfractionFacts:
    """Resolve it as a signal says, or have a person look at the signal."""
    return _outside(infraction_signals.decision_take, input)


@activity.defn(name="DismissInfractionActivity")
def dismiss_infraction(input: OutsideInput) -> InfractionFacts:
    """Dismiss it as a signal says, or have a person look at the signal."""
    return _outside(infraction_signals.decision_take, input)


@activity.defn(name="EscalateInfractionActivity")
def escalate_infraction(input: OutsideInput) -> InfractionFacts:
    """Escalate it because it is due, or as a signal says; a signal that says nothing is for a
    person to look at."""
    if input.key:
        return _outside(infraction_signals.decision_take, input)
    return infraction_working.infraction_escalate_due(row_id=input.row_id, as_of=input.as_of)


@activity.defn(name="PublishInfractionEventActivity")
def publish_infraction_event(input: InfractionInput) -> None:
    """Write the event of its status, if whoever changed it has not."""
    infraction_telling.event_publish(row_id=input.row_id, as_of=input.as_of)


def _outside(take: Callable[..., InfractionFacts], input: OutsideInput) -> InfractionFacts:
    return take(row_id=input.row_id, key=input.key, body=input.body, as_of=input.as_of)


ACTIVITIES: list[Callable[..., Any]] = [
    create_infraction,
    investigate_infraction,
    resolve_infraction,
    dismiss_infraction,
    escalate_infraction,
    add_evidence,
    get_infraction_status,
    validate_infraction,
    notify_reported_participant,
    notify_bacen,
    publish_infraction_event,
]
