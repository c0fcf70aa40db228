"""Hundreds of sagas while everybody is killed at random: `make soak`.

SOAK_SECONDS (600) and SOAK_SAGAS (500) say how long and how many, SOAK_SEED repeats the order of
kills. Ctrl-C ends the killing early; what was begun until then is brought to its end and proven.
Exit status 1 when anything was lost, happened twice, or is left over.
"""

import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from tests.faults.harness import VICTIMS, Harness
from tests.faults.interventions import (
    IRREVERSIBLE,
    IRREVERSIBLE_BUDGET,
    ONCE,
    REFUSED_TARGET,
    leftovers,
)
from tests.faults.points import Points
from tests.faults.story import BUDGET, POLICY, Story
from tests.stack import Stack, migrated_template
from tests.support import eventually

PEOPLE_AT_ONCE = 6
BATCH_ITEMS = 5
#: After the last saga was begun and the last victim is back.
PATIENCE = 180.0


class Soak:
    """The stack, what was asked on it, and who was killed."""

    def __init__(self, story: Story, *, seconds: float, sagas: int, seed: int) -> None:
        self.story = story
        self.seconds = seconds
        self.sagas = sagas
        self.random = random.Random(seed)
        self.harness = Harness(story, Points(Path(tempfile.mkdtemp(dir=story.stack.folder))))
        self.asked: list[str] = []
        self.batches: list[str] = []
        self.kills: Counter[str] = Counter()
        self.stop = threading.Event()
        self.began = time.monotonic()
        self.failures: list[str] = []

    def run(self) -> None:
        """Ask and kill until the time is over or Ctrl-C; returns with everybody alive again.

        The killing is done here, in the main thread: a process dies with the thread that began it.
        """
        ways: list[Callable[[], None]] = [
            *([self._small] * 8),
            *(self._signed, self._signed, self._rejected, self._refused),
            *(self._irreversible, self._taken_back, self._cancelled),
            *(self._batch, self._batch_paused, self._batch_stopped),
        ]
        # Of a batch, each of its payments is a saga.
        chosen = [self.random.choice(ways) for _ in range(self.sagas)]
        asking = threading.Thread(target=self._ask_all, args=[chosen], name="asking")
        asking.start()
        try:
            self._kill_until(self.began + self.seconds)
        except KeyboardInterrupt:
            print("Stopped: what was begun is brought to its end and proven.", flush=True)
        finally:
            self.stop.set()
            self.story.stack.wait_ready(timeout=120)
            asking.join()
        self._progress()

    def prove(self) -> None:
        """AssertionError unless all that was asked has ended once, and nothing is left over."""
        self._prove_batches()
        query = (
            "SELECT count(*) FROM interventions_intervention"
            " WHERE settled_at IS NULL AND id::text = ANY(%s)"
        )
        asked = self.asked
        eventually(lambda: self.story.stack.sql(query, asked)[0][0] == 0, timeout=PATIENCE, every=1)
        eventually(lambda: not leftovers(self.story, asked), timeout=60, every=1)
        self._prove_each()
        self.story.prove_ledger()
        self.story.prove_audit()
        self.story.prove_reservations()
        self.story.prove_mails()
        assert not self.failures, "\n".join(self.failures)

    def _prove_batches(self) -> None:
        """Each has ended, and so has each of its payments; those are then proven like any other."""
        asked = self.batches
        query = (
            "SELECT count(*) FROM interventions_interventionbatch"
            " WHERE settled_at IS NULL AND id::text = ANY(%s)"
        )
        eventually(lambda: self.story.stack.sql(query, asked)[0][0] == 0, timeout=PATIENCE, every=1)
        query = (
            "SELECT count(*) FROM interventions_batchitem"
            " WHERE status IN ('waiting', 'running') AND batch_id::text = ANY(%s)"
        )
        eventually(lambda: self.story.stack.sql(query, asked)[0][0] == 0, timeout=PATIENCE, every=1)
        eventually(lambda: not leftovers(self.story, asked), timeout=60, every=1)
        items = self.story.stack.sql(_ITEMS, asked)
        assert len(items) == BATCH_ITEMS * len(set(asked)) == BATCH_ITEMS * len(asked)
        for status, intervention, paid in items:
            assert (status == "done") == (paid == "executed"), (status, intervention, paid)
        begun = [intervention for _, intervention, _ in items if intervention]
        assert len(set(begun)) == len(begun)
        self.asked += begun

    def _prove_each(self) -> None:
        rows = self.story.stack.sql(_ROWS, list(ONCE), self.asked)
        assert len(rows) == len(set(self.asked)) == len(self.asked)
        effects = self.story.all_effects()
        ends: Counter[str] = Counter()
        for pk, status, code, ledger, outcomes, twice in rows:
            effect = effects.get(f"{pk}:execute", {"executions": 0, "reversals": 0})
            made, reversed_ = effect["executions"], effect["reversals"]
            assert (outcomes, twice) == (1, []), pk
            if status == "executed":
                assert (ledger, made, reversed_) == (["reserve", "commit"], 1, 0), pk
            else:
                assert ledger in ([], ["reserve", "release"]), (pk, status, ledger)
                assert made <= 1 and made == reversed_, (pk, status, effect)
            ends[f"{status} {code}".strip()] += 1
        for end, number in ends.most_common():
            print(f"{number:6} {end}")

    def _ask_all(self, chosen: list[Callable[[], None]]) -> None:
        """Spread over the time, the last of them a little before its end."""
        with ThreadPoolExecutor(PEOPLE_AT_ONCE) as people:
            for number, way in enumerate(chosen):
                at = self.began + self.seconds * 0.9 * number / self.sagas
                if self.stop.wait(max(0.0, at - time.monotonic())):
                    break
                people.submit(self._tell, way)
            people.shutdown(cancel_futures=self.stop.is_set())

    # --- what people do -------------------------------------------------------------------------
    def _tell(self, way: Callable[[], None]) -> None:
        try:
            way()
        except BaseException as error:
            self.failures.append(f"{way.__name__}: {type(error).__name__}: {error}")

    def _ask(self, amount: str = "100.00", **more: str) -> str:
        asked = self.story.ask(amount, key=f"soak-{uuid4()}", **more)
        self.asked.append(asked)
        return asked

    def _small(self) -> None:
        self._ask()

    def _signed(self) -> None:
        self.story.settle(self._ask("15000.00"), "approve")

    def _rejected(self) -> None:
        self.story.settle(self._ask("15000.00"), "reject")

    def _refused(self) -> None:
        self._ask(target=REFUSED_TARGET)

    def _irreversible(self) -> None:
        asked = self._ask(policy=IRREVERSIBLE, budget=IRREVERSIBLE_BUDGET)
        self.story.settle(asked, "approve")

    def _taken_back(self) -> None:
        """By the requester; it may be too late, or have been done by a try that went unheard."""
        asked = self._ask("15000.00")
        answer = self.story.insist(
            "POST", f"/interventions/{asked}/cancel", user="requester", body={"reason": "Wrong."}
        )
        assert answer.status in {200, 409}, answer

    def _cancelled(self) -> None:
        """In the engine, at any moment; it may have ended, or not have begun."""
        asked = self._ask()
        time.sleep(self.random.uniform(0, 1.5))
        try:
            cancel: Any = WorkflowHandle.cancel
            self.story.in_the_engine(cancel, f"intervention-{asked}-execution")
        except (RPCError, RuntimeError):
            # Not begun, ended, or the engine is just away.
            return

    def _batch(self, *, refused: bool = True) -> str:
        """Small payments, one of them to who takes none."""
        target = REFUSED_TARGET if refused else "Ward 0"
        items = [{"amount": "50.00", "target": target, "justification": "Roofs"}] + [
            {"amount": "50.00", "target": f"Ward {number}", "justification": "Roofs"}
            for number in range(1, BATCH_ITEMS)
        ]
        body = {
            "policy": POLICY,
            "budget": BUDGET,
            "currency": "NGN",
            "items": items,
            "idempotency_key": f"soak-{uuid4()}",
        }
        answer = self.story.insist("POST", "/intervention-batches", user="requester", body=body)
        assert answer.status in {200, 201}, answer
        batch = str(answer.body["id"])
        self.batches.append(batch)
        return batch

    def _batch_paused(self) -> None:
        """And resumed; it may not have begun, or have ended, by then."""
        batch = self._batch(refused=False)
        for verb in ("pause", "resume"):
            self._to_batch(batch, verb)
            time.sleep(self.random.uniform(0, 3))

    def _batch_stopped(self) -> None:
        batch = self._batch()
        time.sleep(self.random.uniform(0, 3))
        self._to_batch(batch, "cancel")

    def _to_batch(self, batch: str, verb: str) -> None:
        path = f"/intervention-batches/{batch}/{verb}"
        answer = self.story.insist("POST", path, user="requester", body={"reason": "Soak."})
        assert answer.status in {200, 409}, answer

    # --- the killer -----------------------------------------------------------------------------
    def _kill_until(self, end: float) -> None:
        told = 0.0
        while time.monotonic() < end:
            time.sleep(self.random.uniform(2, 8))
            victim = self.random.choice(VICTIMS)
            try:
                self.harness.kill(victim)
                time.sleep(self.random.uniform(0, 2))
            finally:
                # Also after Ctrl-C: what was begun has to come to its end.
                self.harness.restart(victim)
            self.kills[victim] += 1
            if time.monotonic() - told > 15:
                told = time.monotonic()
                self._progress()

    def _progress(self) -> None:
        killed = ", ".join(f"{victim} {number}" for victim, number in sorted(self.kills.items()))
        seconds = time.monotonic() - self.began
        number = f"{len(self.asked)} and {len(self.batches)} batches"
        print(f"{seconds:6.0f} s  {number} asked  killed: {killed or '-'}", flush=True)


