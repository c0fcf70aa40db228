"""Checks coded reasons, for forms, single decisions and bulk decisions alike."""

from collections.abc import Mapping

from apps.approvals import kinds
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import ApprovalKind
from apps.common.errors import Invalid
from apps.common.language import lazy as _


def reason_check(
    kind: ApprovalKind, verdict: Verdict, *, code: object, reason: str, text_required: bool
) -> str:
    """Return the code, or an empty text. `text_required`: the request's rule asks for a reason,
    which a code without `text_required` of its own satisfies.

    Raises Invalid `reason_code_unknown` for a code that the kind does not have for that verdict,
    `reason_code_required` (both with extra reason_codes, those to choose from), `reason_required`.
    """
    offered = kind.reasons_for(verdict)
    chosen = kind.reason(verdict, code)
    known = [one.code for one in offered]
    if chosen is None and code != "":
        raise Invalid(
            _("This decision has no such coded reason."),
            code="reason_code_unknown",
            reason_codes=known,
        )
    if chosen is None and offered and kind.reasons_required:
        raise Invalid(
            _("This decision needs one of the coded reasons."),
            code="reason_code_required",
            reason_codes=known,
        )
    if not reason and (chosen.text_required if chosen else text_required):
        raise Invalid(_("This decision needs a reason."), code="reason_required")
    return chosen.code if chosen else ""


def codes_check(
    names: set[str], verdict: Verdict, *, codes: Mapping[str, str], reason: str
) -> dict[str, str]:
    """Return the coded reason of each kind in `names` that has one in `codes`.

    Raises what `reason_check` raises, with extra kind; `reason_code_unknown` also for a kind that
    is not in `names`. Signing each request checks later whether its rule requires a text.
    """
    given = codes_given(codes)
    if set(given) - names:
        raise Invalid(_("A coded reason is for none of these."), code="reason_code_unknown")
    for name in sorted(names):
        kind = kinds.find(name)
        if kind is None:
            continue
        try:
            reason_check(
                kind, verdict, code=given.get(name, ""), reason=reason, text_required=False
            )
        except Invalid as error:
            error.extra["kind"] = name
            raise
    return given


def codes_given(codes: Mapping[str, str]) -> dict[str, str]:
    """Return the codes that are not empty, unchecked. Raises Invalid `reason_code_unknown` for what
    is not an object."""
    try:
        return {str(name): code for name, code in codes.items() if code != ""}
    except AttributeError:
        raise Invalid(_("Coded reasons are an object."), code="reason_code_unknown") from None
