"""Form fields for the coded reasons of verdicts, shared by every form that decides."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext

from apps.approvals import kinds
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import ApprovalKind
from apps.approvals.reasons import reason_check
from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.common.lists_in_words import all_of


class CodedForm(forms.Form):
    """Adds a select for each kind and verdict that has coded reasons, beside the field `reason`.

    Each verdict has its own fields, so that a choice made for the other verdict is not submitted.
    `names` are the kinds in question. `verdict`: the form's only verdict, if it does not ask for
    one.
    """

    def __init__(
        self, *args: Any, names: Iterable[str], verdict: Verdict | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        found = (kinds.find(name) for name in sorted(set(names)))
        self.kinds: list[ApprovalKind] = [kind for kind in found if kind]
        self._verdict = verdict
        coded = [kind for kind in self.kinds if kind.reasons]
        for kind in coded:
            for one in [verdict] if verdict else Verdict:
                if kind.reasons_for(one):
                    self.fields[_name(kind, one)] = _field(kind, one, many=len(coded) > 1)
        self.order_fields([bound.name for _, bound in self.coded])

    @property
    def coded(self) -> list[tuple[Verdict, forms.BoundField]]:
        """Return the select fields, each with its verdict."""
        return [
            (one, self[_name(kind, one)])
            for one in Verdict
            for kind in self.kinds
            if _name(kind, one) in self.fields
        ]

    @property
    def codes(self) -> dict[str, str]:
        """Return the chosen coded reason by kind, for the chosen verdict."""
        verdict = self._verdict or self.cleaned_data.get("verdict", "")
        found = {kind.name: self.cleaned_data.get(_name(kind, verdict)) for kind in self.kinds}
        return {name: code for name, code in found.items() if code}

    def codes_clean(self, *, names: Iterable[str], text_required: bool, why: str = "") -> None:
        """Add the refusals of the decision as errors of their fields, for the kinds in `names`.
        `why`: the message for a missing reason."""
        verdict = self._verdict or self.cleaned_data.get("verdict", "")
        kind_names = set(names)
        for kind in self.kinds if verdict else ():
            place = _name(kind, verdict)
            if kind.name not in kind_names or place in self.errors:
                continue
            try:
                reason_check(
                    kind,
                    Verdict(verdict),
                    code=self.cleaned_data.get(place, ""),
                    reason=self.cleaned_data.get("reason", ""),
                    text_required=text_required,
                )
            except Invalid as error:
                of_text = error.code == "reason_required"
                if not (of_text and "reason" in self.errors):
                    words = why if of_text and why else error.detail
                    self.add_error("reason" if of_text else place, words)


def _name(kind: ApprovalKind, verdict: str) -> str:
    return f"reason_code-{verdict}-{kind.name}"


_GROUNDS = {
    (Verdict.APPROVE, False): _("Grounds to approve"),
    (Verdict.REJECT, False): _("Grounds to reject"),
    (Verdict.APPROVE, True): _("Grounds to approve: {kind}"),
    (Verdict.REJECT, True): _("Grounds to reject: {kind}"),
}


def _field(kind: ApprovalKind, verdict: Verdict, *, many: bool) -> forms.ChoiceField:
    offered = kind.reasons_for(verdict)
    nothing = gettext("Choose one") if kind.reasons_required else gettext("None of these")
    more = [one.label for one in offered if one.text_required]
    return forms.ChoiceField(
        required=False,
        choices=[("", nothing), *((one.code, one.label) for one in offered)],
        label=_GROUNDS[verdict, many].format(kind=kind.title),
        help_text=gettext("Stands for a reason in words, except {labels}.").format(
            labels=all_of(more)
        )
        if more
        else gettext("Stands for a reason in words."),
        error_messages={"invalid_choice": gettext("Choose one of these.")},
        widget=forms.Select(attrs={"aria-required": "true"} if kind.reasons_required else {}),
    )
