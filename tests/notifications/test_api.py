"""Webhooks over the API and in the admin."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.services import api_key_create
from apps.notifications.models import Mail, Notification, WebhookDelivery, WebhookEndpoint
from apps.notifications.services import notify
from tests.notifications.conftest import LOUD, somebody

pytestmark = pytest.mark.django_db(transaction=True)

BODY = {"url": "https://example.org/hook", "events": ["approval.approved"]}


class Caller:
    """Calls with a key of its own."""

    def __init__(self, user: User, *scopes: str) -> None:
        _, self.key = api_key_create(user=user, name="k", scopes=list(scopes), by=None)
        self.client = Client()

    def __call__(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        answer = self.client.generic(
            method,
            f"/api/v1/webhooks{path}",
            data=b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"X-API-Key": self.key},
        )
        return answer.status_code, answer.json() if answer.content else None


@pytest.fixture
def call() -> Caller:
    return Caller(somebody("admin", is_superuser=True), "webhooks:write")


def test_a_webhook_from_its_making_to_its_end(call: Caller) -> None:
    status, made = call("POST", "", BODY)
    assert status == 201 and made["secret"].startswith("whsec_")
    status, listed = call("GET")
    assert status == 200
    (row,) = listed["items"]
    assert (row["id"], row["url"], row["active"]) == (made["id"], BODY["url"], True)
    assert "secret" not in str(row).replace("previous_secret_until", "")
    assert "approval.opened" in listed["events"]
    status, ping = call("POST", f"/{made['id']}/ping")
    assert status == 202
    status, deliveries = call("GET", f"/{made['id']}/deliveries")
    assert [d["message_id"] for d in deliveries["items"]] == [ping["message_id"]]
    status, rotated = call("POST", f"/{made['id']}/rotate")
    assert status == 200 and rotated["secret"] != made["secret"]
    assert call("DELETE", f"/{made['id']}") == (204, None)
    for method, path in (("DELETE", ""), ("POST", "/ping"), ("GET", "/deliveries")):
        status, problem = call(method, f"/{made['id']}{path}")
        assert (status, problem["code"]) == (404, "not_found")
    assert call("GET")[1]["items"] == []


def test_neither_the_scope_nor_the_permission_alone_is_enough(call: Caller) -> None:
    other = Caller(User.objects.get(username="admin"), "approvals:read")
    assert other("POST", "", BODY)[1]["code"] == "scope_missing"
    reviewer = Caller(somebody("reviewer"), "all")
    for method, path in (("POST", ""), ("GET", "")):
        status, problem = reviewer(method, path, BODY if method == "POST" else None)
        assert (status, problem["code"]) == (403, "permission_denied")
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**BODY, "url": "http://example.org/"}, "bad_url"),
        ({**BODY, "url": "https://169.254.169.254/latest"}, "private_address"),
        ({**BODY, "events": ["approval.nothing"]}, "unknown_event"),
        ({**BODY, "events": []}, "event_required"),
        ({**BODY, "events": "approval.opened"}, "validation_error"),
    ],
)
def test_nonsense_is_refused_with_a_code(call: Caller, body: Any, code: str) -> None:
    status, problem = call("POST", "", body)
    assert (status, problem["code"]) == (422, code)


# --- the admin -----------------------------------------------------------------------------------
@pytest.fixture
def admin(call: Caller) -> Client:
    user = User.objects.get(username="admin")
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    client = Client()
    client.force_login(user)
    return client


def test_in_the_admin_the_secret_is_shown_once_and_nowhere_else(admin: Client) -> None:
    answer = admin.post(reverse("admin:notifications_webhookendpoint_put"), BODY, follow=True)
    assert answer.status_code == 200
    endpoint = WebhookEndpoint.objects.get()
    assert b"whsec_" in answer.content
    page = admin.get(reverse("admin:notifications_webhookendpoint_change", args=[endpoint.pk]))
    assert b"whsec_" not in page.content
    assert endpoint.secret_sealed.encode() not in page.content


@pytest.mark.parametrize("action", ["ping", "rotate", "switch_off", "delete_endpoint"])
def test_verbs_ask_first_and_then_do(admin: Client, call: Caller, action: str) -> None:
    call("POST", "", BODY)
    endpoint = WebhookEndpoint.objects.get()
    before = WebhookEndpoint.objects.values().get()
    address = reverse("admin:notifications_webhookendpoint_changelist")
    post = {"action": action, "_selected_action": str(endpoint.pk)}
    assert admin.post(address, post).status_code == 200
    assert WebhookEndpoint.objects.values().get() == before
    done = admin.post(address, {**post, "confirmed": "yes", "reason": "because"})
    assert done.status_code == 200 and b"Nothing was changed" not in done.content
    endpoint.refresh_from_db()
    match action:
        case "ping":
            assert WebhookDelivery.objects.get().event == "webhook.ping"
        case "rotate":
            assert endpoint.previous_sealed == before["secret_sealed"]
        case "switch_off":
            assert (endpoint.active, endpoint.why_inactive) == (False, "because")
        case _:
            assert endpoint.deleted_at is not None


def test_an_unknown_mail_is_sent_again_from_the_admin(admin: Client, settings: Any) -> None:
    settings.EMAIL_ENABLED = True
    notify(key="k", recipients=[somebody()], kind=LOUD, title="It waits")
    Mail.objects.update(state="unknown")
    mail = Mail.objects.get()
    address = reverse("admin:notifications_mail_changelist")
    post = {
        "action": "send_again",
        "_selected_action": str(mail.pk),
        "confirmed": "yes",
        "reason": "they asked",
    }
    assert b"Will be sent" in admin.post(address, post).content
    assert Mail.objects.get().state == "pending"
    assert Notification.objects.count() == 1
