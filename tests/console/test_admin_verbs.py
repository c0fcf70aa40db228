"""Verbs of the admin: offered in the list and on the row's page, after a page that asks."""

import re

import pytest
from django.contrib import admin
from django.urls import reverse

from apps.audit.models import AuditEntry
from apps.interventions.models import Intervention
from apps.web.admin_process import ProcessAdmin
from apps.web.admin_verbs import Verb
from tests.console.conftest import AsPerson, ask_to_sign
from tests.console.test_admin import text
from tests.interventions.conftest import World

ADMINS = list(admin.site._registry.values())


def verbs_of(model_admin: object) -> dict[str, Verb]:
    every = {name: getattr(type(model_admin), name, None) for name in dir(type(model_admin))}
    return {name: one for name, one in every.items() if isinstance(one, Verb)}


@pytest.mark.parametrize("model_admin", ADMINS, ids=str)
def test_every_verb_of_a_class_is_offered(model_admin: admin.ModelAdmin) -> None:
    assert set(model_admin.actions or ()) == set(verbs_of(model_admin))


def test_a_row_offers_its_verbs_to_who_may_use_them(world: World, as_person: AsPerson) -> None:
    intervention, approval = ask_to_sign(world)
    page = reverse("admin:interventions_intervention_change", args=[intervention.pk])
    assert "Call off…</button>" in text(as_person("admin").get(page))
    assert "Call off…" not in text(as_person("auditor").get(page))
    request = reverse("admin:approvals_approvalrequest_change", args=[approval.pk])
    offered = re.findall(r">([^<]+…)</button>", text(as_person("reviewer").get(request)))
    assert offered == ["Approve…", "Reject…", "Claim…"]
    assert "</button>" not in re.findall(
        r"(?s)row-verbs.*?</form>", text(as_person("auditor").get(request))
    )


def test_a_verb_of_a_row_asks_first_and_leads_back_to_it(world: World, as_person: AsPerson) -> None:
    intervention, _ = ask_to_sign(world)
    client = as_person("admin")
    row = reverse("admin:interventions_intervention_change", args=[intervention.pk])
    place = reverse("admin:interventions_intervention_changelist")
    sent = {"action": "call_off", "_selected_action": str(intervention.pk), "_row": "yes"}
    asked = text(client.post(place, sent))
    assert "It is too late for one whose executor has been called." in asked
    assert 'name="_row" value="yes"' in asked
    assert f'<a class="closelink" href="{row}">Back, change nothing</a>' in asked
    assert Intervention.objects.get(pk=intervention.pk).status == "awaiting_approval"
    assert client.post(place, {**sent, "confirmed": "yes", "reason": " "}).status_code == 422
    done = text(client.post(place, {**sent, "confirmed": "yes", "reason": "Paid by others."}))
    assert "Called off; what was reserved is free again." in done
    assert f'href="{row}">Back to the row</a>' in done
    entry = AuditEntry.objects.get(action="intervention.cancelled")
    assert (entry.via, entry.actor_id) == ("admin", world.people["admin"].audit_id)
    again = text(client.post(place, {**sent, "confirmed": "yes", "reason": "Once more."}))
    assert 'data-code="already_settled"' in again


@pytest.mark.parametrize(
    "model_admin", [one for one in ADMINS if isinstance(one, ProcessAdmin)], ids=str
)
def test_a_row_of_a_workflow_is_shown_the_same_way_everywhere(
    model_admin: ProcessAdmin, world: World, as_person: AsPerson
) -> None:
    intervention, _ = ask_to_sign(world)
    Intervention.objects.update(error_code="executor_unavailable", error_detail="Nobody answers.")
    opts = model_admin.opts
    client = as_person("admin")
    page = text(client.get(reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")))
    if model_admin.model is Intervention:
        assert '<span class="badge tone-warn">waiting for approval</span>' in page
        assert '<span class="badge tone-warn" title="Nobody answers.">executor_unavailable' in page
        assert f'<a href="/interventions/{intervention.pk}/">open</a>' in page
        change = reverse("admin:interventions_intervention_change", args=[intervention.pk])
        row = text(client.get(change))
        assert intervention.workflow_id in row
        assert intervention.request_digest not in row
    assert model_admin.process.model is model_admin.model  # type: ignore[attr-defined]
