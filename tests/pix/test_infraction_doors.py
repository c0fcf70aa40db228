"""Infractions over the API and on pages: who may, what is shown, what is refused."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.approvals.models import Comment
from apps.pix.models import Infraction
from apps.pix.services import demo_infractions
from tests.directory import OURS
from tests.pix.infraction_stage import World, payment

pytestmark = pytest.mark.django_db(transaction=True)

AT = "/api/v1/pix/infractions"


def program(user: User, *scopes: str) -> Client:
    _, secret = api_key_create(user=user, name="t", scopes=list(scopes) or ["all"], by=user)
    return Client(headers={"X-API-Key": secret})


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def send(client: Client, address: str, **body: Any) -> Any:
    return client.post(address, data=body, content_type="application/json")


def body(**changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": payment(OURS),
        "reporter_ispb": OURS,
        "situation": "SCAM",
        "key_type": "CPF",
        "key": "111.222.333-96",
        **changes,
    }


# --- the API --------------------------------------------------------------------------------------
def test_an_infraction_is_reported_once_and_read(pix: World) -> None:
    client = program(pix.officer)
    made = send(client, AT, **body(idempotency_key="k"))
    again = send(client, AT, **body(idempotency_key="k"))
    assert (made.status_code, again.status_code) == (201, 200)
    found = made.json()
    assert again.json()["id"] == found["id"]
    assert (found["status"], found["owed"], found["result"]) == ("open", "create", None)
    assert found["key"] == "***.222.333-**"
    assert found["workflow_id"] == f"infraction-{found['id']}"
    assert client.get(f"{AT}/{found['id']}").json() == found
    for query, number in (("due=open", 1), ("due=overdue", 0), ("participant=1", 0), ("mine=1", 1)):
        assert len(client.get(f"{AT}?{query}").json()["items"]) == number, query


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"situation": "OTHER"}, 422, "details_required"),
        ({"situation": "THEFT"}, 422, "validation_error"),
        ({"key": "11122233300"}, 422, "key_invalid"),
        ({"reporter_ispb": "99999999"}, 422, "not_our_participant"),
        ({"reporter_ispb": "x"}, 422, "ispb_invalid"),
        ({"transaction_id": "a\u202eb"}, 422, "invisible_characters"),
        ({"infraction_id": "TAKEN"}, 409, "infraction_id_taken"),
        ({"more": 1}, 422, "validation_error"),
    ],
)
def test_a_report_is_refused_with_a_code(
    pix: World, changes: dict[str, Any], status: int, code: str
) -> None:
    pix.received("TAKEN", "w")
    answer = send(program(pix.officer), AT, **body(**changes))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_scopes_and_people_are_kept_apart(pix: World) -> None:
    infraction = pix.received()
    one = f"{AT}/{infraction.pk}"
    reader = program(pix.officer, "pix:read")
    writer = program(pix.officer, "pix:read", "pix:write")
    assert reader.get(one).status_code == 200
    assert send(reader, AT, **body()).status_code == 403
    assert send(writer, f"{one}/dismiss", reason="No.").status_code == 403
    assert send(writer, f"{one}/evidence", description="A letter.").status_code == 200
    assert program(pix.people["requester"]).get(one).status_code == 404
    auditor = program(pix.people["auditor"])
    assert auditor.get(one).status_code == 200
    for verb in ("evidence", "escalate", "dismiss", "cancel"):
        sent = {"description": "x"} if verb == "evidence" else {"reason": "x"}
        assert send(auditor, f"{one}/{verb}", **sent).status_code == 403, verb
    assert Client().get(one).status_code == 401


def test_the_verbs_of_the_api(pix: World) -> None:
    infraction = pix.received()
    one, client = f"{AT}/{infraction.pk}", program(pix.officer)
    shown = send(client, f"{one}/evidence", evidence_url="https://x.example/a", nonce="n").json()
    assert shown["status"] == "investigating"
    assert send(client, f"{one}/escalate", reason="Large.").json()["status"] == "escalated"
    again = send(client, f"{one}/escalate", reason="Large.")
    assert (again.status_code, again.json()["code"]) == (409, "infraction_operation_invalid")
    stale = send(client, f"{one}/resolve", fraud_type="MULE_ACCOUNT", payload_hash="0" * 64)
    assert (stale.status_code, stale.json()["code"]) == (409, "payload_changed")
    plain = send(client, f"{one}/resolve", fraud_type="OTHER")
    assert (plain.status_code, plain.json()["code"]) == (422, "reason_required")
    done = send(client, f"{one}/resolve", fraud_type="OTHER", reason="A false shop.").json()
    assert (done["status"], done["result"], done["fraud_type"]) == ("closed", "AGREED", "OTHER")
    late = send(client, f"{one}/dismiss", reason="No.")
    assert (late.status_code, late.json()["code"]) == (409, "already_decided")
    assert send(client, f"{one}/cancel").json()["code"] == "infraction_party_invalid"


def test_a_report_of_ours_is_cancelled_and_not_decided_here(pix: World) -> None:
    client = program(pix.officer)
    one = f"{AT}/{send(client, AT, **body()).json()['id']}"
    refused = send(client, f"{one}/dismiss", reason="No.")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_waiting")
    assert send(client, f"{one}/cancel", reason="A mistake.").json()["status"] == "cancelled"
    assert send(client, f"{one}/cancel").status_code == 200


# --- pages ----------------------------------------------------------------------------------------
def test_the_pages_show_an_infraction_and_its_clock(pix: World) -> None:
    infraction = pix.received(details="Never sent.", transaction_id=payment())
    officer = browser(pix.officer)
    for address in (
        "/",
        "/pix/infractions/",
        "/pix/infractions/?due=open&sort=due",
        "/pix/infractions/new/",
    ):
        assert officer.get(address).status_code == 200, address
    listed = officer.get("/pix/infractions/").content.decode()
    assert infraction.transaction_id in listed and "due" in listed
    page = officer.get(f"/pix/infractions/{infraction.pk}/").content.decode()
    for said in ("Never sent.", "Bring evidence", "It was fraud", "Escalate it", "99999001"):
        assert said in page, said
    assert "Take the report back" not in page
    assert officer.get(f"/pix/infractions/{infraction.pk}/live/").status_code == 200
    assert officer.get(f"/search/?q={infraction.infraction_id}").status_code in (200, 302)


def test_what_a_person_does_on_the_page(pix: World) -> None:
    infraction = pix.received()
    at, officer = f"/pix/infractions/{infraction.pk}/", browser(pix.officer)
    officer.post(f"{at}evidence/", {"reason": "<b>A letter</b>"})
    assert Comment.objects.get().text == "<b>A letter</b>"
    page = officer.get(at).content.decode()
    assert "&lt;b&gt;A letter" in page and "<b>A letter" not in page
    officer.post(f"{at}escalate/", {"reason": "Large."})
    officer.post(f"{at}resolve/", {"fraud_type": "OTHER", "reason": ""})
    infraction.refresh_from_db()
    assert infraction.status == "escalated"
    officer.post(f"{at}resolve/", {"fraud_type": "MULE_ACCOUNT", "reason": "Seen."})
    infraction.refresh_from_db()
    assert (infraction.status, infraction.fraud_type) == ("closed", "MULE_ACCOUNT")
    assert "mule account" in officer.get(at).content.decode()


def test_one_is_reported_on_the_page(pix: World) -> None:
    officer = browser(pix.officer)
    sent = {**body(), "reason": "REFUND_REQUEST", "idempotency_key": "k"}
    made: Any = officer.post("/pix/infractions/new/", sent)
    infraction = Infraction.objects.get()
    assert made.url == f"/pix/infractions/{infraction.pk}/"
    assert "Take the report back" in officer.get(made.url).content.decode()
    wrong = officer.post(
        "/pix/infractions/new/", {**sent, "situation": "OTHER", "transaction_id": "E"}
    )
    assert wrong.status_code == 422
    officer.post(f"{made.url}cancel/", {"reason": ""})
    infraction.refresh_from_db()
    assert infraction.status == "cancelled"


def test_who_reads_sees_no_verb_and_others_nothing(pix: World) -> None:
    infraction = pix.received()
    page = browser(pix.people["auditor"]).get(f"/pix/infractions/{infraction.pk}/").content.decode()
    assert "Bring evidence" not in page
    requester = browser(pix.people["requester"])
    assert requester.get(f"/pix/infractions/{infraction.pk}/").status_code == 404
    assert requester.get("/pix/infractions/").status_code == 403
    assert requester.get("/pix/infractions/new/").status_code == 403


def test_the_admin_shows_it_and_hides_the_key(pix: World) -> None:
    infraction = pix.received(key_type="CPF", key="11122233396")
    admin = browser(pix.people["admin"])
    for address in ("", f"{infraction.pk}/change/"):
        page = admin.get(f"/admin/pix/infraction/{address}")
        assert page.status_code == 200
        assert "11122233396" not in page.content.decode()
    assert admin.get("/admin/pix/infractionsignal/").status_code == 200


def test_the_request_says_what_it_is_about_and_hides_the_key(pix: World) -> None:
    infraction = pix.received(key_type="CPF", key="11122233396", details="Never sent.")
    request = pix.request_of(infraction)
    page = browser(pix.officer).get(f"/requests/{request.pk}/")
    said = page.content.decode()
    assert page.status_code == 200
    assert "Never sent." in said and "Mule account" in said
    assert "11122233396" not in said


def test_the_demo_is_made_once(pix: World) -> None:
    for _again in range(2):
        assert list(demo_infractions.infractions_seed(people=pix.people))
    statuses = dict(Infraction.objects.values_list("infraction_id", "status"))
    assert statuses == {
        "DEMO-INFRACTION-1": "open",
        "DEMO-INFRACTION-2": "open",
        "DEMO-INFRACTION-3": "closed",
    }
    soon = Infraction.objects.get(infraction_id="DEMO-INFRACTION-1")
    assert 0 < (soon.due_at - timezone.now()).total_seconds() < 86_400
