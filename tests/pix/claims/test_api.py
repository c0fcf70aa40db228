"""The API of claims: every operation, who may, and the code of every refusal."""

from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.pix.models import Claim
from tests.directory import OTHER
from tests.pix.claims.stage import ACCOUNT, OWNER, PHONE, waiting_claim

pytestmark = pytest.mark.django_db(transaction=True)

AT = "/api/v1/pix/claims"
NOBODY = UUID(int=7)


def program(user: User, *scopes: str) -> Client:
    _, secret = api_key_create(user=user, name="t", scopes=list(scopes) or ["all"], by=user)
    return Client(headers={"X-API-Key": secret})


def send(client: Client, address: str, **body: Any) -> Any:
    return client.post(address, data=body, content_type="application/json")


def body(**changes: Any) -> dict[str, Any]:
    return {
        "claim_type": "PORTABILITY",
        "key_type": "PHONE",
        "key": PHONE,
        "claimer_account": ACCOUNT,
        "claimer": OWNER,
        "donor_ispb": OTHER,
        **changes,
    }


def test_a_claim_is_opened_once_and_read_by_either_id(people: dict[str, User]) -> None:
    client = program(people["officer"])
    made = send(client, AT, **body(claim_id="C-1", idempotency_key="k"))
    again = send(client, AT, **body(claim_id="C-1", idempotency_key="k"))
    assert (made.status_code, again.status_code) == (201, 200)
    found = made.json()
    assert found == again.json()
    assert found.keys() == {"id", "claim_id", "workflow_id", "status"}
    assert found["workflow_id"] == "claim-C-1"
    read = client.get(f"{AT}/{found['id']}").json()
    assert client.get(f"{AT}/C-1").json() == read
    assert (read["key"], read["ours"]) == ("+55 61 *****-0000", ["DONOR", "CLAIMER"])
    assert PHONE not in str(read) and "11122233396" not in str(read)
    for query, number in (
        ("status=open", 1),
        ("status=waiting", 0),
        ("side=DONOR", 1),
        ("claim_type=OWNERSHIP", 0),
        ("mine=1", 1),
    ):
        assert len(client.get(f"{AT}?{query}").json()["items"]) == number, query


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"claim_type": "GIFT"}, 422, "validation_error"),
        ({"key": 7}, 422, "validation_error"),
        ({"key": "x" * 1_000}, 422, "validation_error"),
        ({"more": 1}, 422, "validation_error"),
        ({"claimer_account": []}, 422, "validation_error"),
        ({"claimer_account": {**ACCOUNT, "number": "1" * 101}}, 422, "validation_error"),
        ({"claimer_account": {**ACCOUNT, "number": "1" * 100}}, 422, "account_number_invalid"),
        ({"claimer": {**OWNER, "name": "A" * 151}}, 422, "validation_error"),
        ({"claimer": {**OWNER, "trade_name": "A" * 100}}, 422, "trade_name_invalid"),
        ({"claimer": {**OWNER, "trade_name": "A" * 101}}, 422, "validation_error"),
        ({"key": "61988880000"}, 422, "key_invalid"),
        ({"key": "+5561\x0088880000"}, 422, "invalid_text"),
        ({"key_type": "EVP", "key": str(NOBODY)}, 422, "claim_type_inconsistent"),
        ({"claim_id": "a b"}, 422, "claim_id_invalid"),
        ({"claim_id": "a\x00"}, 422, "invalid_text"),
        ({"rulebook": "none"}, 422, "rulebook_unknown"),
        ({"rulebook": "a\x00"}, 422, "invalid_text"),
        (
            {"claimer_account": {**ACCOUNT, "participant": "99999999"}},
            422,
            "participant_not_ours",
        ),
        ({"claim_id": "TAKEN", "key": "+5561988881111"}, 409, "claim_id_taken"),
        ({"claim_id": "C-2"}, 409, "claim_already_exists_for_key"),
        ({"idempotency_key": "k", "name": 1}, 422, "validation_error"),
        ({"idempotency_key": "k"}, 409, "idempotency_key_reused"),
    ],
    ids=range(22),
)
def test_an_opening_is_refused_with_a_problem(
    people: dict[str, User], changes: dict[str, Any], status: int, code: str
) -> None:
    client = program(people["officer"])
    send(client, AT, **body(claim_id="TAKEN", idempotency_key="k"))
    answer = send(client, AT, **body(**changes))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"].startswith("application/problem+json")
    assert Claim.objects.count() == 1


