"""What is signed, for a request's page: in words, and as the text that the hash covers."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from apps.approvals import kinds, selectors
from apps.approvals.models import ApprovalRequest
from apps.approvals.rules import hash_of, signed_document
from apps.approvals.signed_words import Form, Said, difference_in_words
from apps.web.denied import row_of
from apps.web.fragments import person

#: A longer document is not shown on the page, only offered as a file.
MOST_SHOWN = 20_000


@dataclass(frozen=True)
class SignedView:
    """What is signed. `document` is the text that `hash` covers, empty if it is too long to show;
    `name` is its file's. `rule` is signed with the payload. `sound`: the hash fits; if not,
    somebody changed what is stored."""

    said: list[Said]
    document: str
    hash: str
    name: str
    sound: bool
    rule: str

    @property
    def amounts(self) -> list[Said]:
        """Return the amounts, which the page shows large."""
        return [line for line in self.said if line.form == Form.AMOUNT]

    @property
    def lines(self) -> list[Said]:
        """Return short and long texts, in the domain's order."""
        return [line for line in self.said if line.form in {Form.LINE, Form.PROSE}]

    @property
    def tables(self) -> list[Said]:
        """Return lists of rows, such as a batch's payments."""
        return [line for line in self.said if line.form == Form.TABLE]

    @property
    def references(self) -> list[Said]:
        """Return identifiers."""
        return [line for line in self.said if line.form == Form.REFERENCE]

    @property
    def has_amount(self) -> bool:
        """Return whether an amount is signed."""
        return bool(self.amounts) or any("amount" in line.fields for line in self.said)


@login_required
@require_GET
def request_signed(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Download the text that the hash covers, byte for byte, for those who may see the request."""
    visible = ApprovalRequest.objects.visible_to(person(request)).for_detail()
    approval = row_of(visible, pk=request_id)
    answer = HttpResponse(_document(approval), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="{_name(approval)}"'
    return answer


def view(approval: ApprovalRequest) -> SignedView:
    """Return what is signed now, of a request read `for_detail`."""
    payload = selectors.current_payload(approval)
    document = _document(approval)
    return SignedView(
        said=kinds.words_of(approval)(payload.payload),
        document=document if len(document) <= MOST_SHOWN else "",
        hash=payload.hash,
        name=_name(approval),
        sound=hash_of(document) == payload.hash,
        rule=_rule(approval),
    )


def edits(approval: ApprovalRequest) -> list[dict[str, Any]]:
    """Return each version after the first with its changes in words, newest first."""
    versions = sorted(approval.payloads.all(), key=lambda version: version.number)
    if len(versions) < 2:
        return []
    words = kinds.words_of(approval)
    return [
        {"version": new, "difference": difference_in_words(words, old.payload, new.payload)}
        for old, new in pairwise(versions)
    ][::-1]


def difference_since(approval: ApprovalRequest, seen: str) -> list[dict[str, str]] | None:
    """Return in words what changed since the version with the hash `seen`; None if there is no
    such version."""
    versions = {version.hash: version.payload for version in approval.payloads.all()}
    if seen not in versions:
        return None
    now = selectors.current_payload(approval).payload
    return difference_in_words(kinds.words_of(approval), versions[seen], now)


def _document(approval: ApprovalRequest) -> str:
    payload = selectors.current_payload(approval)
    return signed_document(payload.payload, rule=approval.rule)


def _rule(approval: ApprovalRequest) -> str:
    rule = approval.rule
    if rule is None:
        return gettext("none: the kind’s default")
    return gettext("{title_of}, {scope}, version {version}").format(
        title_of=kinds.title_of(rule.kind),
        scope=rule.scope or gettext("all of them"),
        version=rule.version,
    )


def _name(approval: ApprovalRequest) -> str:
    return f"signed-{approval.pk}-v{approval.payload_number}.json"
