"""The relay's own PostgreSQL session: leadership, notifications, claims and settlements.

All four use one direct connection, outside Django's pool. The advisory lock lives exactly as long
as the session, so a relay that lost its session has lost the leadership *and* cannot claim: no
clock and no second check is needed to stop an old leader.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import connections
from psycopg import sql
from psycopg.pq import ConnStatus
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from apps.common.identifiers import new_id
from apps.engine.models import EngineCommand

#: Key of the leader's advisory lock.
LEADER_LOCK = 0x0E1A_0001
#: A statement that takes longer means that the server hangs: the session is closed.
STATEMENT_SECONDS = 5.0

#: Keepalives: PostgreSQL notices within seconds that a leader's machine is gone, and frees the
#: lock. enable_seqscan: a plan made while the table was small must not scan all sent commands
#: later. synchronous_commit: a claim or settlement lost in a crash is only sent again.
_SETTINGS = """
SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 6000; SET idle_session_timeout = 0; SET statement_timeout = 5000;
SET lock_timeout = 2000; SET timezone = 'UTC'; SET jit = off; SET enable_seqscan = off;
SET synchronous_commit = off
"""

#: For each queue (by a skip scan of the index), the due commands that are the oldest unsettled one
#: of their workflow. A start that waits for the end of an older run does not hold back signals,
#: because that run may wait for one. Ranked, so that each queue's first command precedes any
#: queue's second. Rows locked by others (an operator's page) are skipped until next time.
_CLAIM = """
WITH RECURSIVE queue AS (
    (SELECT task_queue FROM engine_enginecommand
     WHERE state IN ('pending', 'leased') ORDER BY task_queue LIMIT 1)
    UNION ALL
    SELECT (SELECT c.task_queue FROM engine_enginecommand c
            WHERE c.state IN ('pending', 'leased') AND c.task_queue > queue.task_queue
            ORDER BY c.task_queue LIMIT 1)
    FROM queue WHERE queue.task_queue IS NOT NULL
),
due AS (
    SELECT oldest.id, row_number() OVER (
        PARTITION BY queue.task_queue ORDER BY oldest.next_try_at, oldest.id) AS rank,
        oldest.next_try_at
    FROM queue CROSS JOIN LATERAL (
        SELECT c.id, c.next_try_at FROM engine_enginecommand c
        WHERE c.task_queue = queue.task_queue AND c.state IN ('pending', 'leased')
          AND c.next_try_at <= clock_timestamp()
          AND NOT EXISTS (
            SELECT 1 FROM engine_enginecommand older
            WHERE older.workflow_id = c.workflow_id AND older.id < c.id
              AND older.state IN ('pending', 'leased', 'parked')
              AND (c.kind <> 'signal' OR older.behind_run = '' OR older.state = 'parked'))
        ORDER BY c.next_try_at, c.id
        LIMIT COALESCE((%(left)s::jsonb ->> queue.task_queue)::int, %(per_queue)s)
    ) oldest
),
picked AS (SELECT id FROM due ORDER BY rank, next_try_at, id LIMIT %(free)s),
mine AS (
    SELECT c.id FROM engine_enginecommand c JOIN picked USING (id)
    WHERE c.state IN ('pending', 'leased') AND c.next_try_at <= clock_timestamp()
    FOR UPDATE OF c SKIP LOCKED
)
UPDATE engine_enginecommand c SET
    state = 'leased', lease_token = %(token)s, attempts = c.attempts + 1,
    leased_until = clock_timestamp() + %(lease)s * interval '1 second',
    next_try_at = clock_timestamp() + %(lease)s * interval '1 second'
FROM mine WHERE c.id = mine.id
RETURNING c.id, c.key, c.kind, c.workflow_id, c.workflow_type, c.task_queue, c.name, c.args,
    c.options, c.subject_type, c.subject_id, c.correlation_id, c.attempts, c.strikes,
    c.created_at, c.lease_token AS token
"""

#: Writes only while we hold the lease. A sent start gets its row in the mirror in the same
#: statement, unless its workflow is unmirrored; sorted like every write to the mirror.
_SETTLE = """
WITH settled AS (
    UPDATE engine_enginecommand c SET
        state = o.state, error = o.error, lease_token = NULL, leased_until = NULL,
        run_id = CASE WHEN o.run_id = '' THEN c.run_id ELSE o.run_id END,
        strikes = c.strikes + o.strike::int,
        settled_at = CASE WHEN o.state = 'sent' THEN clock_timestamp() END,
        next_try_at = clock_timestamp() + o.delay * interval '1 second'
    FROM unnest(%(id)s::bigint[], %(token)s::uuid[], %(state)s::text[], %(error)s::text[],
                %(run_id)s::text[], %(strike)s::bool[], %(delay)s::float8[])
         AS o(id, token, state, error, run_id, strike, delay)
    WHERE c.id = o.id AND c.lease_token = o.token AND c.state = 'leased'
    RETURNING c.*
), mirrored AS (
    INSERT INTO engine_workflowrun (
        workflow_id, run_id, workflow_type, task_queue, status, confirmed, subject_type,
        subject_id, started_at, seen_at)
    SELECT workflow_id, run_id, workflow_type, task_queue, 'running', false, subject_type,
        subject_id, clock_timestamp(), clock_timestamp()
    FROM settled
    WHERE kind = 'start' AND state = 'sent' AND run_id <> '' AND NOT options ? 'unmirrored'
    ORDER BY workflow_id, run_id
    ON CONFLICT (workflow_id, run_id) DO NOTHING
)
SELECT id FROM settled
"""

#: The server is back: make due what waits only because the server was away.
_REVIVE = """
UPDATE engine_enginecommand SET next_try_at = clock_timestamp()
WHERE task_queue = %s AND state = 'pending' AND attempts > 0 AND strikes = 0
  AND next_try_at > clock_timestamp()
