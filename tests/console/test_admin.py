"""The admin: every model is there, rows that services own cannot be changed, verbs ask first."""

import json
import re
from html import unescape

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import APIKey, User
from apps.accounts.services import api_key_create
from apps.approvals.models import ApprovalRequest, ApprovalRule
from apps.approvals.services import rule_put
from apps.audit.models import AuditEntry
from apps.engine.models import EngineCommand, WorkflowSchedule
from apps.interventions.models import Budget, Intervention, Policy
from apps.web.admin import BaseAdmin, EstimatedPaginator
from tests.console.conftest import AsPerson, ask_to_sign
from tests.interventions.conftest import World
from tests.support import FULL_SIZE

OURS = [
    model
    for model in apps.get_models()
    if model.__module__.startswith("apps.")
    # Kept by machines for machines: row history, the sealer's queue, the sweeper's place, sums of
    # content ids and the bytes of their files.
    and not model._meta.object_name.endswith("Event")
    and model._meta.object_name not in {"AuditPending", "EngineMark", "SyncBucket", "SyncChunk"}
]
LABELS = [model._meta.label_lower for model in OURS]
OPEN = {"accounts.user"}


def text(response: object) -> str:
    return unescape(response.content.decode())  # type: ignore[attr-defined]


def list_of(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


@pytest.mark.parametrize("label", LABELS)
def test_every_model_has_a_list_that_uses_the_shared_base(label: str) -> None:
    model = apps.get_model(label)
    model_admin = admin.site._registry[model]
    assert isinstance(model_admin, BaseAdmin)
    assert model_admin.show_full_result_count is False
    assert model_admin.paginator is EstimatedPaginator


#: What nobody means, of an address.
BAD_QUERIES: tuple[dict[str, str], ...] = (
    {"q": "\x00"},
    {"q": "x" * 5000},
    {"status__exact": "\x00"},
    {"\x00": "1"},
    {"id__exact": "9" * 40},
    {"p": "999999999999"},
    {"o": "\x00"},
    {"created_at__gte": "never"},
)


def _some_of(label: str) -> list[dict[str, str]]:
    """Three of BAD_QUERIES, others for the next list: all lists have the same base. `make large`
    asks each for all of them."""
    first = LABELS.index(label)
    return [BAD_QUERIES[(first + 3 * step) % len(BAD_QUERIES)] for step in range(3)]


@pytest.mark.parametrize("label", LABELS)
def test_every_list_opens_searches_and_survives_bad_input(
    label: str, world: World, as_person: AsPerson
) -> None:
    ask_to_sign(world)
    world.finish(world.ask())
    client = as_person("admin")
    address = list_of(label)
    assert client.get(address).status_code == 200
    assert client.get(address, {"q": "nothing-like-this"}).status_code == 200
    led_to: set[str] = set()
    for query in BAD_QUERIES if FULL_SIZE else _some_of(label):
        response = client.get(address, query)
        if response.status_code == 302:
            # Most lead to the same page: it is made once.
            led_to.add(response["Location"])
        else:
            assert response.status_code == 200, query
    for target in led_to:
        assert client.get(target).status_code == 200, target
    post = {"action": "delete_selected", "_selected_action": "\x00"}
    assert client.post(address, post, follow=True).status_code == 200
    assert client.get(f"{address}%00/change/", follow=True).status_code in (200, 404)
    assert client.get(f"{address}nonsense/change/", follow=True).status_code in (200, 404)


@pytest.mark.parametrize("label", sorted(set(LABELS) - OPEN))
def test_rows_that_services_own_cannot_be_added_changed_or_deleted(
    label: str, world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    world.finish(world.ask())
    world.decide(Intervention.objects.get(pk=approval.subject_id))
    api_key_create(user=world.people["requester"], name="k", scopes=["all"], by=None)
    client = as_person("admin")
    assert client.get(f"{list_of(label)}add/").status_code in (403, 404, 302)
    row = apps.get_model(label)._default_manager.first()
    if row is None:
        return
    change = reverse(f"admin:{label.replace('.', '_')}_change", args=[row.pk])
    page = client.get(change)
    assert page.status_code == 200
    assert 'name="_save"' not in text(page)
    assert client.post(change, {}).status_code == 403
    assert client.post(change.replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403


def test_the_auditor_reads_everything_and_the_requester_nothing_there(
    world: World, as_person: AsPerson
) -> None:
    auditor = as_person("auditor")
    for label in LABELS:
        assert auditor.get(list_of(label)).status_code == 200, label
    assert as_person("requester").get(list_of("audit.auditentry")).status_code == 403
    assert Client().get(list_of("audit.auditentry")).status_code == 302


@pytest.mark.parametrize(
    "label", ["approvals.approvalrequest", "interventions.intervention", "audit.auditentry"]
)
def test_a_list_asks_as_often_for_many_rows_as_for_few(
    label: str, world: World, as_person: AsPerson
) -> None:
    client = as_person("admin")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(list_of(label)).status_code == 200
        assert not [q for q in captured if "SELECT DISTINCT" in q["sql"]]
        return len(captured)

    ask_to_sign(world)
    client.get(list_of(label))
    few = queries()
    for _ in range(6):
        ask_to_sign(world)
        world.finish(world.ask())
    assert queries() == few <= 12


def test_large_tables_are_counted_by_estimate(world: World) -> None:
    from apps.web import admin

    ask_to_sign(world)
    rows = AuditEntry.objects.order_by("-id")
    assert EstimatedPaginator(rows, 50).count == rows.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admin, "EXACT_COUNT", 2)
        with CaptureQueriesContext(connection) as captured:
            paginator: Paginator = EstimatedPaginator(rows, 50)
            assert paginator.count >= 3
        assert any("reltuples" in query["sql"] for query in captured)
        assert all("LIMIT" in q["sql"] or "reltuples" in q["sql"] for q in captured)


# --- deciding ------------------------------------------------------------------------------------
def confirm(client: Client, action: str, *approvals: ApprovalRequest) -> dict[str, list[str]]:
    """Choose the rows, and answer with what the confirmation page would send."""
    address = list_of("approvals.approvalrequest")
    chosen = {"action": action, "_selected_action": [str(a.pk) for a in approvals]}
    page = text(client.post(address, chosen))
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page):
        fields.setdefault(name, []).append(value)
    assert fields["confirmed"] == ["yes"]
    return fields


def test_the_approve_action_shows_what_will_happen_asks_why_and_decides(
    world: World, as_person: AsPerson
) -> None:
    intervention, approval = ask_to_sign(world)
    client = as_person("reviewer")
    address = list_of("approvals.approvalrequest")
    page = text(client.post(address, {"action": "approve", "_selected_action": [str(approval.pk)]}))
    assert "Yours is the last signature: it is carried out." in page
    assert "NGN\u00a025,000.00" in page
    fields = confirm(client, "approve", approval)
    without = client.post(address, {**fields, "reason": ""})
    assert without.status_code == 422
    approval.refresh_from_db()
    assert approval.status == "open"
    outcome = client.post(address, {**fields, "reason": "In order."})
    assert "It is approved now." in text(outcome)
    approval.refresh_from_db()
    assert approval.status == "approved"
    signature = approval.signatures.get()
    assert (signature.via, signature.reason) == ("admin", "In order.")
    assert Intervention.objects.get(pk=intervention.pk).status == "approved"


def test_each_row_has_its_own_outcome(world: World, as_person: AsPerson) -> None:
    _, first = ask_to_sign(world)
    second_row, second = ask_to_sign(world)
    client = as_person("reviewer")
    fields = confirm(client, "reject", first, second)
    world.decide(second_row, by="reviewer2")
    outcome = text(
        client.post(list_of("approvals.approvalrequest"), {**fields, "reason": "Wrong name."})
    )
    assert "It is rejected now." in outcome
    assert "Rafael Moreira was first: it is already approved." in outcome
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("rejected", "approved")


def test_a_superuser_without_the_group_is_refused_and_told_before(
    world: World, as_person: AsPerson
) -> None:
    _, approval = ask_to_sign(world)
    client = as_person("admin")
    fields = confirm(client, "approve", approval)
    outcome = text(
        client.post(list_of("approvals.approvalrequest"), {**fields, "reason": "I am root."})
    )
    assert 'data-code="not_in_group"' in outcome
    approval.refresh_from_db()
    assert approval.status == "open"
    assert AuditEntry.objects.filter(
        subject_id=str(approval.pk), outcome="refused", code="not_in_group", via="admin"
    ).exists()


def test_who_may_not_decide_has_no_such_action(world: World, as_person: AsPerson) -> None:
    _, approval = ask_to_sign(world)
    client = as_person("auditor")
    address = list_of("approvals.approvalrequest")
    assert "Approve…" not in text(client.get(address))
    client.post(address, {"action": "approve", "_selected_action": [str(approval.pk)]})
    assert approval.signatures.count() == 0


def test_deciding_on_what_was_not_shown_is_refused(world: World, as_person: AsPerson) -> None:
    _, approval = ask_to_sign(world)
    client = as_person("reviewer")
    fields = confirm(client, "approve", approval)
    fields[f"stamp-{approval.pk}"] = ["0" * 64]
    outcome = text(client.post(list_of("approvals.approvalrequest"), {**fields, "reason": "x"}))
    assert 'data-code="payload_changed"' in outcome


# --- other verbs ---------------------------------------------------------------------------------
def test_a_key_is_revoked_and_its_secret_shown_nowhere(world: World, as_person: AsPerson) -> None:
    key, secret = api_key_create(
        user=world.people["requester"], name="portal", scopes=["all"], by=None
    )
    client = as_person("admin")
    address = list_of("accounts.apikey")
    change = reverse("admin:accounts_apikey_change", args=[key.pk])
    for page in (client.get(address), client.get(change)):
        # Its last characters: an underscore may be one of them.
        assert secret[-16:] not in text(page)
        assert key.secret_hash not in text(page)
    chosen = {"action": "revoke", "_selected_action": [str(key.pk)]}
    assert "There is no way back" in text(client.post(address, chosen))
    assert APIKey.objects.get().revoked_at is None
    assert "Revoked" in text(client.post(address, {**chosen, "confirmed": "yes"}))
    assert APIKey.objects.get().revoked_at is not None
    again = text(client.post(address, {**chosen, "confirmed": "yes"}))
    assert 'data-code="already_revoked"' in again


def test_the_operator_retries_and_discards_parked_commands(
    world: World, as_person: AsPerson
) -> None:
    world.ask()
    command = EngineCommand.objects.first()
    assert command is not None
    EngineCommand.objects.filter(pk=command.pk).update(state="parked", error="refused by server")
    client = as_person("operator")
    address = list_of("engine.enginecommand")
    chosen = {"action": "retry", "_selected_action": [str(command.pk)]}
    assert "refused by server" in text(client.post(address, chosen))
    done = client.post(address, {**chosen, "confirmed": "yes", "reason": "The server is back."})
    assert "Will be sent within a second." in text(done)
    command.refresh_from_db()
    assert command.state == "pending"
    chosen["action"] = "discard"
    client.post(address, {**chosen, "confirmed": "yes", "reason": "Nobody needs it."})
    command.refresh_from_db()
    assert command.state == "discarded"
    assert "Send again…" not in text(as_person("auditor").get(address))


def test_a_policy_is_changed_by_a_new_version(world: World, as_person: AsPerson) -> None:
    client = as_person("admin")
    old = Policy.objects.get(code="relief")
    address = reverse("admin:interventions_policy_put_from", args=[old.pk])
    assert client.get(address).status_code == 200
    data = {"code": "relief", "name": "Relief", "currency": "NGN", "max_amount": "5.00"}
    assert client.post(address, data).status_code == 302
    assert Policy.objects.get(code="relief", active=True).version == 2
    old.refresh_from_db()
    assert not old.active
    refused = client.post(address, {**data, "currency": "EUR"})
    assert refused.status_code == 422
    assert "Not saved." in text(refused)
    assert "another currency" in text(refused)
    assert Policy.objects.filter(code="relief").count() == 2
    for bad in ({"name": "a\x00"}, {"code": "\x00"}, {"max_amount": "NaN"}, {"currency": "naira"}):
        assert client.post(address, {**data, **bad}).status_code == 422, bad
    assert as_person("auditor").get(address).status_code == 403
    assert client.get("/admin/interventions/policy/999999/put/").status_code == 404


def test_a_schedule_gets_its_times_from_a_form(world: World, as_person: AsPerson) -> None:
    client = as_person("admin")
    assert 'value="3600"' in text(client.get("/admin/engine/workflowschedule/put/"))
    old = WorkflowSchedule.objects.get(name="reconcile-interventions")
    address = reverse("admin:engine_workflowschedule_put_from", args=[old.pk])
    data = {
        **{"name": old.name, "workflow_type": old.workflow_type, "task_queue": old.task_queue},
        **{"cron": old.cron, "time_zone": old.time_zone, "args": "[]", "note": old.note},
    }
    given = {"catch_up_seconds": "79200", "execution_timeout_seconds": "86400"}
    assert client.post(address, {**data, **given}).status_code == 302
    row = WorkflowSchedule.objects.get(pk=old.pk)
    assert (row.catch_up_seconds, row.execution_timeout_seconds) == (79_200, 86_400)
    for name, bad in (
        *(("catch_up_seconds", one) for one in ("", "9", "-60", "1h", "9" * 400)),
        *(("execution_timeout_seconds", one) for one in ("-1", "1.5", "9" * 400)),
    ):
        assert client.post(address, {**data, **given, name: bad}).status_code == 422, bad
    none = {**data, **given, "execution_timeout_seconds": "0"}
    assert client.post(address, none).status_code == 302
    row.refresh_from_db()
    assert (row.execution_timeout_seconds, row.version) == (None, 3)


def test_a_rule_is_changed_by_a_new_version_and_a_bad_band_is_named(
    world: World, as_person: AsPerson
) -> None:
    client = as_person("admin")
    rule = ApprovalRule.objects.get(scope="relief", active=True)
    address = reverse("admin:approvals_approvalrule_put_from", args=[rule.pk])
    data = {"kind": rule.kind, "scope": "relief", "currency": "NGN"}
    bands = [{"above": "1.00", "tiers": [{"group": "senior reviewer", "quorum": 1}]}]
    shown = client.post(address, {**data, "bands": json.dumps(bands), "_preview": "Preview"})
    assert shown.status_code == 200
    assert "above NGN\u00a01.00: one signature by senior reviewer" in text(shown)
    assert ApprovalRule.objects.get(scope="relief", active=True) == rule
    stamp = re.search(r'name="stamp" value="([0-9a-f]{64})"', text(shown))
    assert stamp is not None
    sent = {**data, "bands": json.dumps(bands), "stamp": stamp[1], "_put": "Save"}
    assert client.post(address, sent).status_code == 302
    saved = ApprovalRule.objects.get(scope="relief", active=True)
    assert saved.version == rule.version + 1
    assert saved.put_by == world.people["admin"]
    bands[0]["tiers"] = [{"group": "nobody", "quorum": 1}]
    refused = client.post(address, {**data, "bands": json.dumps(bands)})
    assert refused.status_code == 422
    assert "there is no group 'nobody'" in text(refused)
    for bad in ("not json", '"\\u0000"', "\x00", "[" * 2000):
        assert client.post(address, {**data, "bands": bad}).status_code == 422, bad


def test_a_rule_is_saved_only_as_it_was_shown(world: World, as_person: AsPerson) -> None:
    client = as_person("admin")
    rule = ApprovalRule.objects.get(scope="relief", active=True)
    address = reverse("admin:approvals_approvalrule_put_from", args=[rule.pk])
    data = {"kind": rule.kind, "scope": "relief", "currency": "NGN", "bands": "[]"}
    unseen = client.post(address, {**data, "_put": "Save"})
    assert "Not saved yet" in text(unseen)
    assert "any amount: no signature" in text(unseen)
    stamp = re.search(r'name="stamp" value="([0-9a-f]{64})"', text(unseen))
    assert stamp is not None
    other = {**data, "bands": '[{"above": null, "tiers": [{"group": "reviewer"}]}]'}
    assert "Not saved yet" in text(client.post(address, {**other, "stamp": stamp[1]}))
    with transaction.atomic():
        rule_put(
            kind=rule.kind,
            scope="relief",
            currency="NGN",
            bands=json.loads(other["bands"]),
            by=None,
        )
    assert "Not saved yet" in text(client.post(address, {**data, "stamp": stamp[1]}))
    assert ApprovalRule.objects.get(scope="relief", active=True).bands == json.loads(other["bands"])


def test_a_rules_page_says_it_in_words_and_tries_an_amount(
    world: World, as_person: AsPerson
) -> None:
    rule = ApprovalRule.objects.get(scope="relief", active=True)
    client = as_person("auditor")
    address = reverse("admin:approvals_approvalrule_change", args=[rule.pk])
    page = text(client.get(address))
    assert "one signature by reviewer" in page
    assert "can sign today" in page
    assert "this band applies" not in page
    assert "this band applies" in text(client.get(address, {"amount": "25000"}))
    for bad in ("x", "\x00", "-1", "NaN", "1e999", "9" * 400):
        answer = client.get(address, {"amount": bad})
        assert answer.status_code == 200, bad
        assert "That is not an amount" in text(answer), bad


def test_a_record_shows_its_lines_and_its_links(world: World, as_person: AsPerson) -> None:
    done = world.ask()
    world.finish(done)
    client = as_person("admin")
    page = text(client.get(reverse("admin:interventions_intervention_change", args=[done.pk])))
    for words in ("record_outcome", "spent", f"/interventions/{done.pk}/"):
        assert words in page
    budget = Budget.objects.get(code="main")
    page = text(client.get(reverse("admin:interventions_budget_change", args=[budget.pk])))
    assert "allocated" in page
    assert "/budgets/main/" in page


def test_people_are_switched_off_not_deleted(world: World, as_person: AsPerson) -> None:
    client = as_person("admin")
    person = User.objects.get(username="reviewer")
    delete = reverse("admin:accounts_user_delete", args=[person.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    assert client.get(reverse("admin:accounts_user_change", args=[person.pk])).status_code == 200
