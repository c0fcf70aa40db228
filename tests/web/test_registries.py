"""What apps register: every name resolves, nothing is registered twice, no shared app names a
domain."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.template.loader import get_template
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from apps.accounts import roles, scopes
from apps.accounts.models import User
from apps.audit import subject_types
from apps.common.registry import Registry
from apps.console.context import Shell
from apps.engine import default_schedules, timeline
from apps.engine.models import WorkflowSchedule
from apps.live import topics
from apps.web import body_sizes, dashboard, demo, navigation, refusals, tones
from benchmarks import __main__ as benchmarks_main
from benchmarks.__main__ import registered
from benchmarks.bench import MOST_QUICK_SECONDS, MOST_SECONDS
from tests.test_architecture import ROOT, imports
from tests.web import codes
from workers.registry import QUEUES

DOMAINS = ("interventions", "payments", "pix", "automations", "bookings", "wallets")
SHARED = ("accounts", "approvals", "audit", "common", "console", "engine", "live", "notifications")


# --- the registry itself ------------------------------------------------------------------------
def test_a_key_is_taken_once_and_the_same_value_again_changes_nothing() -> None:
    registry = Registry[str]("colour")
    registry.add("sky", "blue")
    registry.add("sky", "blue")
    with pytest.raises(ImproperlyConfigured, match="the colour 'sky' is registered twice"):
        registry.add("sky", "grey")
    assert registry.by_key() == {"sky": "blue"}
    assert registry.get("sea") is None


def test_another_value_under_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured):
        refusals.explain({"expired": "Something else."})
    with pytest.raises(ImproperlyConfigured):
        tones.register({"executed": "bad"})
    with pytest.raises(ImproperlyConfigured):
        timeline.register_words({"approval.opened": "Something else"})
    with pytest.raises(ImproperlyConfigured):
        navigation.register(navigation.Item("work", "Something else", "inbox"))
    with pytest.raises(ImproperlyConfigured, match="no role 'king'"):
        roles.grant("king", "approvals.view_approvalrequest")


# --- no shared part names a domain ---------------------------------------------------------------
@pytest.mark.parametrize("app", [*SHARED, "web"])
def test_a_shared_app_imports_no_domain(app: str) -> None:
    guilty = {
        (str(path.relative_to(ROOT)), module)
        for path in (ROOT / "apps" / app).rglob("*.py")
        for module in imports(path)
        if module.startswith(tuple(f"apps.{domain}" for domain in DOMAINS))
    }
    assert guilty == set()


@pytest.mark.parametrize("app", ["console", "approvals", "audit", "notifications", "accounts"])
def test_a_shared_template_links_to_no_page_of_a_domain(app: str) -> None:
    theirs = {
        pattern.name
        for domain in DOMAINS
        if (ROOT / "apps" / domain / "urls.py").exists()
        for pattern in _patterns_of(f"apps.{domain}.urls")
    }
    guilty = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "templates" / app).rglob("*.html")
        for name in re.findall(r"{% url ['\"]([^'\"]+)['\"]", path.read_text())
        if name in theirs
    }
    assert guilty == set()


# --- navigation ----------------------------------------------------------------------------------
#: Pages without arguments that nobody looks for in the navigation.
ELSEWHERE = {
    # The bell and the person's own menu, on every page.
    *("notifications", "notification_settings", "account_security", "logout"),
    # Forms, that the list's own button opens.
    *("intervention_new", "batch_new", "transfer_new", "bulk_preview", "adjustment_new"),
    *("topup_new", "booking_new", "refund_new", "replay_new", "quarantine_import"),
    *("automation_new", "key_new", "key_find", "infraction_new", "claim_new"),
    "pix_sync_new",
    # From the list of claims.
    *("claims_board", "rulebooks", "rulebook_new"),
    # Files.
    *("audit_export", "mfa_download_recovery_codes"),
    # Before one is signed in, and the steps of the person's security page.
    *("login", "account_login", "mfa_authenticate", "login_cancel", "account_reauthenticate"),
    *("mfa_reauthenticate", "account_change_password", "mfa_activate_totp"),
    *("mfa_view_recovery_codes",),
    # Addresses that are posted to.
    *("bulk_run", "notifications_read", "mfa_deactivate_totp"),
    *("account_sessions_end", "rail"),
    # Fragments without a page of that name.
    *("counts", "notifications_count"),
}


def _patterns_of(module: str) -> list[URLPattern]:
    return [one for one in get_resolver(module).url_patterns if isinstance(one, URLPattern)]


def _patterns(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for one in resolver.url_patterns:
        if isinstance(one, URLPattern):
            yield before + str(one.pattern), one
        elif not one.namespace:
            yield from _patterns(one, before + str(one.pattern))


def test_every_page_of_a_list_is_in_the_navigation() -> None:
    names = {
        pattern.name
        for path, pattern in _patterns(get_resolver())
        if pattern.name and "<" not in path and not pattern.name.endswith("_live")
    }
    ours = {
        name for name in names if not name.startswith("api-") and name not in {"health", "ready"}
    }
    places = {item.url_name for item in navigation.items()}
    assert (ours - ELSEWHERE) | {"admin:index"} == places
    # What is listed here exists.
    assert names >= ELSEWHERE


def test_every_place_reverses_and_stands_in_a_section_that_exists() -> None:
    keys = {section.key for section in navigation.sections()}
    names = {item.url_name for item in navigation.items()}
    paths = [f"/{path}" for path, _ in _patterns(get_resolver())]
    for item in navigation.items():
        assert reverse(item.url_name).startswith("/")
        assert item.section in keys
        assert item.parent == "" or item.parent in names
        for prefix in item.also:
            assert any(path.startswith(prefix) for path in paths), prefix
    orders = [section.order for section in navigation.sections()]
    assert len(set(orders)) == len(orders)


def _shell(path: str, user: User) -> Shell:
    request = RequestFactory().get(path)
    request.user = user
    return Shell(request)


@pytest.mark.django_db
def test_the_bottom_bar_shows_what_the_person_may_see_in_this_order() -> None:
    nobody = User.objects.create(username="nobody")
    everybody = User.objects.create(username="admin", is_superuser=True, is_staff=True)
    expected = [
        (item.title, reverse(item.url_name))
        for name in ("home", "inbox", "search")
        for item in navigation.items()
        if item.url_name == name
    ]
    assert expected[:2] == [("Home", "/"), ("Inbox", "/inbox/")]
    for user in (nobody, everybody):
        assert [(item.title, item.href) for item in _shell("/", user).bottom_bar] == expected


@pytest.mark.django_db
def test_sections_hold_what_the_person_may_see_in_this_order() -> None:
    everybody = User.objects.create(username="admin", is_superuser=True, is_staff=True)
    found = {
        section.title: [place.title for place in section.items]
        for section in _shell("/", everybody).sections
    }
    assert found == {
        "Work": ["Home", "Inbox", "Search", "Bulk decisions", "Delegations"],
        "Interventions": [
            *("All", "Batches", "Outcomes", "Budgets", "Transfers", "Policies"),
        ],
        "Payments": ["Overview", "Events", "Quarantine", "Quarantined", "Replays"],
        "Pix keys": ["Keys", "Claims", "Infractions", "Sync"],
        "Bookings": [
            *("Bookings", "Trips", "Refunds", "Cancelled trips", "Wallets", "Top-ups"),
            *("Adjustments", "Ledger"),
        ],
        "Automations": ["Automations", "Executions"],
        "System": ["Workers", "Runs", "Commands", "Schedules", "Audit", "Admin"],
    }
    nobody = User.objects.create(username="nobody")
    seen = {
        section.title: [item.title for item in section.items]
        for section in _shell("/", nobody).sections
    }
    assert seen == {
        "Work": found["Work"],
        "Interventions": ["All", "Batches", "Outcomes", "Transfers"],
        "Bookings": ["Bookings", "Refunds", "Cancelled trips", "Top-ups", "Adjustments"],
        "Pix keys": ["Claims"],
        "Automations": ["Executions"],
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "here", "current", "in_the_bar"),
    [
        ("/", "home", "page", "home"),
        ("/inbox/", "inbox", "page", "inbox"),
        ("/inbox/bulk/", "inbox", "true", "inbox"),
        ("/requests/0198a0b0-0000-7000-8000-000000000000/", "inbox", "true", "inbox"),
        ("/bulk/", "bulk_list", "page", "inbox"),
        ("/delegations/", "delegations", "page", "inbox"),
        ("/interventions/", "interventions", "page", None),
        ("/interventions/new/", "interventions", "true", None),
        ("/interventions/batches/new/", "batches", "true", None),
        ("/interventions/outcomes/", "outcomes", "page", None),
        ("/budgets/main/", "budgets", "true", None),
        ("/budgets/transfers/", "transfers", "page", None),
        ("/policies/", "policies", "page", None),
        ("/wallets/ada/", "wallets", "true", None),
        ("/top-ups/", "topups", "page", None),
        ("/ledger/", "ledger", "page", None),
        ("/ledger/adjustments/", "adjustments", "page", None),
        ("/trips/", "trips", "page", None),
        ("/pix/infractions/new/", "infractions", "true", None),
        ("/workers/", "workers", "page", None),
        ("/workers/runs/7/", "workflow_runs", "true", None),
        ("/workers/commands/", "engine_commands", "page", None),
        ("/schedules/reconcile-interventions/", "schedules", "true", None),
        ("/audit/", "audit", "page", None),
        ("/admin/", "admin:index", "page", None),
        ("/admin/accounts/user/", "admin:index", "true", None),
        ("/account/security/", None, None, None),
        ("/notifications/", None, None, None),
    ],
)
def test_the_place_with_the_longest_path_is_the_current_one(
    path: str, here: str | None, current: str | None, in_the_bar: str | None
) -> None:
    shell = _shell(path, User.objects.create(username="a", is_superuser=True, is_staff=True))
    places = [place for section in shell.sections for place in section.items]
    marked = [(place.key, place.current) for place in places if place.current]
    assert marked == ([(here, current)] if here else [])
    represented = [place.key for place in shell.bottom_bar if place.represents]
    assert represented == ([in_the_bar] if in_the_bar else [])


# --- home ----------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_every_card_draws_for_a_newcomer_and_its_names_resolve() -> None:
    user = User.objects.create(username="newcomer", is_superuser=True)
    known = {f"{p.content_type.app_label}.{p.codename}" for p in Permission.objects.all()}
    for card in dashboard.cards():
        assert not card.permission or card.permission in known
        html = get_template(card.template).render({"card": card.context(user, timezone.now())})
        if card.place in (dashboard.Place.MAIN, dashboard.Place.SIDE):
            assert re.search(r'id="[a-z-]+" data-merge="', html), card.key
            assert card.topics, card.key
        assert all(topics.well_formed(topic) for topic in card.topics)
    assert set(dashboard.queues()) <= set(QUEUES)
    places = [(card.place, card.order) for card in dashboard.cards()]
    assert len(set(places)) == len(places)


@pytest.mark.django_db
def test_a_card_that_needs_a_permission_is_not_asked_for_without_it() -> None:
    nobody = dashboard.page(User.objects.create(username="nobody"), as_of=timezone.now())
    titles = {one.card.get("title") for cards in nobody.places.values() for one in cards}
    assert "Failed" in titles
    assert "Little is left" not in titles
    assert nobody.places["head"] == []


# --- refusals ------------------------------------------------------------------------------------
def test_every_refusal_has_a_next_step_or_is_without_one_on_purpose() -> None:
    raised = codes.raised()
    without = set((Path(__file__).parent / "without_next_step.txt").read_text().split())
    assert {code: files for code, files in raised.items() if code not in without} == {
        code: raised[code] for code in raised if code in refusals.explained()
    }
    assert without <= set(raised)
    assert without & refusals.explained() == set()


def test_every_code_that_a_row_can_keep_has_words() -> None:
    """Those in the file are refused at a door: what is said then is the refusal's own text."""
    written = codes.written()
    without = set((Path(__file__).parent / "without_words.txt").read_text().split())
    assert {c: files for c, files in written.items() if not tones.has_words(c)} == {
        c: written[c] for c in without
    }


