"""Pages and API of synchronisations."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.pix.contracts import SYNC_RUN
from apps.pix.contracts.sync import SyncStatus
from apps.pix.models import Participant, SyncDifference, SyncRun
from apps.pix.models.content_ids import BUCKETS
from apps.pix.services.sync_comparing import sync_compare
from apps.pix.services.sync_reporting import sync_report
from apps.pix.services.sync_requesting import sync_request
from tests.pix.sync.entries import ISPB

pytestmark = pytest.mark.django_db


def somebody(role: str) -> tuple[User, Client]:
    user: User = User.objects.create_user(role.replace(" ", "-"), password=None)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return user, client


@pytest.fixture
def officer(db: None) -> tuple[User, Client]:
    Participant.objects.create(ispb=ISPB, name="Ours", ours=True)
    return somebody("key officer")


def ended(by: User) -> SyncRun:
    """A run that has ended with one difference repaired and one left."""
    run, _new = sync_request(participant=ISPB, by=by, via="api", as_of=timezone.now())
    run.verdicts.update(before=True, ours=5)
    run.verdicts.filter(key_type="PHONE").update(before=False, after=False, theirs=6)
    for kind, state, why in (("missing", "repaired", ""), ("extra", "left", "under_claim")):
        SyncDifference.objects.create(
            run=run,
            key_type="PHONE",
            kind=kind,
            cid=kind.encode().ljust(32, b"\0"),
            state=state,
            why=why,
            key="+55*****99",
        )
    SyncRun.objects.filter(pk=run.pk).update(phase="report")
    sync_report(str(run.pk))
    run.refresh_from_db()
    return run


def test_the_api_from_start_to_end(officer: tuple[User, Client]) -> None:
    _user, client = officer
    base = "/api/v1/pix/sync-runs"
    body: dict[str, Any] = {"participant": ISPB, "idempotency_key": "one"}
    made = client.post(base, body, content_type="application/json")
    assert (made.status_code, made.json()["status"]) == (201, "running")
    same = client.post(base, body, content_type="application/json")
    assert (same.status_code, same.json()["id"]) == (200, made.json()["id"])
    second = client.post(base, {"participant": ISPB}, content_type="application/json")
    assert (second.status_code, second.json()["code"]) == (409, "sync_running")
    assert second.json()["run_id"] == made.json()["id"]
    wrong = client.post(base, {"participant": "99999999"}, content_type="application/json")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "participant_not_ours")

    one = f"{base}/{made.json()['id']}"
    read = client.get(one).json()
    assert [row["key_type"] for row in read["types"]] == ["CPF", "CNPJ", "PHONE", "EMAIL", "EVP"]
    assert client.get(f"{one}/report.pdf").json()["code"] == "sync_not_ended"
    stopped = client.post(f"{one}/stop", {"reason": "No."}, content_type="application/json")
    assert stopped.json()["status"] == "stopped"
    assert [row["id"] for row in client.get(base).json()["items"]] == [made.json()["id"]]


def test_the_report_is_a_page_a_csv_and_a_pdf(officer: tuple[User, Client]) -> None:
    user, client = officer
    run = ended(user)
    assert run.status == SyncStatus.DIFFERS
    page = client.get(f"/pix/sync/{run.pk}/").content.decode()
    assert "under a claim" in page and "1 repaired, 1 left of 2" in page
    for route in (f"/pix/sync/{run.pk}/", f"/api/v1/pix/sync-runs/{run.pk}/"):
        csv = client.get(f"{route}report.csv")
        lines = b"".join(csv.streaming_content).decode().splitlines()
        assert lines[0].startswith("key_type,kind,state,why")
        assert lines[1].startswith("PHONE,missing,repaired,") and len(lines) == 3
        pdf = client.get(f"{route}report.pdf")
        assert pdf["Content-Type"] == "application/pdf" and pdf.content.startswith(b"%PDF")
    found = client.get(f"/api/v1/pix/sync-runs/{run.pk}/differences?state=left").json()
    assert [row["why"] for row in found["items"]] == ["under_claim"]
    assert client.get("/pix/sync/").status_code == 200


def test_who_decides_reads_what_would_be_repaired(officer: tuple[User, Client]) -> None:
    user, client = officer
    run, _new = sync_request(participant=ISPB, by=user, via="api", as_of=timezone.now())
    everything = {"before": False, "ours": 1, "theirs": 102, "compared": BUCKETS}
    run.verdicts.filter(key_type="EVP").update(**everything)
    SyncDifference.objects.bulk_create(
        SyncDifference(
            run=run,
            key_type="EVP",
            kind="missing",
            cid=bytes([number]) * 32,
            state="pending",
            key=f"{number:08}-***",
        )
        for number in range(101)
    )
    SyncRun.objects.filter(pk=run.pk).update(phase="compare")
    sync_compare(str(run.pk))
    run.refresh_from_db()
    assert run.status == SyncStatus.WAITING
    request = requests_about(SYNC_RUN, run.pk).get()
    page = client.get(f"/requests/{request.pk}/").content.decode()
    assert "EVP: 101 only there, 0 only here; 1 here, 102 in the file" in page
    assert f'href="/pix/sync/{run.pk}/"' in page
    assert "EVP differs" in client.get("/pix/sync/").content.decode()


def test_it_is_begun_and_stopped_on_the_pages(officer: tuple[User, Client]) -> None:
    _user, client = officer
    assert "Ours (12345678)" in client.get("/pix/sync/new/").content.decode()
    client.post("/pix/sync/new/", {"participant": ISPB, "idempotency_key": "k"})
    run = SyncRun.objects.get()
    assert "asking the directory" in client.get(f"/pix/sync/{run.pk}/").content.decode()
    client.post(f"/pix/sync/{run.pk}/stop/", {"reason": "Not now."})
    run.refresh_from_db()
    assert run.status == SyncStatus.STOPPED


def test_who_only_reads_begins_and_stops_nothing(officer: tuple[User, Client]) -> None:
    user, _client = officer
    run = ended(user)
    _auditor, client = somebody("auditor")
    assert client.get(f"/pix/sync/{run.pk}/").status_code == 200
    assert client.get("/pix/sync/new/").status_code == 403
    assert client.post(f"/pix/sync/{run.pk}/stop/", {"reason": "x"}).status_code == 403
    body = {"participant": ISPB}
    made = client.post("/api/v1/pix/sync-runs", body, content_type="application/json")
    assert made.status_code == 403
    _stranger, client = somebody("booking agent")
    assert client.get("/pix/sync/").status_code == 403
    assert client.get(f"/api/v1/pix/sync-runs/{run.pk}").status_code in (403, 404)


def test_the_admin_lists_them(officer: tuple[User, Client]) -> None:
    user, _client = officer
    run = ended(user)
    admin: User = User.objects.create_superuser("root", password=None)
    client = Client()
    client.force_login(admin)
    for model in ("syncrun", "syncdifference", "cidevent"):
        assert client.get(f"/admin/pix/{model}/").status_code == 200
    assert client.get(f"/admin/pix/syncrun/{run.pk}/change/").status_code == 200
