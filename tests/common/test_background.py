"""An event loop beside threads: begun once, and anew in a forked child."""

import asyncio
import os
import threading

from apps.common.background import LoopThread


async def _where() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


def test_what_is_handed_over_runs_on_one_thread() -> None:
    thread = LoopThread("test-loop")
    assert thread.submit(_where()).result(5) == "test-loop"
    loops = {id(thread.loop()) for _ in range(3)}
    assert len(loops) == 1
    assert [t.name for t in threading.enumerate()].count("test-loop") == 1


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    thread = LoopThread("test-fork")
    thread.submit(_where()).result(5)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if thread.submit(_where()).result(5) == "test-fork" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
