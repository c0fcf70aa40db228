"""Heartbeats of workers and relays, timed by the database's clock."""

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from apps.common.canonical_json import canonical_json
from apps.common.identifiers import new_id, short
from apps.engine.models import ProcessHeartbeat

#: Processes silent for this long are deleted.
FORGOTTEN_AFTER = timedelta(hours=1)

_BEAT = """
INSERT INTO engine_processheartbeat (id, role, name, queues, "leading", detail, started_at, beat_at)
VALUES (%s, %s, %s, %s, %s, %s::jsonb, clock_timestamp(), clock_timestamp())
ON CONFLICT (role, name) DO UPDATE SET
    queues = EXCLUDED.queues, "leading" = EXCLUDED."leading", detail = EXCLUDED.detail,
    beat_at = EXCLUDED.beat_at
"""


def process_name() -> str:
    """Return a name that no other process has, not even a restarted one with the same pid."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{short(new_id())}"


def beat(
    role: str,
    name: str,
    queues: Sequence[str] = (),
    leading: bool = False,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write that the process `name` (unique for its role, e.g. host and pid) is alive now, and the
    version of the program that it runs."""
    told = {"version": settings.TEMPORAL_BUILD_ID, **(detail or {})}
    with connection.cursor() as cursor:
        cursor.execute(
            _BEAT,
            [new_id(), role, name[:120], list(queues), leading, canonical_json(told)],
        )


def alive(role: str, within_seconds: float = 10) -> list[ProcessHeartbeat]:
    """Return the role's processes that beat within the last seconds; the leading one first."""
    since = Now() - timedelta(seconds=within_seconds)
    return list(
        ProcessHeartbeat.objects.filter(role=role, beat_at__gt=since).order_by("-leading", "name")
    )


def gone(role: str, name: str) -> None:
    """Delete the process's heartbeat at an orderly end: nobody must wait until its silence is
    noticed."""
    ProcessHeartbeat.objects.filter(role=role, name=name[:120]).delete()


def forget_silent() -> int:
    """Delete heartbeats of processes that ended long ago; return how many."""
    return ProcessHeartbeat.objects.filter(beat_at__lt=Now() - FORGOTTEN_AFTER).delete()[0]
