"""Pix keys for the fault harness: created, changed, removed, proved, refused by the directory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from apps.pix.bridge import directory_pb2 as pb
from tests.directory import AGREES, OURS, SimulatedDirectory
from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

WHO, PLACE = "officer", "/pix/entries"
#: A CPF whose owner has it as a key at a stranger.
ELSEWHERE = "98765432100"
#: What may happen to a change once, and never again.
ONCE = tuple(
    f"entry_change.{what}"
    for what in (
        *("create_requested", "update_requested", "delete_requested", "possession_proved"),
        *("created", "updated", "deleted", "failed", "cancelled"),
    )
)
_SEEN = """
SELECT c.id::text, e.status, c.status, e.request_id::text,
       (SELECT count(*) FROM pix_directorycall d
         WHERE d.key LIKE 'entry_change:' || c.id || ':%%' AND d.known_at IS NULL
           AND d.sent_at IS NOT NULL),
       ARRAY(SELECT a.action FROM audit_auditentry a
             WHERE a.subject_type = 'entry_change' AND a.subject_id = c.id::text
               AND a.outcome = 'done' AND a.action = ANY(%s)
             GROUP BY a.action HAVING count(*) > 1)
FROM pix_entrychange c JOIN pix_entry e ON e.id = c.entry_id WHERE e.id::text = ANY(%s)
ORDER BY c.created_at
"""
_LEFTOVERS = """
SELECT 'command ' || key || ' ' || state FROM engine_enginecommand
WHERE subject_id IN (SELECT id::text FROM pix_entrychange WHERE entry_id::text = ANY(%s))
  AND state IN ('pending', 'leased', 'parked')
UNION ALL
SELECT 'run ' || workflow_id FROM engine_workflowrun
WHERE subject_id IN (SELECT id::text FROM pix_entrychange WHERE entry_id::text = ANY(%s))
  AND status = 'running'