# --- words and tones -----------------------------------------------------------------------------
def test_states_keep_their_tones_and_words() -> None:
    told = {
        state: (tones.tone_of(state), tones.words_of(state))
        for state in [
            *("open", "pending", "awaiting_approval", "approved", "executing", "executed"),
            *("failed", "rejected", "expired", "cancelled", "running", "done", "compensated"),
            *("completed", "terminated", "timed_out", "parked", "undeliverable", "approve"),
            *("reject", "refused", "reserve", "commit", "release", "allocate"),
            *("transfer_out", "transfer_in", "something_else"),
        ]
    }
    assert told == {
        "open": ("info", "waiting"),
        "pending": ("info", "pending"),
        "awaiting_approval": ("warn", "waiting for approval"),
        "approved": ("good", "approved"),
        "executing": ("info", "executing"),
        "executed": ("good", "executed"),
        "failed": ("bad", "failed"),
        "rejected": ("bad", "rejected"),
        "expired": ("warn", "expired"),
        "cancelled": ("", "cancelled"),
        "running": ("info", "running"),
        "done": ("good", "done"),
        "compensated": ("warn", "compensated"),
        "completed": ("good", "completed"),
        "terminated": ("bad", "terminated"),
        "timed_out": ("bad", "timed out"),
        "parked": ("bad", "parked"),
        "undeliverable": ("bad", "undeliverable"),
        "approve": ("good", "approved"),
        "reject": ("bad", "rejected"),
        "refused": ("bad", "refused"),
        "reserve": ("warn", "reserved"),
        "commit": ("info", "spent"),
        "release": ("good", "released"),
        "allocate": ("", "allocated"),
        "transfer_out": ("warn", "moved out"),
        "transfer_in": ("good", "moved in"),
        "something_else": ("", "something else"),
    }


