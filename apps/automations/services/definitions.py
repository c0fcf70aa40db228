"""Automations and their versions: made, continued, switched on and off."""

import json
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit.services import entry_record, refusals
from apps.automations.checking import Issue, issues_of
from apps.automations.contracts import AUTOMATION, MOST_BYTES, Runner
from apps.automations.models import Automation, AutomationVersion
from apps.common.canonical_json import canonical_json
from apps.common.canonical_json import digest as digest_of
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.identifiers import new_id, uuid_of
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.strict_json import NotJson, document_of
from apps.common.validation import CODE, clean_reason, clean_text
from apps.live.broadcast import broadcast

VIEW, CHANGE = "automations.view_automation", "automations.change_automation"
TOPIC = "automations"
#: Addresses of the API that stand where a code stands.
RESERVED = ("schema",)


# --- writing --------------------------------------------------------------------------------------
def automation_create(
    *,
    code: str,
    title: str,
    document: Any,
    text: str = "",
    runner: str = Runner.ENGINE,
    by: User,
    via: str,
    as_of: datetime,
) -> tuple[Automation, bool]:
    """Make an automation with its first version; return it, and whether it is new.

    `text`: the document as it was typed. The same definition under the same code by the same person
    again returns what the first made. A definition with issues is kept as a draft. Raises, each
    audited: NotAllowed `permission_denied`; Invalid `code_invalid`, `title_invalid`,
    `runner_invalid`, `definition_not_an_object`, `definition_too_large`; Conflict
    `automation_code_taken`.
    """
    with refusals(action=f"{AUTOMATION}.create", **_about(code), by=by, via=via):
        _check_may(by)
        if not isinstance(code, str) or not CODE.fullmatch(code) or code in RESERVED:
            raise Invalid(
                _("A code has small letters, digits, - and _, at most 80."), code="code_invalid"
            )
        title = clean_text(title, field="title", limit=200)
        _check_runner(runner)
        written = Written(document, text, name=title)
        row = Automation(
            code=code,
            title=title,
            runner=runner,
            newest=1,
            valid=0 if written.issues else 1,
            created_by=by,
            created_at=as_of,
            updated_at=as_of,
        )
        with transaction.atomic(durable=True):
            try:
                with transaction.atomic():
                    row.save(force_insert=True)
            except IntegrityError:
                return _as_before(code, title, runner, written, by), False
            _append(row, 1, written, by=by, via=via, as_of=as_of)
            broadcast(TOPIC, id=str(row.pk), version=row.version)
    return row, True


def version_add(
    *,
    code: str,
    document: Any,
    text: str = "",
    version: int,
    by: User,
    via: str,
    as_of: datetime,
) -> tuple[AutomationVersion, bool]:
    """Write the next version of an automation; return it, and whether it is new: what the newest
    says already makes none.

    `version` is the number of the newest that the author saw. Raises, each audited: NotAllowed
    `permission_denied`; NotFound `automation_not_found`; Invalid as `automation_create`; Conflict
    `version_outdated` (extra version) when somebody has written another one meanwhile.
    """
    with refusals(action=f"{AUTOMATION}.change", **_about(code), by=by, via=via):
        _check_may(by)
        with transaction.atomic(durable=True):
            row = _locked(code)
            written = Written(document, text, name=row.title)
            newest = row.versions.get(number=row.newest)
            if newest.digest == written.digest:
                return newest, False
            if version != row.newest:
                raise Conflict(
                    filled(
                        _("Somebody has written version {number} meanwhile."), number=row.newest
                    ),
                    code="version_outdated",
                    version=row.newest,
                )
            row.newest += 1
            if not written.issues:
                row.valid = row.newest
            made = _append(row, row.newest, written, by=by, via=via, as_of=as_of)
            _save(row, "newest", "valid", as_of=as_of)
    return made, True


def automation_change(
    *,
    code: str,
    enabled: bool | None = None,
    title: str | None = None,
    runner: str | None = None,
    reason: str = "",
    by: User,
    via: str,
    as_of: datetime,
) -> Automation:
    """Switch an automation on or off, rename it, or choose what runs it; return it.

    What runs already goes on as it began. Raises, each audited: as `automation_create`; NotFound
    `automation_not_found`; Invalid `reason_invalid`.
    """
    with refusals(action=f"{AUTOMATION}.change", **_about(code), by=by, via=via):
        _check_may(by)
        wanted: dict[str, Any] = {}
        if enabled is not None:
            wanted["enabled"] = bool(enabled)
        if title is not None:
            wanted["title"] = clean_text(title, field="title", limit=200)
        if runner is not None:
            _check_runner(runner)
            wanted["runner"] = runner
        reason = clean_reason(reason)
        with transaction.atomic(durable=True):
            row = _locked(code)
            changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
            if not changed:
                return row
            for name, value in changed.items():
                setattr(row, name, value)
            _save(row, *changed, as_of=as_of)
            said = {"reason": reason} if reason else {}
            entry_record(
                action=f"{AUTOMATION}.changed",
                **_about(row.code),
                by=by,
                via=via,
                body={**changed, **said},
            )
    return row


