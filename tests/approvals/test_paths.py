"""Every way to a decision, for everybody who must not take it: refused, and audited."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.approvals import selectors, services
from apps.approvals.models import ApprovalRequest, BulkDecision, Signature
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from tests.approvals.test_api import Api
from tests.approvals.world import (
    decide,
    delegated,
    edit,
    fresh,
    opened,
    permit,
    person,
    rule,
)

pytestmark = pytest.mark.django_db

CHANGELIST = "/admin/approvals/approvalrequest/"
REASON = "the papers are in order"


@dataclass
class Case:
    """One cell: somebody on one request; `behalf` is for whom they try to sign, if for anybody."""

    actor: User
    request: ApprovalRequest
    behalf: str = ""

    @property
    def seen(self) -> str:
        return selectors.current_payload(fresh(self.request)).hash


# --- paths: each tries to approve ----------------------------------------------------------------
def by_page(case: Case, **more: str) -> None:
    client = Client()
    client.force_login(case.actor)
    form = {"verdict": "approve", "reason": REASON, "payload_hash": case.seen, **more}
    client.post(
        f"/requests/{case.request.pk}/",
        {**form, "on_behalf_of": case.behalf or case.actor.username},
    )


def by_link(case: Case) -> None:
    client = Client()
    client.force_login(case.actor)
    before = Signature.objects.count()
    page = client.get(f"/requests/{case.request.pk}/?verdict=approve&from=email")
    # Scanners of mail open every link: looking at it decides nothing.
    assert page.status_code == 200
    assert Signature.objects.count() == before
    by_page(case, **{"from": "email"})


def by_api(case: Case) -> None:
    body = {"verdict": "approve", "reason": REASON, "payload_hash": case.seen}
    Api(case.actor).decide(case.request, **body, on_behalf_of=case.behalf or None)


def by_bulk(case: Case) -> None:
    item = {"id": str(case.request.pk), "payload_hash": case.seen}
    if case.behalf:
        item["on_behalf_of"] = case.behalf
    answer = Api(case.actor).post(
        "/bulk-decide", {"verdict": "approve", "reason": REASON, "items": [item]}
    )
    assert answer.status_code == 202, answer.content
    bulk = BulkDecision.objects.get(pk=answer.json()["id"])
    services.bulk_run(bulk_id=bulk.pk, workflow_id=bulk.workflow_id, limit=10, seconds=60.0)


def by_admin(case: Case) -> None:
    case.actor.is_staff = True
    case.actor.save(update_fields=["is_staff"])
    client = Client()
    client.force_login(case.actor)
    chosen = {"action": "approve", "_selected_action": [str(case.request.pk)]}
    page = client.post(CHANGELIST, chosen).content.decode()
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    assert fields["confirmed"] == "yes"
    client.post(CHANGELIST, {**fields, "reason": REASON})


def by_delegation(case: Case) -> None:
    """As the delegate of somebody who could sign; `case.behalf` when that is not the point."""
    try:
        decide(fresh(case.request), case.actor, on_behalf_of=case.behalf or "absent")
    except DomainError:
        pass


def by_signal(case: Case) -> None:
    """Straight to the waiting workflow, past this site: it wakes, and reads that nobody decided."""
    services.signals_judge(
        request_id=case.request.pk, commands=[f"approved-by-{case.actor.username}"]
    )


PATHS: dict[str, Callable[[Case], None]] = {
    "page": by_page,
    "API": by_api,
    "bulk": by_bulk,
    "admin": by_admin,
    "delegate": by_delegation,
    "e-mail link": by_link,
    "engine signal": by_signal,
}
VIA = {"API": "api", "delegate": "api", "e-mail link": "email", "engine signal": "engine"}


# --- people ---------------------------------------------------------------------------------------
def forbidden(number: str) -> dict[str, Case]:
    """A request that waits for one more signature by `first`, and who must not give it."""
    absent = User.objects.get(username="absent")
    requester = person(f"requester{number}", "first")
    editor = permit(person(f"editor{number}", "first"), "edit_approvalrequest")
    signer, proxy = person(f"signer{number}", "first"), person(f"proxy{number}", "second")
    request = edit(opened(requester), editor)
    decide(request, signer)
    for delegate in (requester, editor, signer):
        delegated(absent, delegate)
    delegated(requester, proxy)
    return {
        "requester": Case(requester, request),
        "editor": Case(editor, request),
        "earlier signer": Case(signer, request),
        "outsider": Case(person(f"outsider{number}", "second"), request),
        "delegate of the requester": Case(proxy, request, behalf=requester.username),
        "superuser": Case(person(f"root{number}", is_superuser=True), request),
    }


CODES = {
    "requester": {"requester_cannot_sign"},
    "editor": {"editor_cannot_sign"},
    "earlier signer": {"already_signed"},
    "outsider": {"not_in_group", "no_delegation"},
    # In the admin nobody says for whom: the person's own authority is what is refused there.
    "delegate of the requester": {"requester_cannot_sign", "not_in_group"},
    "superuser": {"not_in_group", "no_delegation"},
}


def refused_with(case: Case, path: str) -> str:
    """The code that the audit trail has for the try; fails unless there is exactly one."""
    tried = AuditEntry.objects.filter(subject_id=str(case.request.pk), outcome="refused")
    if path == "engine signal":
        entry = tried.get(
            action="approval.signal", body__command=f"approved-by-{case.actor.username}"
        )
    else:
        entry = tried.get(action="approval.decide", actor_id=case.actor.audit_id)
    assert entry.via == VIA.get(path, path)
    return entry.code


def test_on_every_path_everybody_who_must_not_sign_is_refused_and_audited_and_nobody_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rule([{"above": None, "tiers": [{"group": "first", "quorum": 2}]}])
    person("absent", "first")
    table: dict[str, dict[str, str]] = {}
    for number, (path, attempt) in enumerate(PATHS.items()):
        for who, case in forbidden(str(number)).items():
            attempt(case)
            table.setdefault(who, {})[path] = refused_with(case, path)
            # Before a decision and after it nothing is different but the record of the refusal.
            request = fresh(case.request)
            assert request.status == "open"
            assert [tier.signed for tier in selectors.tiers(request)] == [1]

        # Nothing else is refused.
        request = fresh(case.request)
        allowed = Case(person(f"reviewer{number}", "first"), request)
        if path == "delegate":
            allowed = Case(person(f"deputy{number}", "second"), request)
            delegated(User.objects.get(username="absent"), allowed.actor)
        attempt(allowed)
        if path == "engine signal":
            # Allowed is the signal of a decision that was made: ours, and not judged.
            decided = decide(request, allowed.actor)
            ours = f"approval:{request.pk}:settled"
            assert services.signals_judge(request_id=request.pk, commands=[ours]) == 0
        else:
            decided = fresh(request)
        table.setdefault("whose turn it is", {})[path] = decided.status
        signature = decided.signatures.get(actor=allowed.actor)
        via = "api" if path == "engine signal" else VIA.get(path, path)
        assert signature.via == via

    with capsys.disabled():
        print("\n" + printed(table))
    assert set(table) == {*CODES, "whose turn it is"}
    assert all(set(row) == set(PATHS) for row in table.values())
    assert set(table.pop("whose turn it is").values()) == {"approved"}
    for who, row in table.items():
        assert row.pop("engine signal") == "not_decided"
        assert set(row.values()) <= CODES[who], who


def printed(table: dict[str, dict[str, str]]) -> str:
    widths = {path: max(len(path), *(len(row[path]) for row in table.values())) for path in PATHS}
    first = max(map(len, table))
    lines = [" " * first + "  " + "  ".join(path.ljust(widths[path]) for path in PATHS)]
    for who, row in table.items():
        cells = "  ".join(row[path].ljust(widths[path]) for path in PATHS)
        lines.append(f"{who.ljust(first)}  {cells}")
    return "\n".join(line.rstrip() for line in lines)


def test_of_a_request_that_somebody_may_not_see_they_learn_nothing_and_the_try_is_audited() -> None:
    rule()
    request, stranger = opened(person("requester")), person("stranger")
    case = Case(stranger, request)
    client = Client()
    client.force_login(stranger)
    form = {"verdict": "approve", "reason": REASON, "payload_hash": case.seen}
    page = client.post(f"/requests/{request.pk}/", form)
    api = Api(stranger).decide(request, **form)
    assert (page.status_code, api.status_code) == (404, 404)
    assert json.loads(api.content)["code"] == "not_found"
    tried = AuditEntry.objects.filter(action="approval.decide", actor_id=stranger.audit_id)
    assert sorted(tried.values_list("via", "code")) == [("api", "not_found"), ("page", "not_found")]


def test_the_link_in_a_message_shows_and_preselects_and_the_form_says_where_it_came_from() -> None:
    rule()
    reviewer, request = person("reviewer", "first"), opened(person("requester"))
    client = Client()
    client.force_login(reviewer)
    page = client.get(f"/requests/{request.pk}/?verdict=reject&from=email").content.decode()
    assert re.search(r'value="reject"[^>]*checked', page)
    assert '<input type="hidden" name="from" value="email">' in page
    assert client.head(f"/requests/{request.pk}/?verdict=reject&from=email").status_code == 200
    assert fresh(request).status == "open"
    other = client.get(f"/requests/{request.pk}/?verdict=nonsense&from=nowhere").content.decode()
    assert not re.search(r'name="verdict"[^>]*checked', other) and 'name="from"' not in other