# --- roles and scopes ----------------------------------------------------------------------------
_SIGNS = {
    "approvals.decide_approvalrequest",
    "approvals.edit_approvalrequest",
    "approvals.view_*",
    "interventions.view_*",
    "wallets.view_*",
}
ROLES: dict[str, set[str]] = {
    "requester": {
        "interventions.request_intervention",
        "interventions.request_budgettransfer",
        "interventions.view_policy",
        "interventions.view_budget",
        "wallets.put_rider",
        "wallets.top_up",
        "wallets.view_invoice",
        "wallets.view_rider",
        "wallets.view_wallet",
        "bookings.view_trip",
        "bookings.book",
        "pix.open_claim",
    },
    "reviewer": _SIGNS,
    "senior reviewer": {
        *_SIGNS,
        "approvals.reassign_approvalrequest",
        "bookings.view_*",
        "pix.view_infraction",
    },
    "quarantine operator": {
        "payments.view_*",
        "payments.send_paymentevent",
        "payments.edit_quarantinedevent",
        "payments.replay_quarantinedevent",
        "payments.discard_quarantinedevent",
        "payments.import_quarantinedevent",
        "payments.read_payload",
    },
    "quarantine releaser": {
        "payments.view_*",
        "payments.read_payload",
        "payments.replay_quarantinedevent",
        "approvals.decide_approvalrequest",
        "approvals.view_approvalrequest",
    },
    "key officer": {
        "pix.view_*",
        "pix.change_keys",
        "pix.read_full_key",
        "pix.open_claim",
        "pix.decide_claim",
        "pix.change_rulebook",
        "pix.view_infraction",
        "pix.report_infraction",
        "pix.decide_infraction",
        "approvals.decide_approvalrequest",
        "approvals.view_approvalrequest",
        "pix.run_sync",
        "pix.view_syncrun",
        "pix.view_syncdifference",
    },
    "booking agent": {
        "bookings.book",
        "bookings.cancel_booking",
        "bookings.view_*",
        "bookings.request_refund",
        "bookings.run_trip",
        "wallets.view_*",
        "wallets.put_rider",
        "wallets.top_up",
        "wallets.freeze_wallet",
        "wallets.request_walletadjustment",
    },
    "automation editor": {
        "automations.view_*",
        "automations.add_automation",
        "automations.change_automation",
        "automations.add_execution",
        "automations.cancel_execution",
    },
    "auditor": {"*.view_*"},
    "operator": {
        "payments.view_*",
        "payments.change_paymentrule",
        "automations.view_*",
        "pix.run_sync",
        "pix.view_syncrun",
        "pix.view_syncdifference",
        "automations.cancel_execution",
        "engine.view_*",
        "engine.change_enginecommand",
        "engine.change_workflowrun",
        "engine.change_workflowschedule",
        "approvals.view_*",
        "approvals.reassign_approvalrequest",
        "approvals.add_approvalrule",
        "approvals.change_approvalrule",
        "interventions.view_*",
        "interventions.cancel_intervention",
        "interventions.request_budgettransfer",
        "bookings.view_*",
        "pix.view_*",
        "notifications.view_*",
        "notifications.resend_mail",
        "notifications.download_mailattachment",
        "notifications.manage_webhookendpoint",
        "wallets.view_*",
    },
}


