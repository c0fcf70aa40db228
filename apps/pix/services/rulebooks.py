"""Rulebooks of claims: the versions that claims are opened under, and how two people change one."""

from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Max
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import Waiting
from apps.approvals.selectors import signed_payload
from apps.approvals.subject import Decided, SignedSubject, questions_close
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.locks import transaction_lock
from apps.common.validation import LONGEST_REASON, clean_text
from apps.engine import process
from apps.engine.process import SubjectRow
from apps.pix.contracts import RULEBOOK as SUBJECT
from apps.pix.contracts import RULEBOOK_KIND, RulebookStatus
from apps.pix.models import ClaimRulebook
from apps.pix.rulebooks.book import Rulebook
from apps.pix.rulebooks.documents import DOCUMENTS

CHANGE_PERMISSION = "pix.change_rulebook"
_LONGEST_CODE = 40

RULEBOOK: SubjectRow[ClaimRulebook] = SubjectRow(
    subject=SUBJECT,
    title=_("Rulebook of claims"),
    noun="rulebook",
    missing=_("There is no such rulebook."),
    opens=_("Open the rulebook"),
    model=ClaimRulebook,
    url_name="rulebook",
    list_topics=("rulebooks",),
)


# --- reading --------------------------------------------------------------------------------------
def rulebook_active(code: str = "") -> ClaimRulebook:
    """Return the version of the rulebook that claims are opened under now; without a code, of
    CLAIMS_RULEBOOK. The two that come with the product are made when they are first needed.

    Raises Invalid `rulebook_unknown`.
    """
    code = clean_code(code or settings.CLAIMS_RULEBOOK)
    rows = ClaimRulebook.objects.filter(code=code, status=RulebookStatus.ACTIVE)
    if found := rows.first():
        return found
    document = next((one for one in DOCUMENTS if one["code"] == code), None)
    if document is None or ClaimRulebook.objects.filter(code=code).exists():
        raise _unknown(code)
    Rulebook.parse(document)
    ClaimRulebook.objects.get_or_create(
        code=code,
        number=1,
        defaults={
            "document": document,
            "digest": digest(document),
            "status": RulebookStatus.ACTIVE,
        },
    )
    return rows.get()


def clean_code(code: object) -> str:
    """Return the code of a rulebook, which may not exist. Raises Invalid `rulebook_unknown`."""
    if not isinstance(code, str) or not code.isprintable() or len(code) > _LONGEST_CODE:
        raise _unknown(code)
    return code


def _unknown(code: object) -> Invalid:
    return Invalid(
        filled(_("There is no rulebook {code}."), code=ascii(code)[:40]), code="rulebook_unknown"
    )


@lru_cache(maxsize=64)
def _parsed(pk: UUID) -> Rulebook:
    return Rulebook.parse(ClaimRulebook.objects.values_list("document", flat=True).get(pk=pk))


def book_of(rulebook_id: UUID) -> Rulebook:
    """Return the rulebook of that version. Versions never change, so a process keeps those it
    used."""
    return _parsed(rulebook_id)


