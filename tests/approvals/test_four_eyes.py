import pytest
from django.db import DatabaseError, IntegrityError, transaction

from apps.approvals import selectors
from apps.approvals.models import PayloadVersion, Signature
from apps.approvals.rules import payload_hash_of
from tests.approvals.world import decide, delegated, fresh, opened, person, refusal, rule

pytestmark = pytest.mark.django_db


def edited(request, by):
    """A second payload version, as an edit leaves it."""
    request.payload_number += 1
    payload = {"amount": "1.00", "edit": request.payload_number}
    PayloadVersion.objects.create(
        request=request,
        number=request.payload_number,
        payload=payload,
        hash=payload_hash_of(payload, rule=request.rule),
        edited_by=by,
    )
    request.save(update_fields=["payload_number"])
    return fresh(request)


@pytest.mark.parametrize("superuser", [False, True])
def test_nobody_signs_what_they_asked_for(superuser):
    rule()
    both = person("both", "first", is_superuser=superuser)
    request = opened(both)
    for verdict in ("approve", "reject"):
        error = refusal(request, both, verdict)
        assert (error.status, error.code) == (403, "requester_cannot_sign")
    assert not Signature.objects.exists()


@pytest.mark.parametrize("superuser", [False, True])
def test_who_edited_any_version_is_out_for_good(superuser):
    rule()
    editor = person("editor", "first", is_superuser=superuser)
    request = edited(opened(person("requester")), editor)
    assert refusal(request, editor).code == "editor_cannot_sign"
    request = edited(request, person("somebody"))
    assert refusal(request, editor).code == "editor_cannot_sign"


def test_an_edit_voids_the_signatures_before_it():
    rule()
    first, second = person("one", "first"), person("two", "first")
    request = opened(person("requester"), "60000.00")
    decide(request, first)
    request = edited(fresh(request), person("editor"))
    assert selectors.current_tier(request).signed == 0
    assert decide(request, first).status == "open"
    assert decide(request, second).tier_group == "second"


@pytest.mark.parametrize("superuser", [False, True])
def test_a_signer_of_one_tier_signs_no_other(superuser):
    rule()
    both = person("both", "first", "second", is_superuser=superuser)
    request = opened(person("requester"), "60000.00")
    decide(request, person("one", "first"))
    decide(request, both)
    assert fresh(request).tier_group == "second"
    assert refusal(request, both).code == "already_signed"


def test_both_actor_and_authority_of_an_earlier_signature_are_out():
    rule([{"above": None, "tiers": [{"group": "first", "quorum": 3}]}])
    actor, authority, other = (person(name, "first") for name in ("actor", "authority", "other"))
    request = opened(person("requester"))
    delegated(authority, actor)
    decide(request, actor, on_behalf_of=authority)
    request = fresh(request)
    assert refusal(request, actor).code == "already_signed"
    assert refusal(request, authority).code == "already_signed"
    for behalf in (actor, authority):
        error = selectors.person_refusal(request, other, authority=behalf)
        assert error is not None and error.code == "already_signed"
    assert selectors.person_refusal(request, other) is None


def test_a_delegate_of_the_requester_or_of_an_editor_is_out():
    rule()
    requester, editor = person("requester", "first"), person("editor", "first")
    request = edited(opened(requester), editor)
    delegate = person("delegate", "first")
    for behalf, code in (
        (requester, "requester_cannot_sign"),
        (editor, "editor_cannot_sign"),
    ):
        error = selectors.person_refusal(request, delegate, authority=behalf)
        assert error is not None and error.code == code


def test_a_superuser_outside_the_group_is_refused():
    rule()
    error = refusal(opened(person("requester")), person("root", is_superuser=True))
    assert (error.status, error.code) == (403, "not_in_group")


def test_a_member_without_the_permission_is_refused():
    rule()
    reviewer = person("reviewer", "first")
    group = reviewer.groups.get()
    group.permissions.remove(group.permissions.get(codename="decide_approvalrequest"))
    reviewer = type(reviewer).objects.get(pk=reviewer.pk)
    assert refusal(opened(person("requester")), reviewer).code == "permission_denied"


def test_an_outsider_does_not_learn_that_the_request_exists():
    rule()
    error = refusal(opened(person("requester")), person("outsider"))
    assert (error.status, error.code) == (404, "not_found")


def test_who_has_left_signs_nothing():
    rule()
    left = person("left", "first", is_active=False)
    assert refusal(opened(person("requester")), left).code == "not_found"


@pytest.mark.parametrize("who", ["requester", "editor", "signer", "settled", "voided"])
def test_the_database_itself_refuses_a_signature_against_four_eyes(who):
    rule()
    requester, editor, signer, other = (
        person(name, "first") for name in ("requester", "editor", "signer", "other")
    )
    old = opened(requester, "60000.00")
    request = edited(old, editor)
    decide(request, signer)
    payload = selectors.current_payload(request)
    people = {"requester": requester, "editor": editor, "signer": signer}
    if who == "settled":
        decide(request, person("another", "first"), "reject")
    if who == "voided":
        payload = request.payloads.get(number=1)
    for actor, authority in ((people.get(who, other), other), (other, people.get(who, other))):
        with pytest.raises(IntegrityError, match="four eyes"), transaction.atomic():
            Signature.objects.create(
                request=request,
                payload=payload,
                tier=1,
                actor=actor,
                authority=authority,
                verdict="approve",
                via="sql",
            )


def test_signatures_and_payloads_cannot_be_changed_or_removed():
    rule()
    decide(opened(person("requester")), person("reviewer", "first"))
    for model, change in ((Signature, {"reason": "x"}), (PayloadVersion, {"hash": "x"})):
        with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic():
            model.objects.update(**change)
        with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic():
            model.objects.all()._raw_delete("default")