@pytest.mark.django_db
def test_groups_have_exactly_the_permissions_of_this_table() -> None:
    ours = {config.label for config in apps.get_app_configs() if config.name[:5] == "apps."}
    known = [(p.content_type.app_label, p.codename) for p in Permission.objects.all()]

    def meant(permission: str) -> set[str]:
        app, _, codename = permission.partition(".")
        return {
            f"{label}.{name}"
            for label, name in known
            if label in (ours if app == "*" else {app})
            and (name.startswith("view_") if codename == "view_*" else name == codename)
        }

    held = {
        group.name: {
            f"{permission.content_type.app_label}.{permission.codename}"
            for permission in group.permissions.select_related("content_type")
        }
        for group in Group.objects.all()
    }
    assert held == {
        name: set().union(*(meant(permission) for permission in permissions))
        for name, permissions in ROLES.items()
    }


def test_every_scope_that_an_operation_asks_for_can_be_given_to_a_key() -> None:
    assert scopes.registered() == sorted(
        [
            *("all", "interventions:read", "interventions:write", "approvals:read"),
            *("approvals:decide", "approvals:write", "audit:read", "webhooks:write"),
            *("budgets:read", "budgets:write", "rules:write", "notifications:read"),
            *("notifications:write", "wallets:read", "wallets:write"),
            *("bookings:read", "bookings:write", "payments:read", "payments:write"),
            *("filters:read", "filters:write", "automations:read", "automations:write"),
            *("automations:run", "pix:read", "pix:write", "pix:decide"),
        ]
    )
    for path in (ROOT / "apps").glob("*/scopes.py"):
        if path.parent.name == "accounts":
            continue
        text = path.read_text()
        assert set(re.findall(r' = "([a-z:]+)"', text)) <= set(scopes.registered()), path


