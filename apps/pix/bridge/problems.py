"""What the directory's failures mean to us.

A refusal is the directory's own answer: it carries a Problem, and sending the same again would be
refused again. Everything else is an outage: for a write it is unknown whether it was done.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from apps.common.errors import DomainError, Unavailable
from apps.common.language import lazy as _
from apps.pix.bridge import directory_pb2 as pb

#: The directory's problem type → our code, and the status of our own answer that carries it.
CODES: dict[str, tuple[str, int]] = {
    "EntryInvalid": ("entry_invalid", 422),
    "EntryAlreadyExists": ("entry_already_exists", 409),
    "EntryKeyOwnedByDifferentPerson": ("entry_owned_by_different_person", 409),
    "EntryKeyInCustodyOfDifferentParticipant": ("entry_in_custody_of_different_participant", 409),
    "EntryLimitExceeded": ("entry_limit_exceeded", 409),
    "EntryLockedByClaim": ("entry_locked_by_claim", 409),
    "EntryBlocked": ("entry_blocked", 409),
    "EntryTaxIdNumberByDifferentOwner": ("entry_tax_id_of_different_owner", 409),
    "EntryCannotBeQueriedForBookTransfer": ("entry_not_for_book_transfer", 409),
    "EntryWithFraudRelatedRestriction": ("entry_restricted_for_fraud", 409),
    "UserOrAccountWithFraudRelatedRestriction": ("account_restricted_for_fraud", 409),
    "TaxIdNumberBlocked": ("tax_id_blocked", 409),
    "ParticipantInvalid": ("participant_invalid", 422),
    "ClaimInvalid": ("claim_invalid", 422),
    "ClaimKeyNotFound": ("claim_key_not_found", 409),
    "ClaimTypeInconsistent": ("claim_type_inconsistent", 422),
    "ClaimAlreadyExistsForKey": ("claim_already_exists_for_key", 409),
    "ClaimResultingEntryAlreadyExists": ("claim_resulting_entry_already_exists", 409),
    "ClaimOperationInvalid": ("claim_operation_invalid", 409),
    "ClaimResolutionPeriodNotEnded": ("claim_resolution_period_not_ended", 409),
    "ClaimCompletionPeriodNotEnded": ("claim_completion_period_not_ended", 409),
    "InvalidReason": ("reason_invalid", 422),
    "RequestIdAlreadyUsed": ("request_id_already_used", 409),
    "InfractionReportInvalid": ("infraction_invalid", 422),
    "InfractionReportOperationInvalid": ("infraction_operation_invalid", 409),
    "InfractionReportTransactionNotFound": ("infraction_transaction_not_found", 409),
    "InfractionReportTransactionNotSettled": ("infraction_transaction_not_settled", 409),
    "InfractionReportAlreadyBeingProcessedForTransaction": (
        *("infraction_already_being_processed", 409),
    ),
    "InfractionReportAlreadyProcessedForTransaction": ("infraction_already_processed", 409),
    "InfractionReportPeriodExpired": ("infraction_period_expired", 409),
    "BadRequest": ("directory_bad_request", 422),
    "RequestSignatureInvalid": ("directory_signature_invalid", 409),
    "Forbidden": ("directory_forbidden", 403),
    "NotFound": ("directory_not_found", 404),
    "Gone": ("directory_operation_gone", 409),
    "DeprecatedResource": ("directory_operation_gone", 409),
}
#: Of a refusal that this table does not know.
OTHER = ("directory_refused", 409)
#: 4xx that mean "later": nothing was decided. 409 is the directory's own conflict of resources.
LATER = frozenset({408, 409, 425, 429})
#: Of these the directory has said that it did nothing.
NOT_DONE = frozenset({409, 429})
#: A day: longer pauses are not believed.
LONGEST_PAUSE = 86_400.0
_MOST_TEXT = 500


@dataclass(frozen=True)
class Violation:
    """One field that the directory does not take, and why."""

    reason: str
    value: str
    property: str


class DirectoryRefused(DomainError):
    """The directory says no, and would say it again. `code`: a value of CODES, or of OTHER;
    `problem_type`: the directory's own word; `violations`: the fields that it names."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        violations: tuple[Violation, ...] = (),
        problem_type: str = "",
        status: int = 409,
    ) -> None:
        super().__init__(detail, code=code)
        self.status = status  # type: ignore[misc]
        self.violations = violations
        self.problem_type = problem_type


class DirectoryUnavailable(Unavailable):
    """The directory gave no answer that decides anything: to be tried again, after `retry_after`
    where it says so. `maybe_done`: a write may have been done all the same; what carries no
    request id is looked up before it is sent again."""

    code = "directory_unavailable"

    def __init__(
        self, detail: str, *, retry_after: timedelta | None = None, maybe_done: bool = True
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.maybe_done = maybe_done
        #: HTTP's, where the directory named one.
        self.problem_status = 0


def unreadable() -> DirectoryUnavailable:
    """An answer that is none of the directory's."""
    return DirectoryUnavailable(_("The directory's answer cannot be read."))


def failure(error: grpc.RpcError) -> DirectoryRefused | DirectoryUnavailable:
    """Return what a failed call means."""
    problem = _problem(error)
    if problem is None:
        return DirectoryUnavailable(_("The directory does not answer."))
    code, status = CODES.get(problem.type, OTHER)
    detail = _plain(problem.detail or problem.title or problem.type)
    refused = problem.type in CODES and problem.status < 500
    if refused or (400 <= problem.status < 500 and problem.status not in LATER):
        return DirectoryRefused(
            code,
            detail,
            status=status,
            problem_type=_plain(problem.type),
            violations=tuple(
                Violation(_plain(one.reason), _plain(one.value), _plain(one.property))
                for one in problem.violations
            ),
        )
    away = DirectoryUnavailable(
        detail or _("The directory does not answer."),
        retry_after=_pause(problem.retry_after),
        maybe_done=problem.status not in NOT_DONE,
    )
    away.problem_status = problem.status
    return away


def _problem(error: grpc.RpcError) -> pb.Problem | None:
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
    except (ValueError, DecodeError):
        # Details that do not belong to their status are not the bridge's.
        return None
    for detail in status.details if status else ():
        problem = pb.Problem()
        try:
            if detail.Unpack(problem):
                return problem
        except DecodeError:
            return None
    return None


def _pause(seconds: float) -> timedelta | None:
    if not seconds > 0:  # also what is no number
        return None
    return timedelta(seconds=min(seconds, LONGEST_PAUSE))


def _plain(text: str) -> str:
    """The directory's text on one line: it gets into rows and logs."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text))[:_MOST_TEXT]
