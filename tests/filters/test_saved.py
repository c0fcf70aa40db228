"""Saved filters: of a list, kept, shared, limited, audited."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connections
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.approvals.forms import FILTERED, InboxFilter
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.filters import services
from apps.filters.models import SavedFilter
from apps.web import saved_filters
from tests.approvals.world import auditor, person


def save(owner: User, name: str = "Big ones", query: str = "least=5000", **changes: Any):
    return services.filter_save(
        **{
            **{"owner": owner, "page": "inbox", "name": name, "query": query},
            **{"shared": False, "via": "page"},
            **changes,
        }
    )


def refused(call: Any, *args: Any, **kwargs: Any) -> str:
    """The code it is refused with; fails when it is not refused or not audited."""
    before = AuditEntry.objects.filter(outcome="refused").count()
    with pytest.raises(DomainError) as caught:
        call(*args, **kwargs)
    assert AuditEntry.objects.filter(outcome="refused").count() == before + 1
    return caught.value.code


# --- saved ----------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_filter_saved_twice_is_one_and_recorded_once() -> None:
    ngozi = person("ngozi")
    first = save(ngozi)
    again = save(ngozi)
    assert first.pk == again.pk
    assert AuditEntry.objects.filter(action="filter.saved").count() == 1
    renewed = save(ngozi, query="least=9000", shared=True)
    assert renewed.pk == first.pk
    assert SavedFilter.objects.get().query == "least=9000"
    assert AuditEntry.objects.filter(action="filter.saved").count() == 2


@pytest.mark.django_db
def test_who_only_reads_keeps_no_filter() -> None:
    assert refused(save, auditor()) == "permission_denied"
    assert not SavedFilter.objects.exists()


@pytest.mark.django_db
def test_only_the_inboxs_own_parameters_are_kept_in_one_order() -> None:
    saved = save(
        person("ngozi"), query="?mine=on&cursor=abc&next=//evil&kind=test.payment&q=well&kind="
    )
    # The last value of a name counts, as it does on the page.
    assert saved.query == "q=well&mine=on"
    assert list(FILTERED.parameters) == list(InboxFilter().fields)


@pytest.mark.django_db
def test_what_is_no_filter_is_refused_and_recorded() -> None:
    ngozi = person("ngozi")
    wrong: list[tuple[dict[str, str], str]] = [
        ({"name": ""}, "name_invalid"),
        ({"name": "  \n "}, "name_invalid"),
        ({"name": "x" * 61}, "name_invalid"),
        ({"name": "a\x00b"}, "name_invalid"),
        ({"name": "\ud800"}, "name_invalid"),
        ({"name": "turn\u202eed"}, "name_invalid"),
        ({"query": ""}, "query_invalid"),
        ({"query": "cursor=abc"}, "query_invalid"),
        ({"query": "q=%00abc"}, "query_invalid"),
        ({"query": "q=" + "x" * 600}, "query_invalid"),
        ({"query": "&".join(f"a{n}=1" for n in range(3000))}, "query_invalid"),
    ]
    for changes, code in wrong:
        assert refused(save, ngozi, **changes) == code, changes
    assert not SavedFilter.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_limit_holds_when_many_are_saved_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST_FILTERS", 3)
    ngozi = person("ngozi")

    def attempt(number: int) -> str:
        try:
            save(ngozi, name=f"filter {number % 5}")
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()
        return "saved"

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(attempt, range(10)))
    assert set(codes) <= {"saved", "too_many_filters"}
    assert SavedFilter.objects.count() == 3


@pytest.mark.django_db
def test_a_filter_is_deleted_by_its_owner_once_and_by_nobody_else() -> None:
    ngozi, rafael = person("ngozi"), person("rafael")
    own = save(ngozi)
    shared = save(ngozi, name="Shared", shared=True)
    for one in (own, shared):
        assert refused(services.filter_delete, filter_id=one.pk, by=rafael, via="page") == (
            "not_found"
        )
    services.filter_delete(filter_id=own.pk, by=ngozi, via="page")
    assert refused(services.filter_delete, filter_id=own.pk, by=ngozi, via="page") == "not_found"
    rafael.user_permissions.add(Permission.objects.get(codename="delete_savedfilter"))
    rafael = User.objects.get(pk=rafael.pk)
    services.filter_delete(filter_id=shared.pk, by=rafael, via="page")
    assert not SavedFilter.objects.exists()


@pytest.mark.django_db
def test_shared_ones_are_offered_to_all_while_their_owner_is_here() -> None:
    ngozi, rafael = person("ngozi"), person("rafael")
    save(ngozi, name="Own")
    save(ngozi, name="Shared", shared=True)
    assert [one.name for one in SavedFilter.objects.offered_to(rafael)] == ["Shared"]
    assert [one.name for one in SavedFilter.objects.offered_to(ngozi)] == ["Own", "Shared"]
    User.objects.filter(pk=ngozi.pk).update(is_active=False)
    assert not SavedFilter.objects.offered_to(rafael)


# --- of a list ------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_each_list_has_its_own(client: Client) -> None:
    ngozi = person("ngozi", is_staff=True)
    ngozi.user_permissions.add(Permission.objects.get(codename="view_quarantinedevent"))
    ngozi = User.objects.get(pk=ngozi.pk)
    reverse("quarantined_events")  # the addresses are loaded, as in every process of the site
    save(ngozi)
    mine = save(ngozi, page="quarantined_events", query="state=open&sort=oldest&q=SEK&cursor=x")
    assert mine.query == "q=SEK&state=open&sort=oldest"
    assert save(ngozi, page="quarantined_events", query="group=7").query == "group=7"
    client.force_login(ngozi)
    shown = client.get(reverse("quarantined_events")).content.decode()
    assert shown.count("Big ones") == 1
    here = client.get(f"{reverse('quarantined_events')}?group=7").content.decode()
    assert "Delete<span" in here and 'aria-current="true">Big ones' in here
    other = client.get(f"{reverse('quarantined_events')}?state=open").content.decode()
    assert 'value="state=open"' in other and "Save this filter" in other


@pytest.mark.django_db
def test_who_does_not_see_a_list_saves_no_filter_of_it() -> None:
    reverse("quarantined_events")
    ngozi = person("ngozi")
    assert refused(save, ngozi, page="quarantined_events", query="state=open") == (
        "permission_denied"
    )
    for odd in ("", "nowhere", "\0", "x" * 1000):
        assert refused(save, ngozi, page=odd) == "page_unknown"


@pytest.mark.django_db
def test_the_page_saves_and_deletes_and_comes_back_to_the_list(client: Client) -> None:
    ngozi = person("ngozi")
    client.force_login(ngozi)
    url = reverse("filter_save", args=["inbox"])
    answer = client.post(url, {"name": "Late", "query": "due=over&cursor=1"})
    assert answer["Location"] == f"{reverse('inbox')}?due=over"
    saved = SavedFilter.objects.get()
    assert (saved.page, saved.query, saved.shared) == ("inbox", "due=over", False)
    answer = client.post(url, {"name": "", "query": "due=over"})
    assert answer["Location"] == f"{reverse('inbox')}?due=over"
    assert client.post(url, {"name": "x", "query": "due=never"})["Location"] == reverse("inbox")
    assert client.post(reverse("filter_save", args=["nowhere"])).status_code == 404
    delete = reverse("filter_delete", args=["inbox", saved.pk])
    for _ in range(2):
        assert client.post(delete)["Location"] == reverse("inbox")
    assert not SavedFilter.objects.exists()


def test_every_list_with_filters_is_registered() -> None:
    reverse("inbox")
    names = {page.name for page in saved_filters.registered()}
    assert {"inbox", "quarantined_events", "payment_events", "replays", "interventions"} <= names
    for page in saved_filters.registered():
        assert reverse(page.name)


# --- over the API ---------------------------------------------------------------------------------
class Api:
    """The API of saved filters as one person, by a key."""

    def __init__(self, user: User, *scopes: str) -> None:
        _, key = api_key_create(user=user, name="t", scopes=list(scopes or ["all"]), by=user)
        self.client = Client(headers={"X-API-Key": key})

    def send(self, path: str = "", body: Any = None, method: str = "POST") -> tuple[int, Any]:
        answer = self.client.generic(
            method,
            f"/api/v1/filters{path}",
            data=b"" if body is None else json.dumps(body),
            content_type="application/json",
        )
        return answer.status_code, answer.json() if answer.content else None


LATE = {"page": "inbox", "name": "Late", "query": "due=over&x=1", "shared": True}


@pytest.mark.django_db
def test_a_filter_is_kept_listed_and_forgotten() -> None:
    mine, other = Api(person("ngozi")), Api(person("rafael"))
    status, saved = mine.send(body=LATE)
    assert (status, saved["page"], saved["query"], saved["deletable"]) == (
        *(201, "inbox", "due=over", True),
    )
    [seen] = other.send("?page=inbox", method="GET")[1]["items"]
    assert (seen["name"], seen["owner"]["username"], seen["deletable"]) == ("Late", "ngozi", False)
    for page in ("budgets", "%00", "x"):
        assert other.send(f"?page={page}", method="GET")[1]["items"] == []
    assert other.send(f"/{saved['id']}", method="DELETE")[1]["code"] == "not_found"
    assert mine.send(f"/{saved['id']}", method="DELETE") == (204, None)
    assert mine.send(f"/{saved['id']}", method="DELETE")[0] == 404
    assert not SavedFilter.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": ""}, "name_invalid"),
        ({"query": ""}, "query_invalid"),
        ({"query": "due=never"}, "query_invalid"),
        ({"query": "q=%00abc"}, "query_invalid"),
        ({"page": "nowhere"}, "page_unknown"),
    ],
)
def test_a_filter_that_is_none_is_refused(changes: dict[str, str], code: str) -> None:
    ngozi = person("ngozi")
    status, problem = Api(ngozi).send(body=LATE | changes)
    assert (status, problem["code"]) == (422, code)
    narrow = Api(ngozi, "filters:read")
    assert narrow.send(body=LATE)[1]["code"] == "scope_missing"


# --- in the admin ---------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_admin_shows_ones_own_and_shared_ones_and_auditors_all() -> None:
    people = {name: person(name, is_staff=True) for name in ("ana", "ben", "auditor")}
    for user in people.values():
        user.user_permissions.add(Permission.objects.get(codename="view_savedfilter"))
    people["auditor"].user_permissions.add(Permission.objects.get(codename="view_auditentry"))
    own = save(people["ana"], name="a")
    shared = save(people["ana"], name="b", shared=True)
    for name, seen in (
        ("ana", {own.pk, shared.pk}),
        ("auditor", {own.pk, shared.pk}),
        ("ben", {shared.pk}),
    ):
        client = Client()
        client.force_login(User.objects.get(pk=people[name].pk))
        answer = client.get(reverse("admin:filters_savedfilter_changelist"))
        assert {row.pk for row in answer.context["cl"].result_list} == seen, name