def test_ids_of_these_subjects_are_found_in_the_audit_trail() -> None:
    assert subject_types.registered() == [
        *("approval", "approval_rule", "audit_entry", "automation", "budget"),
        *("claim", "claim_rulebook", "engine_command"),
        *("entry", "entry_change", "execution", "infraction"),
        *("intervention", "mail", "payment_customer", "payment_event", "payment_review"),
        *(
            "payment_rule",
            "policy",
            "quarantined_event",
            "rider",
            "role",
            "route",
            "saved_filter",
            "schedule",
            "stop",
            "sync_run",
            "topup",
            "trip",
        ),
        *("user", "vehicle", "wallet"),
    ]


# --- schedules, demo, body sizes -----------------------------------------------------------------
@pytest.mark.django_db
def test_declared_schedules_are_made_by_migrate_and_belong_to_the_operators_then() -> None:
    types = {workflow.__name__ for spec in QUEUES.values() for workflow in spec.workflows}
    for one in default_schedules.declared():
        assert (one.workflow_type in types, one.task_queue in QUEUES) == (True, True)
        row = WorkflowSchedule.objects.get(name=one.name)
        assert (row.cron, row.args, row.paused) == (one.cron, list(one.args), False)
        assert (row.catch_up_seconds, row.execution_timeout_seconds) == (
            one.catch_up_seconds,
            one.execution_timeout_seconds,
        )
    WorkflowSchedule.objects.all().delete()
    call_command("migrate", verbosity=0)
    row = WorkflowSchedule.objects.get(name="reconcile-interventions")
    assert (row.workflow_type, row.task_queue, row.cron, row.time_zone, row.args, row.note) == (
        "ReconcileInterventionsWorkflow",
        "intervention-critical",
        "*/5 * * * *",
        "UTC",
        [{"limit": 200}],
        "Settles reservations whose workflow is closed.",
    )
    WorkflowSchedule.objects.filter(pk=row.pk).update(cron="0 * * * *", paused=True)
    call_command("migrate", verbosity=0)
    row.refresh_from_db()
    assert (row.cron, row.paused) == ("0 * * * *", True)