_ROWS = """
SELECT i.id::text, i.status, i.error_code,
       ARRAY(SELECT kind FROM interventions_budgetentry e
             WHERE e.intervention_id = i.id ORDER BY e.id),
       (SELECT count(*) FROM interventions_outcome o WHERE o.intervention_id = i.id),
       ARRAY(SELECT a.action FROM audit_auditentry a
             WHERE a.subject_type = 'intervention' AND a.subject_id = i.id::text
               AND a.outcome = 'done' AND a.action = ANY(%s)
             GROUP BY a.action HAVING count(*) > 1)
FROM interventions_intervention i WHERE i.id::text = ANY(%s)
"""


_ITEMS = """
SELECT item.status, item.intervention_id::text, COALESCE(i.status, '')
FROM interventions_batchitem item
LEFT JOIN interventions_intervention i ON i.id = item.intervention_id
WHERE item.batch_id::text = ANY(%s)
"""


def main() -> int:
    """The command; its exit status."""
    seconds = float(os.environ.get("SOAK_SECONDS") or 600)
    sagas = int(os.environ.get("SOAK_SAGAS") or 500)
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
    print(f"{sagas} sagas in {seconds:g} s. SOAK_SEED={seed} repeats the choices.", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="countersign-soak-"))
    folder.chmod(0o711)
    stack = None
    try:
        stack = Stack(folder / "stack", template=migrated_template(folder / "template"))
        stack.start()
        stack.wait_ready(timeout=120)
        story = Story(stack)
        for person in ("requester", "reviewer", "admin"):
            story.key(person)
        story.behave(refuse_targets=[REFUSED_TARGET], delay_seconds=0.2)
        story.quiet()
        soak = Soak(story, seconds=seconds, sagas=sagas, seed=seed)
        soak.run()
        soak.prove()
    except BaseException as error:
        if stack is not None:
            print(stack.logs(), file=sys.stderr)
        print(f"FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        if stack is not None:
            stack.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{len(soak.asked)} sagas in and outside {len(soak.batches)} batches, "
        f"{sum(soak.kills.values())} kills: nothing lost, nothing twice."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
