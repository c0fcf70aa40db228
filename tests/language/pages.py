"""Every page of the site, by the names of its addresses."""

from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from tests.support import FULL_SIZE

#: By URL name: its arguments.
Opened = dict[str, Any]

#: Answer files, other programs, posts only, or send somewhere else.
NOT_PAGES = {
    *("health", "ready", "logout", "login_cancel", "notifications_count", "counts"),
    *("batch_failed_csv", "bulk_failed_csv", "budget_ledger", "audit_export"),
    *("replay_failed_csv", "quarantined_event_raw", "pix_sync_csv", "pix_sync_pdf"),
    *("mfa_download_recovery_codes", "request_evidence_file", "request_signed", "entry_change"),
}
#: Only answer a POST, and name a row in their address.
ACTIONS = {
    *(
        "account_session_end",
        "bulk_act",
        "batch_act",
        "filter_delete",
        "filter_save",
        "delegation_revoke",
    ),
    *("request_claim", "request_release", "request_reassign", "request_comment"),
    *("request_evidence", "engine_command_act", "workflow_run_act", "schedule_act"),
    *("execution_act", "execution_node_repeat", "infraction_act", "claim_act", "pix_sync_act"),
    *("entry_act", "entry_code", "entry_new_code", "entry_full_key", "claim_full_key"),
    *("automation_act", "wallet_act", "quarantined_event_act", "replay_act", "filter_save"),
}


def named(resolver: URLResolver) -> Iterator[str]:
    """Names of all addresses outside the admin and the API."""
    for one in resolver.url_patterns:
        if isinstance(one, URLPattern):
            if one.name:
                yield one.name
        elif not one.namespace:
            yield from named(one)


def part(number: int) -> Callable[[str], bool]:
    """Choose one half of the pages by their names, 0 or 1; all of them in `make large`."""
    return lambda name: FULL_SIZE or crc32(name.encode()) % 2 == number


def pages_for(
    client: Client, shown: Opened, chosen: Callable[[str], bool] = bool
) -> dict[str, str]:
    """Every page by its name, as this person sees it; what only answers a POST is left out, and the
    fragments, whose parts are those of their pages. `chosen`: of which names; without it of all."""
    found = {}
    for name in sorted(set(named(get_resolver())) - NOT_PAGES):
        if name.endswith("_live"):
            continue
        try:
            path = reverse(name, args=shown.get(name))
        except NoReverseMatch:
            if name.endswith("_export"):
                continue  # a file
            assert name in ACTIONS, f"what does {name} show? Put a row of it into `shown`."
            continue
        if not chosen(name):
            continue
        response = client.get(path, follow=True)
        if response.status_code != 405:
            found[name] = response.content.decode()
    return found
