"""Pages of keys: masked everywhere, in full on demand, and a way to the claim."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.audit.models import AuditEntry
from apps.pix.models import Entry, EntryChange
from apps.pix.views import key_forms
from tests.directory import OTHER, OURS
from tests.pix.entries.conftest import CPF, PHONE, Keys

pytestmark = pytest.mark.django_db

FORM = {
    "key_type": "PHONE",
    "key": PHONE,
    "participant": OURS,
    "branch": "0001",
    "account_number": "7654321",
    "account_type": "CACC",
    "owner_type": "NATURAL_PERSON",
    "tax_id": CPF,
    "name": "João Silva",
    "trade_name": "",
    "idempotency_key": "page-1",
}


def browser(keys: Keys, who: str = "officer") -> Client:
    client = Client()
    client.force_login(keys.people[who])
    return client


def test_from_the_form_to_the_full_key_in_a_browser(keys: Keys) -> None:
    client = browser(keys)
    assert client.get(reverse("key_new")).status_code == 200
    answer = client.post(reverse("key_new"), FORM)
    change = EntryChange.objects.get()
    page = reverse("entry", args=[change.entry_id])
    assert (answer.status_code, answer["Location"]) == (302, page)
    shown = client.get(page).content.decode()
    assert PHONE not in shown
    assert "+55 11 *****-4321" in shown
    assert reverse("entry_code", args=[change.entry_id]) in shown
    wrong = client.post(reverse("entry_code", args=[change.entry_id]), {"code": "x"}, follow=True)
    assert "not the code" in wrong.content.decode()
    client.post(reverse("entry_code", args=[change.entry_id]), {"code": keys.code()})
    keys.carry(change)
    full = client.post(reverse("entry_full_key", args=[change.entry_id]))
    assert PHONE in full.content.decode()
    assert full["Cache-Control"] == "no-store"
    # What the page fetches when it is live has it masked.
    live = reverse("entry_live", args=[change.entry_id])
    assert live in shown and live not in full.content.decode()
    told = AuditEntry.objects.get(action="entry.full_key_read")
    assert told.body == {"entry_id": change.entry.entry_id, "key": "+55 11 *****-4321"}
    assert PHONE not in client.get(page).content.decode()
    listed = client.get(reverse("entries") + f"?participant={OURS}&status=active").content.decode()
    assert PHONE not in listed
    assert page in listed
    found = client.post(reverse("key_find"), {"key_type": "PHONE", "key": PHONE})
    assert found["Location"] == page
    lost = client.post(reverse("key_find"), {"key_type": "CPF", "key": CPF})
    assert lost.status_code == 404
    assert client.get(reverse("entry_change", args=[change.pk]))["Location"] == page


def test_account_and_name_are_changed_and_the_key_removed(keys: Keys) -> None:
    entry = keys.active()
    client = browser(keys)
    place = reverse("key_change", args=[entry.pk])
    assert 'value="7654321"' in client.get(place).content.decode()
    form: dict[str, Any] = {
        "branch": "0001",
        "account_number": "7654321",
        "account_type": "CACC",
        "name": entry.name,
        "trade_name": "",
        "cause": "USER_REQUESTED",
        "idempotency_key": "page-2",
    }
    same = client.post(place, form)
    assert (same.status_code, 'data-code="entry_unchanged"' in same.content.decode()) == (422, True)
    assert client.post(place, {**form, "name": "J. Silva"}).status_code == 302
    keys.carry(EntryChange.objects.get(kind="update"))
    act = reverse("entry_act", args=[entry.pk, "remove"])
    client.post(act, {"cause": "ACCOUNT_CLOSURE", "reason": "The account is closed."})
    change = EntryChange.objects.get(kind="delete")
    assert change.reason == "ACCOUNT_CLOSURE"
    assert keys.carry(change).status == "removed"
    assert client.get(reverse("entry", args=[entry.pk])).status_code == 200


def test_a_taken_key_leads_to_the_form_of_the_claim_without_the_key_in_its_address(
    keys: Keys,
) -> None:
    keys.active(key_type="PHONE", key=PHONE)
    client = browser(keys)
    answer = client.post(reverse("key_new"), {**FORM, "participant": OTHER})
    text = answer.content.decode()
    assert answer.status_code == 409
    assert 'data-code="entry_in_custody_of_different_participant"' in text
    assert "Claim the key" in text
    kept = client.session[key_forms.SUGGESTED]
    assert (kept["claim_type"], kept["key"]) == ("PORTABILITY", PHONE)


def test_a_key_that_came_to_nothing_says_why(keys: Keys) -> None:
    change = keys.ask(key_type="PHONE", key=PHONE)
    client = browser(keys)
    client.post(reverse("entry_act", args=[change.entry_id, "give-up"]), {"reason": "Wrong one."})
    shown = client.get(reverse("entry", args=[change.entry_id])).content.decode()
    assert "The key was not created." in shown
    assert Entry.objects.get().status == "removed"


@pytest.mark.parametrize(
    ("who", "name", "status"),
    [
        ("auditor", "entries", 200),
        ("auditor", "entry", 200),
        ("auditor", "key_new", 403),
        ("auditor", "key_change", 403),
        ("requester", "entries", 403),
        ("requester", "entry", 403),
        ("requester", "key_find", 403),
    ],
)
def test_who_sees_what(keys: Keys, who: str, name: str, status: int) -> None:
    entry = keys.active()
    args = [entry.pk] if name in ("entry", "key_change") else []
    answer = browser(keys, who).get(reverse(name, args=args))
    assert answer.status_code == status
    if who == "auditor" and name == "entry":
        assert reverse("entry_full_key", args=[entry.pk]) not in answer.content.decode()
        posted = browser(keys, who).post(reverse("entry_full_key", args=[entry.pk]))
        assert posted.status_code == 403


def test_the_lists_file_has_masked_keys(keys: Keys) -> None:
    keys.active()
    answer = browser(keys).post(reverse("entries_export", args=["csv"]))
    body: bytes = answer.getvalue()
    assert CPF not in body.decode()
    assert "***.222.333-**" in body.decode()