def test_every_benchmark_says_what_it_is_and_each_goal_has_one() -> None:
    found = registered()
    assert {name: bench.domain for name, bench in found.items()} == {
        "p1": "interventions",
        "p2": "interventions",
        "p3": "payments",
        "p4": "payments",
        "p5": "interventions",
        "p6": "pix",
        "p7": "",
        "p8": "bookings",
        "p9": "automations",
        "p10": "",
        "p12": "",
        "p13": "payments",
    }
    assert all(bench.goal == name.upper() and bench.title for name, bench in found.items())
    assert sum(bench.seconds for bench in found.values()) <= MOST_SECONDS
    assert sum(bench.quick_seconds for bench in found.values()) <= MOST_QUICK_SECONDS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            [],
            [
                ("p1", ["p1"], False),
                ("p2", ["p2"], False),
                ("p3", ["p3"], False),
                ("p4", ["p4"], False),
                ("p5", ["p5"], False),
                ("p6", ["p6"], False),
                ("many_rows", ["p7", "p12", "p13"], False),
                ("p8", ["p8"], False),
                ("p9", ["p9"], False),
                ("p10", ["p10"], False),
            ],
        ),
        (["quick", "p7", "p1"], [("p1", ["p1"], True), ("many_rows", ["p7"], True)]),
        (
            ["--domain", "interventions"],
            [("p1", ["p1"], False), ("p2", ["p2"], False), ("p5", ["p5"], False)],
        ),
        (["--list"], []),
    ],
)
def test_the_words_of_make_bench_choose(
    words: list[str], expected: list[tuple[str, list[str], bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, list[str], bool]] = []
    monkeypatch.setattr(
        benchmarks_main,
        "run",
        lambda module, benches, *, quick: ran.append((module, list(benches), quick)) or 0,
    )
    assert benchmarks_main.main(words) == 0
    assert ran == expected


def test_every_part_of_the_demo_can_be_loaded() -> None:
    parts = demo.registered()
    bare = ["interventions", "wallets", "trips", "automations", "pix_keys"]
    assert [part.title for part in parts if part.bare] == bare
    assert [part.title for part in parts] == [
        "interventions",
        "life",
        "wallets",
        "payments",
        "trips",
        "bookings",
        "automations",
        "executions",
        "pix_keys",
        "infractions",
        "claims",
    ]
    assert all(callable(part.load()) for part in parts)


def test_addresses_with_larger_bodies_are_addresses_of_the_site() -> None:
    request = "0198a0b0-0000-7000-8000-000000000000"
    places = [
        reverse("request_evidence", args=[request]),
        f"/api/v1/approvals/{request}/evidence",
        reverse("batch_new"),
        "/api/v1/intervention-batches",
        "/api/v1/payment-events",
        "/api/v1/quarantine/edits",
        reverse("quarantine_import"),
    ]
    found = body_sizes.registered()
    assert len(found) == 5
    assert [sum(1 for one in found if one.path.fullmatch(path)) for path in places] == [1] * 7
    assert not any(one.path.fullmatch("/inbox/") for one in found)
