"""Pages of claims: list, board, form, one claim, its verbs, the key in full."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import Signature
from apps.audit.models import AuditEntry
from apps.notifications.models import Notification
from apps.pix.contracts.claims import ClaimLook
from apps.pix.models import Claim, Entry
from apps.pix.services.claim_carrying import claim_carry
from apps.pix.services.claim_confirming import claim_confirm_sent
from apps.pix.views.key_forms import SUGGESTED
from tests.directory import OTHER, OURS
from tests.pix.claims.stage import PHONE, waiting_claim
from tests.pix.claims.test_services import answer, entry

pytestmark = pytest.mark.django_db(transaction=True)

FORM: dict[str, Any] = {
    "claim_type": "PORTABILITY",
    "key_type": "PHONE",
    "key": PHONE,
    "participant": OURS,
    "branch": "0001",
    "number": "0007654321",
    "type": "CACC",
    "owner_type": "NATURAL_PERSON",
    "tax_id": "111.222.333-96",
    "name": "João Silva",
    "idempotency_key": "page-1",
}


def browser(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def shown(client: Client, address: str) -> str:
    page = client.get(address)
    assert page.status_code == 200, address
    return page.content.decode()


def carried_out(claim: Claim) -> None:
    """Do what the workflow does with a decision about a claim that the directory does not know."""
    Claim.objects.filter(pk=claim.pk).update(directory_id="")
    look = ClaimLook(str(claim.pk), claim.workflow_id, timezone.now())
    claim_carry(look)
    claim_confirm_sent(look)
    claim.refresh_from_db()


def test_the_form_opens_a_claim_once(people: dict[str, User]) -> None:
    client = browser(people["officer"])
    assert "Banco" in shown(client, reverse("claim_new")) or OURS in shown(
        client, reverse("claim_new")
    )
    made: Any = client.post(reverse("claim_new"), FORM)
    claim = Claim.objects.get()
    assert made.url == reverse("claim", args=[claim.pk])
    again: Any = client.post(reverse("claim_new"), FORM)
    assert again.url == made.url and Claim.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"key": "61988880000"}, 422, 'data-code="key_invalid"'),
        ({"participant": "99999999"}, 422, "Correct what is marked below"),
        ({"tax_id": "1"}, 422, 'data-code="tax_id_invalid"'),
        ({"number": "x" * 500}, 422, "Correct what is marked below"),
        ({"key": "a\0"}, 422, "Correct what is marked below"),
    ],
    ids=range(5),
)
def test_a_refusal_keeps_what_was_typed(
    people: dict[str, User], changes: dict[str, Any], status: int, said: str
) -> None:
    page = browser(people["officer"]).post(reverse("claim_new"), {**FORM, **changes})
    text = page.content.decode()
    assert page.status_code == status and said in text
    assert 'value="João Silva"' in text
    assert not Claim.objects.exists()


def test_a_taken_key_leads_to_this_form_filled_in(people: dict[str, User]) -> None:
    entry(participant=OURS)
    client = browser(people["officer"])
    typed = {
        **{name: FORM[name] for name in ("key_type", "key", "branch", "owner_type", "tax_id")},
        "name": "João Silva",
        "participant": OTHER,
        "account_number": "99",
        "account_type": "TRAN",
        "idempotency_key": "page-2",
    }
    page = client.post(reverse("key_new"), typed).content.decode()
    address = f"{reverse('claim_new')}?from=key"
    assert f'href="{address}"' in page
    form = client.get(address)
    text = form.content.decode()
    assert form["Cache-Control"] == "no-store"
    for value in (PHONE, "111.222.333-96", "99"):
        assert f'value="{value}"' in text, value
    assert f'<option value="{OTHER}" selected>' in text
    # Whoever comes by another way begins with an empty form, and the session forgets the key.
    assert PHONE not in shown(client, reverse("claim_new"))
    assert SUGGESTED not in client.session
    assert PHONE not in shown(client, address)
    client.post(reverse("key_new"), typed)
    client.post(reverse("claim_new"), {**FORM, "participant": OTHER})
    assert SUGGESTED not in client.session
    assert Claim.objects.get().claimer_ispb == OTHER and Entry.objects.count() == 1


def test_the_board_has_a_column_for_each_turn_and_leads_to_the_inbox(
    people: dict[str, User],
) -> None:
    claim = waiting_claim(people)
    decided = waiting_claim(people, key="+5561988881111")
    answer(people, decided.pk, "confirm", reason="USER_REQUESTED")
    client = browser(people["officer"])
    text = shown(client, reverse("claims_board"))
    for said in ("With the donor", "Being carried out", claim.claim_id, decided.claim_id):
        assert said in text, said
    assert "expires" in text and PHONE not in text
    together = f"{reverse('inbox')}?kind=pix.claim"
    assert f'href="{together}"' in text and "Decide several together in the inbox" in text
    assert f'href="{together}"' in shown(client, reverse("claims"))
    inbox = shown(client, together)
    assert "Decide what is ticked" in inbox and "Portability of" in inbox
    assert claim.claim_id in shown(client, reverse("claims_board_live"))
    # As the donor: claims of strangers' keys are not there.
    other = waiting_claim(people, key="+5561988882222", donor_ispb="99999999")
    assert other.claim_id not in shown(client, f"{reverse('claims_board')}?side=DONOR")
    assert other.claim_id in shown(client, f"{reverse('claims_board')}?side=CLAIMER")
    assert other.claim_id not in shown(client, f"{reverse('claims')}?side=DONOR")


def test_the_page_says_who_has_to_act_and_what_silence_does(people: dict[str, User]) -> None:
    client = browser(people["officer"])
    for rulebook, key, then in (
        ("source", PHONE, "The claim expires. The key stays where it is."),
        ("dict", "+5561988881111", "The claim is cancelled."),
    ):
        claim = waiting_claim(people, key=key, rulebook=rulebook)
        text = shown(client, reverse("claim", args=[claim.pk]))
        assert "the donor: a signature in the inbox" in text and then in text
        assert key not in text and "***.222.333-**" in text
        assert claim.claim_id in shown(client, reverse("claim_live", args=[claim.pk]))
    silent = waiting_claim(people, key="+5561988882222", donor_ispb="99999999", rulebook="dict")
    text = shown(client, reverse("claim", args=[silent.pk]))
    assert "99999999" in text and "what the rules say of silence" in text
    answer(people, claim.pk, "confirm", reason="USER_REQUESTED")
    assert "the confirmation is being carried out" in shown(
        client, reverse("claim", args=[claim.pk])
    )


def test_the_key_in_full_is_posted_for_and_told_in_the_trail(people: dict[str, User]) -> None:
    claim = waiting_claim(people)
    client = browser(people["officer"])
    place = reverse("claim_full_key", args=[claim.pk])
    assert place in shown(client, reverse("claim", args=[claim.pk]))
    page = client.post(place)
    assert PHONE in page.content.decode() and page["Cache-Control"] == "no-store"
    # What the page fetches when it is live has it masked.
    assert reverse("claim_live", args=[claim.pk]) not in page.content.decode()
    assert AuditEntry.objects.filter(action="claim.full_key_read").count() == 1
    assert client.get(place).status_code == 405
    auditor = browser(people["auditor"])
    assert place not in shown(auditor, reverse("claim", args=[claim.pk]))
    assert auditor.post(place).status_code == 403


def test_a_side_acts_on_the_page(people: dict[str, User]) -> None:
    claim = waiting_claim(people)
    client = browser(people["officer"])
    act = reverse("claim_act", args=[claim.pk, "cancel"])
    assert act in shown(client, reverse("claim", args=[claim.pk]))
    for sent in ({"reason_code": "NONE"}, {}, {"reason_code": "FRAUD", "reason": "a\0"}):
        client.post(act, sent)
        claim.refresh_from_db()
        assert claim.status == "waiting", sent
    early = client.post(reverse("claim_act", args=[claim.pk, "complete"]), {"reason": ""})
    assert early.status_code == 302
    client.post(act, {"reason_code": "USER_REQUESTED", "reason": "They changed their mind."})
    claim.refresh_from_db()
    assert (claim.decision, claim.decision_reason) == ("cancel", "USER_REQUESTED")
    assert client.post(reverse("claim_act", args=[claim.pk, "nothing"])).status_code == 404


@pytest.mark.parametrize("rulebook", ["source", "dict"])
def test_the_words_beside_a_coded_reason_are_kept(people: dict[str, User], rulebook: str) -> None:
    claim = waiting_claim(people, rulebook=rulebook)
    client = browser(people["officer"])
    words = "They changed their mind, and have closed the account since."
    act = reverse("claim_act", args=[claim.pk, "cancel"])
    client.post(act, {"reason_code": "ACCOUNT_CLOSURE", "reason": words})
    told = AuditEntry.objects.get(action="claim.cancel")
    assert (told.body["reason"], told.body["note"]) == ("ACCOUNT_CLOSURE", words)
    carried_out(claim)
    assert (claim.cancel_reason, claim.error_code) == ("ACCOUNT_CLOSURE", "")
    assert claim.error_detail == words
    # In the trail, and with what was asked.
    assert shown(client, reverse("claim", args=[claim.pk])).count(words) >= 2
    assert Notification.objects.get(kind="claim.ended").text == words


def test_the_words_beside_the_donors_coded_reason_are_in_its_signature(
    people: dict[str, User],
) -> None:
    claim = waiting_claim(people)
    words = "The letter of the bank says so."
    sent = {"reason_code": "FRAUD", "reason": words}
    browser(people["officer"]).post(reverse("claim_act", args=[claim.pk, "stop"]), sent)
    signature = Signature.objects.get(request__kind="pix.claim")
    assert (signature.reason_code, signature.reason) == ("FRAUD", words)
    claim.refresh_from_db()
    assert (claim.decision, claim.decision_reason) == ("cancel", "FRAUD")


def test_the_words_of_a_completion_are_no_reason(people: dict[str, User]) -> None:
    claim = waiting_claim(people, rulebook="dict")
    Claim.objects.filter(pk=claim.pk).update(status="confirmed")
    sent = {"reason": "They have shown the phone."}
    browser(people["officer"]).post(reverse("claim_act", args=[claim.pk, "complete"]), sent)
    claim.refresh_from_db()
    assert (claim.decision, claim.decision_reason) == ("complete", "")
    told = AuditEntry.objects.get(action="claim.complete")
    assert told.body["note"] == "They have shown the phone."


@pytest.mark.parametrize(
    ("who", "name", "status"),
    [
        ("auditor", "claims", 200),
        ("auditor", "claims_board", 200),
        ("auditor", "claim", 200),
        ("auditor", "claim_new", 403),
        ("auditor", "rulebooks", 200),
        ("auditor", "rulebook_new", 403),
        ("requester", "claim_new", 200),
        ("requester", "claim", 200),
        ("requester", "claims_board", 403),
        ("reviewer", "claim", 404),
        ("reviewer", "claim_new", 403),
        ("reviewer", "rulebooks", 403),
    ],
)
def test_who_sees_what(people: dict[str, User], who: str, name: str, status: int) -> None:
    claim = waiting_claim(people)
    args = [claim.pk] if name == "claim" else []
    assert browser(people[who]).get(reverse(name, args=args)).status_code == status


def test_nothing_is_taken_from_another_site_or_from_nobody(people: dict[str, User]) -> None:
    claim = waiting_claim(people)
    strict = browser(people["officer"], enforce_csrf_checks=True)
    for name, args in (
        ("claim_new", []),
        ("claim_full_key", [claim.pk]),
        ("claim_act", [claim.pk, "cancel"]),
        ("rulebook_new", []),
    ):
        assert strict.post(reverse(name, args=args), FORM).status_code == 403, name
        assert Client().post(reverse(name, args=args), FORM).status_code == 302, name
    auditor = browser(people["auditor"])
    assert auditor.post(reverse("claim_act", args=[claim.pk, "cancel"])).status_code == 403
    claim.refresh_from_db()
    assert claim.status == "waiting"