class Written:
    """A definition as it is stored: its text, digest, name and issues. `text`: as it was typed, if
    somebody typed it; `name`: for one that has none. Raises Invalid `definition_not_an_object`,
    `definition_too_large`."""

    def __init__(self, document: Any, text: str = "", *, name: str) -> None:
        if not isinstance(document, dict):
            raise Invalid(_("A definition is an object."), code="definition_not_an_object")
        if len(canonical_json(document).encode()) > MOST_BYTES:
            raise Invalid(
                filled(_("A definition has at most {most} bytes."), most=MOST_BYTES),
                code="definition_too_large",
            )
        self.text, self.digest = text or laid_out(document), digest_of(document)
        try:
            document_of(self.text.encode())
        except NotJson:
            # Nested deeper than whoever reads it again can follow.
            raise Invalid(
                _("The definition is nested too deep."), code="definition_too_large"
            ) from None
        named = document.get("name")
        self.name = (named if isinstance(named, str) and named.strip() else name)[:200]
        nodes = document.get("nodes")
        self.nodes = len(nodes) if isinstance(nodes, list) else 0
        self.issues: list[Issue] = issues_of(document)

    def row(self, **more: Any) -> AutomationVersion:
        """Return the version, not saved."""
        return AutomationVersion(
            id=new_id(),
            name=self.name,
            text=self.text,
            digest=self.digest,
            nodes=self.nodes,
            issues=[issue.as_json() for issue in self.issues],
            **more,
        )


def laid_out(document: Any) -> str:
    """Return the document as text, as the editor shows it."""
    return json.dumps(document, ensure_ascii=False, indent=2)


# --- reading --------------------------------------------------------------------------------------
def automation_of(name: str) -> Automation:
    """Return the automation with this code or id. Raises NotFound `automation_not_found`."""
    rows = Automation.objects.none()
    if pk := uuid_of(name):
        rows = Automation.objects.filter(pk=pk)
    elif CODE.fullmatch(name):
        rows = Automation.objects.filter(code=name)
    row = rows.first()
    if row is None:
        raise NotFound(_("There is no such automation."), code="automation_not_found")
    return row


# --- helpers --------------------------------------------------------------------------------------
def _check_may(by: User) -> None:
    if not by.has_perm(CHANGE):
        raise NotAllowed(_("You may not write automations."), code="permission_denied")


def _check_runner(runner: str) -> None:
    if runner not in list(Runner):
        raise Invalid(_("It is run by engine or local."), code="runner_invalid")


def _about(code: object) -> dict[str, str]:
    return {"subject_type": AUTOMATION, "subject_id": ascii(str(code))[1:-1][:80]}


def _locked(code: str) -> Automation:
    pk = automation_of(code).pk
    return Automation.objects.select_for_update(no_key=True).get(pk=pk)


def _as_before(code: str, title: str, runner: str, written: Written, by: User) -> Automation:
    """Return the automation that the same request made before."""
    row = Automation.objects.get(code=code)
    first = row.versions.get(number=1)
    made = (row.created_by_id, row.title, row.runner, first.digest)
    if made != (by.pk, title, runner, written.digest):
        raise Conflict(_("Another automation has this code."), code="automation_code_taken")
    return row


def _append(
    row: Automation, number: int, written: Written, *, by: User, via: str, as_of: datetime
) -> AutomationVersion:
    made = written.row(automation=row, number=number, author=by, created_at=as_of)
    made.save(force_insert=True)
    body = {
        "number": number,
        "digest": written.digest,
        "nodes": written.nodes,
        "issues": len(written.issues),
    }
    action = f"{AUTOMATION}.created" if number == 1 else f"{AUTOMATION}.version_added"
    entry_record(action=action, **_about(row.code), by=by, via=via, body=body)
    return made


def _save(row: Automation, *fields: str, as_of: datetime) -> None:
    row.version += 1
    row.updated_at = max(as_of, row.created_at)
    row.save(update_fields=["version", "updated_at", *fields])
    broadcast(TOPIC, id=str(row.pk), version=row.version)