def test_scopes_and_people_are_kept_apart(people: dict[str, User]) -> None:
    claim = waiting_claim(people)
    one = f"{AT}/{claim.pk}"
    reader = program(people["officer"], "pix:read")
    writer = program(people["officer"], "pix:read", "pix:write")
    assert reader.get(one).status_code == 200
    assert send(reader, AT, **body()).status_code == 403
    for verb in ("confirm", "cancel", "complete"):
        assert send(writer, f"{one}/{verb}").status_code == 403, verb
    # Who asked sees it; the auditor sees all; others nothing.
    assert program(people["requester"]).get(one).status_code == 200
    assert program(people["auditor"]).get(one).status_code == 200
    assert program(people["reviewer"]).get(one).status_code == 404
    assert Client().get(one).status_code == 401
    refused = send(program(people["auditor"]), f"{one}/cancel", role="CLAIMER")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    own = send(program(people["requester"]), f"{one}/confirm", reason="USER_REQUESTED")
    assert own.status_code == 403
    assert send(program(people["auditor"]), AT, **body()).status_code == 403


@pytest.mark.parametrize("identifier", ["nobody", str(NOBODY), "x" * 500, "a%20b"], ids=str)
def test_an_unknown_claim_is_a_404(people: dict[str, User], identifier: str) -> None:
    client = program(people["officer"])
    assert client.get(f"{AT}/{identifier}").status_code == 404
    assert send(client, f"{AT}/{identifier}/cancel").status_code == 404


def test_the_donor_confirms_by_a_signature_once(people: dict[str, User]) -> None:
    claim = waiting_claim(people)
    client = program(people["officer"])
    done = send(client, f"{AT}/{claim.claim_id}/confirm", reason="USER_REQUESTED")
    assert (done.status_code, done.json()["status"]) == (200, "decided")
    assert (done.json()["decision"], done.json()["decided_by"]) == ("confirm", "DONOR")
    late = send(client, f"{AT}/{claim.claim_id}/cancel", reason="FRAUD")
    assert (late.status_code, late.json()["code"]) == (409, "claim_operation_invalid")


@pytest.mark.parametrize(
    ("verb", "sent", "status", "code"),
    [
        ("cancel", {"role": "NOBODY"}, 422, "validation_error"),
        ("cancel", {"reason": "x" * 3000}, 422, "validation_error"),
        ("cancel", {"reason": 7}, 422, "validation_error"),
        ("cancel", {"more": 1}, 422, "validation_error"),
        ("cancel", {"role": "CLAIMER", "reason": "BECAUSE"}, 422, "reason_invalid"),
        ("cancel", {"role": "CLAIMER", "reason": "a\x00"}, 422, "invalid_text"),
        ("confirm", {"role": "CLAIMER", "reason": "FRAUD"}, 403, "claim_party_invalid"),
        ("complete", {}, 409, "claim_operation_invalid"),
        ("complete", {"role": "DONOR"}, 409, "signature_needed"),
    ],
    ids=range(9),
)
def test_an_answer_is_refused_with_a_problem(
    people: dict[str, User], verb: str, sent: dict[str, Any], status: int, code: str
) -> None:
    claim = waiting_claim(people, rulebook="dict")
    answer = send(program(people["officer"]), f"{AT}/{claim.pk}/{verb}", **sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"].startswith("application/problem+json")
    claim.refresh_from_db()
    assert claim.status == "waiting"


def test_the_claimer_cancels_for_itself(people: dict[str, User]) -> None:
    claim = waiting_claim(people)
    client = program(people["officer"])
    done = send(client, f"{AT}/{claim.pk}/cancel", role="CLAIMER", reason="USER_REQUESTED")
    assert done.status_code == 200
    assert (done.json()["decision"], done.json()["decided_by"]) == ("cancel", "CLAIMER")