# --- changing it ----------------------------------------------------------------------------------
def rulebook_change(
    *,
    code: str,
    document: Any,
    reason: str,
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[ClaimRulebook, bool]:
    """Write the next version of a rulebook and ask for its signature; return it, and whether it is
    new. Claims that are open keep the version that they were opened under.

    Raises, each audited: NotAllowed `permission_denied`; Invalid `rulebook_invalid` (extra path),
    `rulebook_unknown`, `reason_required`, `reason_invalid`, `idempotency_key_invalid`; Conflict
    `rulebook_waits` (another version is unsigned), `rulebook_same`, `idempotency_key_reused`.
    """
    with process.audited(RULEBOOK, "change", code, by=by, via=via):
        if not by.has_perm(CHANGE_PERMISSION):
            raise NotAllowed(_("You may not write rulebooks."), code="permission_denied")
        code = clean_code(code)
        reason = clean_text(reason, field="reason", limit=LONGEST_REASON, multiline=True)

        def columns() -> dict[str, Any]:
            transaction_lock(f"{SUBJECT}:{code}")
            return _columns(code, document, reason)

        def made(row: ClaimRulebook) -> None:
            process.record(RULEBOOK, row, f"{SUBJECT}.written", by=by, via=via, number=row.number)
            SIGNED.ask(row, as_of=as_of)

        return process.ask_once(
            RULEBOOK,
            columns,
            made=made,
            by=by,
            key=idempotency_key,
            digest=digest([code, plain(document), reason]),
            as_of=as_of,
        )


def rulebook_withdraw(
    *, rulebook_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> ClaimRulebook:
    """Take back a version that nobody has signed; only who wrote it may.

    Raises, each audited: NotFound (also for who did not write it), Conflict `already_settled`
    (extra status), Invalid `reason_invalid`.
    """
    with process.acting(RULEBOOK, "withdraw", rulebook_id, by=by, via=via, reason=reason) as (
        row,
        why,
    ):
        process.check_unsettled(RULEBOOK, row)
        questions_close(RULEBOOK, row, by=by, reason=why, as_of=as_of)
        _rejected(row, Decided(by, via, as_of, "cancelled", why))
        return row


def _columns(code: str, document: Any, reason: str) -> dict[str, Any]:
    rows = ClaimRulebook.objects.filter(code=code)
    active = rulebook_active(code)
    if rows.filter(status=RulebookStatus.AWAITING_APPROVAL).exists():
        raise Conflict(
            _("Another version waits for its signature. Take it back first."),
            code="rulebook_waits",
        )
    number = (rows.aggregate(most=Max("number"))["most"] or 0) + 1
    if not isinstance(document, dict):
        raise Invalid(_("A rulebook is an object of JSON."), code="rulebook_invalid", path="")
    if document.get("code", code) != code:
        raise Invalid(
            _("The document is of another rulebook."), code="rulebook_invalid", path="code"
        )
    written = {**document, "code": code, "version": number}
    Rulebook.parse(written)
    if {**active.document, "version": number} == written:
        raise Conflict(_("Nothing is different."), code="rulebook_same")
    return {
        "code": code,
        "number": number,
        "document": written,
        "digest": digest(written),
        "reason": reason,
    }


def _payload(row: ClaimRulebook) -> dict[str, Any]:
    return {
        "rulebook": row.code,
        "number": row.number,
        "digest": row.digest,
        "reason": row.reason,
        "document": row.document,
    }


def _approved(row: ClaimRulebook, decided: Decided) -> None:
    if decided.request_id and signed_payload(decided.request_id) != _payload(row):
        raise Conflict(_("The row is not what was signed."), code="not_as_signed")
    transaction_lock(f"{SUBJECT}:{row.code}")
    for active in ClaimRulebook.objects.filter(code=row.code, status=RulebookStatus.ACTIVE):
        ended = process.ended(active, RulebookStatus.REPLACED, as_of=decided.as_of)
        process.save(RULEBOOK, active, *ended)
    row.status = RulebookStatus.ACTIVE
    process.save(RULEBOOK, row, "status")
    process.record(
        RULEBOOK, row, f"{SUBJECT}.active", by=decided.by, via=decided.via, number=row.number
    )


def _rejected(row: ClaimRulebook, decided: Decided) -> None:
    why = {"code": decided.code, "detail": decided.detail}
    ended = process.ended(row, RulebookStatus.REJECTED, as_of=decided.as_of, **why)
    process.save(RULEBOOK, row, *ended)
    process.record(RULEBOOK, row, f"{SUBJECT}.rejected", by=decided.by, via=decided.via, **why)


SIGNED: SignedSubject[ClaimRulebook, Waiting] = SignedSubject(
    row=RULEBOOK,
    kind=RULEBOOK_KIND,
    waits=frozenset({RulebookStatus.AWAITING_APPROVAL}),
    payload=_payload,
    on_approved=_approved,
    on_rejected=_rejected,
    title=lambda row: gettext("Rulebook {row}").format(row=row),
    amount=lambda row: None,
    related=("requested_by",),
)
