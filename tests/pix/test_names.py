"""The queue's name, its workflows and its activities are known to others: all of them, by name."""

from collections.abc import Iterable

from workers.registry import QUEUES


def names(text: str) -> list[str]:
    """One by one, whatever is between them."""
    return text.split()


SPEC = QUEUES["conn-dict-task-queue"]
WORKFLOWS = names(
    """
    ClaimWorkflow CreateEntryWorkflow UpdateEntryWorkflow DeleteEntryWorkflow
    InvestigateInfractionWorkflow VSyncWorkflow VSyncSchedulerWorkflow
    """
)
CLAIM = names(
    """
    CreateClaimActivity NotifyDonorActivity CompleteClaimActivity CancelClaimActivity
    ExpireClaimActivity GetClaimStatusActivity ValidateClaimEligibilityActivity
    SendClaimConfirmationActivity UpdateEntryOwnershipActivity PublishClaimEventActivity
    """
)
ENTRY = names(
    """
    CreateEntryActivity UpdateEntryActivity DeleteEntryActivity ActivateEntryActivity
    DeactivateEntryActivity GetEntryStatusActivity ValidateEntryActivity
    """
)
INFRACTION = names(
    """
    CreateInfractionActivity InvestigateInfractionActivity ResolveInfractionActivity
    DismissInfractionActivity EscalateInfractionActivity AddEvidenceActivity
    GetInfractionStatusActivity ValidateInfractionEligibilityActivity
    NotifyReportedParticipantActivity NotifyBacenActivity PublishInfractionEventActivity
    """
)
VSYNC = names("FetchBacenEntriesActivity CompareEntriesActivity GenerateSyncReportActivity")
ACTIVITIES = [*CLAIM, *ENTRY, *INFRACTION, *VSYNC]
#: Our own helpers, which nobody else calls, and the clock of requests.
OUR_OWN = {
    *("end_entry_change", "raise_entry_attention", "tick_request"),
    *("open_sync", "read_sync", "expire_sync", "fail_sync", "participants_to_sync"),
}


def served(kind: str, functions: Iterable[object]) -> list[str]:
    return [getattr(one, f"__temporal_{kind}_definition").name for one in functions]


def test_the_seven_workflows_are_served_by_their_names() -> None:
    assert len(WORKFLOWS) == len(set(WORKFLOWS)) == 7
    found = served("workflow", SPEC.workflows)
    assert sorted(found) == sorted(WORKFLOWS)


def test_the_thirty_one_activities_are_served_by_their_names() -> None:
    assert [len(one) for one in (CLAIM, ENTRY, INFRACTION, VSYNC)] == [10, 7, 11, 3]
    assert len(ACTIVITIES) == len(set(ACTIVITIES)) == 31
    found = served("activity", SPEC.activities)
    assert sorted(found) == sorted(set(ACTIVITIES) | OUR_OWN)
