"""Registers synchronisations with the shared apps."""

from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts import roles
from apps.accounts.models import User
from apps.approvals import attention, subject
from apps.approvals.kinds import Fact, Simulation, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.audit import subject_types
from apps.common.ended import ended_already
from apps.common.language import lazy as _
from apps.engine import default_schedules, leader_tasks, process, timeline
from apps.engine.default_schedules import DefaultSchedule
from apps.engine.leader_tasks import Duty, OwnThread
from apps.pix.contracts import SCHEDULER_WORKFLOW, SYNC_RUN, TASK_QUEUE
from apps.pix.contracts.sync import (
    SCHEDULE,
    SIGNAL_SYNC_CHANGED,
    DifferenceState,
    SyncStatus,
)
from apps.pix.models import SyncRun
from apps.pix.registration.sync_texts import ACTIONS, CODES, NEXT_STEPS, TONES, TRIED, WORDS
from apps.pix.scopes import Scope
from apps.pix.services.sync_deciding import SIGNED
from apps.pix.services.sync_overdue import ATTENTION, overdue_look
from apps.pix.services.sync_requesting import sync_closed
from apps.pix.services.sync_rows import SYNC
from apps.web import failures, navigation, refusals, search, tones
from apps.web.failures import Failures
from apps.web.navigation import Item
from apps.web.search import BY_UUID, Found, Source, among, by_value

if TYPE_CHECKING:
    from django.db.models import QuerySet

VIEW = "pix.view_syncrun"
#: How often it is looked whether a participant has gone without an OK run for too long.
OVERDUE_SECONDS = 600.0

PLACE = Item("pix", _("Sync"), "pix_syncs", icon="schedules", permission=VIEW, order=40)
DAILY = DefaultSchedule(
    name=SCHEDULE,
    workflow_type=SCHEDULER_WORKFLOW,
    task_queue=TASK_QUEUE,
    cron="0 2 * * *",
    time_zone="America/Sao_Paulo",
    note=_("Synchronises the keys of each participant of ours with the directory."),
    # The directory wants one every 36 hours: after an outage it is late, not left out.
    catch_up_seconds=22 * 3600,
    execution_timeout_seconds=24 * 3600,
)


def _failed(user: User) -> "QuerySet[Any]":
    return SyncRun.objects.visible_to(user).filter(status=SyncStatus.FAILED)


FAILURES = Failures(
    key="syncs",
    title=_("Synchronisations of keys"),
    rows=_failed,
    listed=lambda code: f"{reverse('pix_syncs')}?status={SyncStatus.FAILED}",
    order=45,
)
SOURCE = Source(
    key="syncs",
    title=_("Synchronisations of keys"),
    hint=_("id, workflow id, or the ISPB of a participant"),
    permission=VIEW,
    scope=Scope.PIX_READ,
    order=46,
    find=among(
        lambda: SyncRun.objects.for_list(),
        BY_UUID,
        by_value("workflow_id"),
        by_value("participant", ("-created_at", "-id"), like=r"[0-9A-Z]{8}"),
        found=lambda run: Found(
            title=gettext("Sync of {participant}").format(participant=run.participant),
            href=reverse("pix_sync", args=[run.pk]),
            key=str(run.pk),
            state=run.status,
            at=run.created_at,
            workflow_id=run.workflow_id,
        ),
        seen=SyncRun.objects.seen_by,
    ),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    process.register(SYNC, closed=sync_closed, view=VIEW)
    subject.register(
        SIGNED,
        title=_("Repair of many keys"),
        facts=lambda run: [status_fact(run, "pix_sync")],
        words=_words,
        simulate=_simulate,
        signal=SIGNAL_SYNC_CHANGED,
        default_tiers=(TierRule("key officer"),),
        # No rule may let a wrong file rewrite all keys.
        always_signed=True,
    )
    attention.register(
        ATTENTION,
        title=_("Synchronisation of keys overdue"),
        facts=lambda run: [Fact(gettext("Participant"), run.participant)],
        default_tiers=(TierRule("key officer"),),
    )
    subject_types.register(SYNC_RUN)
    navigation.register(PLACE)
    search.register(SOURCE)
    failures.register(FAILURES)
    default_schedules.declare(DAILY)
    leader_tasks.register("syncs", _duties)
    tones.register(TONES, WORDS | CODES)
    refusals.explain(NEXT_STEPS)
    timeline.register_words(ACTIONS, tried=TRIED)
    roles.grant("key officer", "pix.run_sync", "pix.view_syncrun", "pix.view_syncdifference")
    # Who decides signs in the inbox.
    roles.grant("key officer", "approvals.decide_approvalrequest", "approvals.view_approvalrequest")
    roles.grant("operator", "pix.run_sync", "pix.view_syncrun", "pix.view_syncdifference")


def _duties() -> list[Duty]:
    return [Duty("syncs_overdue", OVERDUE_SECONDS, OwnThread("syncs_overdue", _look_once))]


def _look_once() -> int:
    overdue_look()
    # Once a turn: there is no more.
    return 0


def _words(signed: Wording, run: SyncRun) -> None:
    signed.text(gettext("Participant"), "participant")
    signed.text(gettext("Limit in percent"), "limit_percent")
    types = signed.payload.get("types")
    if isinstance(types, list) and all(isinstance(one, dict) for one in types):
        said = "\n".join(map(_type_words, types))
        signed.named(gettext("Types of keys beyond the limit"), {"types": types}, said)
    signed.reference(gettext("Synchronisation"), "sync", href=reverse("pix_sync", args=[run.pk]))


def _type_words(one: dict[str, Any]) -> str:
    said = gettext(
        "{key_type}: {missing} only there, {extra} only here; {ours} here, {theirs} in the file"
    )
    names = ("key_type", "missing", "extra", "ours", "theirs")
    return said.format(**{name: one.get(name, "") for name in names})


def _simulate(run: SyncRun, user: User) -> Simulation:
    if run.has_ended:
        return Simulation(
            outcome=gettext("Nothing happens. {why}").format(why=ended_already(run.status)),
            tone="bad",
        )
    pending = run.differences.filter(state=DifferenceState.PENDING).count()
    return Simulation(
        outcome=gettext(
            "{pending:,} differences are repaired here; the directory is right."
        ).format(pending=pending),
        tone="warn",
        steps=(
            gettext("each in a transaction of its own, with an audit entry and an event"),
            gettext("keys under a claim, or touched since, are left for the next run"),
            gettext("the directory is asked again whether both sides are equal"),
        ),
    )