"""


@dataclass(frozen=True)
class Claimed:
    """A command that we hold a lease on."""

    id: int
    key: str
    kind: str
    workflow_id: str
    workflow_type: str
    task_queue: str
    name: str
    args: list[Any]
    options: dict[str, Any]
    subject_type: str
    subject_id: str
    correlation_id: str
    attempts: int
    strikes: int
    created_at: datetime
    token: UUID


@dataclass(frozen=True)
class Outcome:
    """Result of a claimed command: sent, pending (again after `delay` seconds) or parked."""

    command: Claimed
    state: str
    error: str = ""
    run_id: str = ""
    strike: bool = False
    delay: float = 0.0


def database_params() -> dict[str, Any]:
    """Return Django's connection parameters for a direct connection: no pool, no cursor classes."""
    params = connections["default"].get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        params.pop(name, None)
    return params


@dataclass
class Session:
    """One connection. Used by one task at a time; any error of the connection ends it."""

    connection: psycopg.AsyncConnection[Any]
    notified: bool = field(default=False)

    @classmethod
    async def open(cls, params: Mapping[str, Any], *, name: str, listen: bool) -> "Session":
        """Connect; with `listen`, notifications arrive from now on. Raises psycopg.Error."""
        # `Any`: psycopg's signature does not name libpq's parameters.
        options: Any = {"connect_timeout": 5, **params, "application_name": f"relay {name}"[:60]}
        async with asyncio.timeout(STATEMENT_SECONDS + 5):
            connection = await psycopg.AsyncConnection.connect(
                **options, autocommit=True, prepare_threshold=2
            )
        session = cls(connection)
        connection.add_notify_handler(lambda _: session._note())
        try:
            await session._execute(_SETTINGS)
            if listen:
                channel = sql.Identifier(EngineCommand.CHANNEL)
                await session._execute(sql.SQL("LISTEN {}").format(channel))
        except BaseException:
            await connection.close()
            raise
        return session

    async def lead(self) -> bool:
        """Try to become the leader. Never waits: a waiting statement would hold back vacuum."""
        rows = await self._execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK])
        return bool(rows[0][0])

    async def claim(
        self, *, free: int, per_queue: int, left: Mapping[str, int], lease_seconds: float
    ) -> list[Claimed]:
        """Lease up to `free` commands; committed when this returns, before any call is made."""
        cursor = self.connection.cursor(row_factory=class_row(Claimed))
        values = {
            "free": free,
            "per_queue": per_queue,
            "left": Jsonb(dict(left)),
            "lease": lease_seconds,
            "token": new_id(),
        }
        async with cursor, asyncio.timeout(STATEMENT_SECONDS):
            await cursor.execute(_CLAIM, values)
            return sorted(await cursor.fetchall(), key=lambda command: command.id)

    async def settle(self, outcomes: Sequence[Outcome]) -> set[int]:
        """Write the outcomes; return the ids of commands whose lease was still ours."""
        columns = {
            "id": [outcome.command.id for outcome in outcomes],
            "token": [outcome.command.token for outcome in outcomes],
            "state": [outcome.state for outcome in outcomes],
            "error": [_text(outcome.error) for outcome in outcomes],
            "run_id": [outcome.run_id for outcome in outcomes],
            "strike": [outcome.strike for outcome in outcomes],
            "delay": [outcome.delay for outcome in outcomes],
        }
        return {row[0] for row in await self._execute(_SETTLE, columns)}

    async def revive(self, queues: Iterable[str]) -> None:
        """Make due what waits in these queues only because the server was away."""
        for queue in queues:
            await self._execute(_REVIVE, [queue])

    async def wait(self, wake: asyncio.Event, seconds: float) -> None:
        """Sleep until `wake`, a notification, the end of the session or the time.

        Returns at once when a notification has arrived since `take_notified`. Raises
        psycopg.OperationalError when the session has ended.
        """
        # What came with a statement's answer is read already: the socket would stay silent.
        self._read()
        if self.notified:
            return
        loop = asyncio.get_running_loop()
        socket = self.connection.fileno()
        loop.add_reader(socket, wake.set)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await wake.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(socket)
        wake.clear()
        self._read()

    def take_notified(self) -> bool:
        """Return whether a notification has arrived since the last call."""
        notified, self.notified = self.notified, False
        return notified

    async def close(self) -> None:
        """Close the connection, which releases the lock; unsettled leases expire."""
        await self.connection.close()

    def _read(self) -> None:
        """Read what the server sent unasked; notices a closed connection."""
        raw = self.connection.pgconn
        if raw.status != ConnStatus.OK:
            raise psycopg.OperationalError("the session is closed")
        raw.consume_input()
        while raw.notifies():
            self._note()

    def _note(self) -> None:
        self.notified = True

    async def _execute(self, statement: Any, values: Any = None) -> list[tuple[Any, ...]]:
        async with asyncio.timeout(STATEMENT_SECONDS), self.connection.cursor() as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []


def _text(error: str) -> str:
    return error.replace("\x00", "")[:4000]