"""


@dataclass(frozen=True)
class End:
    """How each key must have ended: its status, and that of its changes."""

    status: str
    changes: tuple[str, ...]

    def prove(self, story: Story, keys: Sequence[str]) -> None:
        """AssertionError unless each ended like this, once, here and in the directory."""
        ids = list(keys)
        eventually(lambda: not story.stack.sql(_LEFTOVERS, ids, ids), timeout=30, every=0.1)
        directory = SimulatedDirectory(f"127.0.0.1:{story.stack.ports['BRIDGE_PORT']}")
        try:
            held = [one.request_id for one in directory.dump(OURS)]
        finally:
            directory.close()
        for pk in ids:
            rows = story.stack.sql(_SEEN, list(ONCE), [pk])
            assert tuple(row[2] for row in rows) == self.changes, pk
            for _change, status, _state, request_id, unanswered, twice in rows:
                assert (status, unanswered, twice) == (self.status, 0, []), pk
                assert held.count(request_id) == int(status == "active"), pk


def _ended(number: int) -> Callable[[Story, str], bool]:
    def ended(story: Story, key: str) -> bool:
        query = """SELECT count(*) FROM pix_entrychange
                   WHERE entry_id = %s AND settled_at IS NOT NULL"""
        return bool(story.stack.sql(query, key)[0][0] >= number)

    return ended


# --- the ways -----------------------------------------------------------------------------------
def _ask(story: Story, **changes: Any) -> str:
    body = {
        "key_type": "EVP",
        # An account of its own: each has five keys at most.
        "account": {"participant": OURS, "number": uuid4().hex[:16], "type": "CACC"},
        "owner": {"type": "NATURAL_PERSON", "tax_id": "11122233396", "name": "João Silva"},
        "idempotency_key": f"fault-{uuid4()}",
        **changes,
    }
    answer = story.insist("POST", PLACE, user=WHO, body=body)
    assert answer.status == 202, answer
    return str(answer.body["id"])


def _created(story: Story, points: Points) -> str:
    key = _ask(story)
    eventually(lambda: _ended(1)(story, key), timeout=120, every=0.1)
    found = {"key_type": "EVP", "key": story.stack.sql(_KEY, key)[0][0]}
    assert story.insist("POST", f"{PLACE}/lookup", user=WHO, body=found).status == 200
    return key


_KEY = "SELECT key FROM pix_entry WHERE id = %s"


def _changed(story: Story, points: Points) -> str:
    key = _ask(story)
    eventually(lambda: _ended(1)(story, key), timeout=120, every=0.1)
    body = {
        "owner": {"name": "João da Silva"},
        "reason": "RFB_VALIDATION",
        "idempotency_key": f"fault-{uuid4()}",
    }
    assert story.insist("PUT", f"{PLACE}/{key}", user=WHO, body=body).status == 202
    return key


def _removed(story: Story, points: Points) -> str:
    key = _ask(story)
    eventually(lambda: _ended(1)(story, key), timeout=120, every=0.1)
    place = f"{PLACE}/{key}?idempotency_key=fault-{uuid4()}"
    assert story.insist("DELETE", place, user=WHO).status == 202
    return key


_CODE = """SELECT left(text, 6) FROM notifications_mail
           WHERE subject_type = 'entry_change' AND subject_id IN
             (SELECT id::text FROM pix_entrychange WHERE entry_id = %s) ORDER BY id DESC"""


def _proved(story: Story, points: Points) -> str:
    key = _ask(story, key_type="EMAIL", key=f"{uuid4().hex}@example.com")
    code = story.stack.sql(_CODE, key)[0][0]
    place = f"{PLACE}/{key}/possession"
    assert story.insist("POST", place, user=WHO, body={"code": code}).status == 202
    return key


def _refused(story: Story, points: Points) -> str:
    """The owner has the key at a stranger, and only the directory knows it."""
    theirs = pb.Entry(
        key_type="CPF",
        key=ELSEWHERE,
        account=pb.Account(participant=AGREES, branch="0001", number="1", type="CACC"),
        owner=pb.Owner(type="NATURAL_PERSON", tax_id=ELSEWHERE, name="Bruno Lima"),
    )
    directory = SimulatedDirectory(f"127.0.0.1:{story.stack.ports['BRIDGE_PORT']}")
    try:
        if ELSEWHERE not in [one.entry.key for one in directory.dump(AGREES)]:
            directory.load([pb.CidEntry(request_id=str(uuid4()), entry=theirs)])
    finally:
        directory.close()
    owner = {"type": "NATURAL_PERSON", "tax_id": ELSEWHERE, "name": "Bruno Lima"}
    return _ask(story, key_type="CPF", key=ELSEWHERE, owner=owner)


def _around(*steps: str) -> tuple[str, ...]:
    return tuple(f"{step}.{where}" for step in steps for where in ("before", "after"))


SAGAS = [
    FaultSaga(
        name="key created",
        points=(
            "entry_change.uncommitted",
            *_around("ValidateEntryActivity", "CreateEntryActivity", "ActivateEntryActivity"),
            *("directory_call.noted", "directory_call.answered", "entry_apply.uncommitted"),
            "entry_lookup.read",
        ),
        begin=_created,
        ended=_ended(1),
        prove=End("active", ("done",)).prove,
    ),
    FaultSaga(
        name="key changed",
        points=_around("UpdateEntryActivity"),
        begin=_changed,
        ended=_ended(2),
        prove=End("active", ("done", "done")).prove,
    ),
    FaultSaga(
        name="key removed",
        points=_around("DeleteEntryActivity", "DeactivateEntryActivity"),
        begin=_removed,
        ended=_ended(2),
        prove=End("removed", ("done", "done")).prove,
    ),
    FaultSaga(
        name="key proved",
        points=("possession.uncommitted", *_around("GetEntryStatusActivity")),
        begin=_proved,
        ended=_ended(1),
        prove=End("active", ("done",)).prove,
    ),
    FaultSaga(
        name="key refused",
        points=("entry_end.uncommitted", *_around("end_entry_change")),
        begin=_refused,
        ended=_ended(1),
        prove=End("removed", ("failed",)).prove,
    ),
]

NOT_WALKED = {
    "UpdateEntryOwnershipActivity": "one transaction under the claim's lock "
    "(tests/pix/entries/test_kills.py)",
    "raise_entry_attention": "the kit's review item, which interventions walk",
}
