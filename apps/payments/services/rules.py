"""Business rules: which are in force, and how they are changed."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.services import entry_record, refusals
from apps.common.canonical_json import canonical_json
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.live.broadcast import broadcast
from apps.payments.contracts import RULE
from apps.payments.models import PaymentRule
from apps.payments.rule_parameters import INDISPENSABLE, parameters_checked
from apps.payments.rules import CHECKS, DEFAULTS, Rule, rule_of

CHANGE = "payments.change_paymentrule"

#: The rules as they were last read, with what tells their versions apart: a blocklist has up to a
#: megabyte, and is asked about for every event.
_Version = tuple[int, int, datetime]
_read: dict[str, tuple[_Version, Rule]] = {}


def rules_in_force() -> list[Rule]:
    """Return the enabled rules in the order in which they are applied."""
    heads = {
        code: (pk, version, updated_at)
        for code, pk, version, updated_at in PaymentRule.objects.filter(enabled=True).values_list(
            "code", "pk", "version", "updated_at"
        )
    }
    # As they are in this process: another thread may read another version at the same time.
    found = {code: _read[code] for code in heads if code in _read}
    stale = [code for code, head in heads.items() if code not in found or found[code][0] != head]
    for row in PaymentRule.objects.filter(code__in=stale) if stale else ():
        rule = rule_of(row.code, row.parameters)
        found[row.code] = _read[row.code] = ((row.pk, row.version, row.updated_at), rule)
    return [found[code][1] for code in CHECKS if code in heads and code in found]


def rules_ensure() -> None:
    """Make the rows of rules that have none, with their defaults. Called after migrations."""
    known = set(PaymentRule.objects.values_list("code", flat=True))
    for code, parameters in DEFAULTS.items():
        if code not in known:
            PaymentRule.objects.get_or_create(code=code, defaults={"parameters": parameters})


def rule_change(
    *,
    code: str,
    parameters: Mapping[str, Any],
    enabled: bool,
    version: int,
    by: User,
    via: str,
) -> PaymentRule:
    """Put these parameters of a rule in force, as its next version; return the row.

    Events that are checked from the commit on are checked by them; nothing is checked again.
    `version` is the one that the caller saw. What is in force already makes no new version. Raises,
    each audited: NotAllowed `permission_denied`; NotFound `rule_not_found`; Invalid
    `rule_indispensable` (it cannot be switched off) and as `parameters_checked`; Conflict
    `rule_changed` when somebody has changed the rule since that version.
    """
    about = {"subject_type": RULE, "subject_id": code[:80]}
    with refusals(action=f"{RULE}.change", by=by, via=via, **about):
        if not by.has_perm(CHANGE):
            raise NotAllowed(_("You may not change rules."), code="permission_denied")
        with transaction.atomic(durable=True):
            row = _locked(code)
            checked = parameters_checked(code, parameters)
            if not enabled and code in INDISPENSABLE:
                raise Invalid(
                    _("No event can be kept without this rule: it is always on."),
                    code="rule_indispensable",
                )
            if (row.parameters, row.enabled) == (checked, enabled):
                return row
            if row.version != version:
                raise Conflict(
                    filled(
                        _("Somebody has changed the rule meanwhile: it has version {version} now."),
                        version=row.version,
                    ),
                    code="rule_changed",
                    version=row.version,
                )
            before = _for_audit(row)
            row.parameters, row.enabled = checked, enabled
            row.version += 1
            row.updated_at = timezone.now()
            row.save(update_fields=["parameters", "enabled", "version", "updated_at"])
            entry_record(
                action=f"{RULE}.changed",
                by=by,
                via=via,
                body={"before": before, "after": _for_audit(row)},
                **about,
            )
            broadcast("payments", id="", version=0)
    return row


# --- helpers --------------------------------------------------------------------------------------
def _locked(code: str) -> PaymentRule:
    row = (
        PaymentRule.objects.select_for_update(no_key=True).filter(code=code).first()
        if code in CHECKS
        else None
    )
    if row is None:
        raise NotFound(_("There is no such rule."), code="rule_not_found")
    return row


def _for_audit(row: PaymentRule) -> dict[str, Any]:
    """Return the version for the trail. A blocklist stands there as a count and a digest: the trail
    is kept for good, and the list names people."""
    parameters = dict(row.parameters)
    if "blocked" in parameters:
        blocked = parameters.pop("blocked")
        parameters["entries"] = len(blocked)
        parameters["digest"] = sha256(canonical_json(blocked).encode()).hexdigest()
    return {"version": row.version, "enabled": row.enabled, "parameters": parameters}
