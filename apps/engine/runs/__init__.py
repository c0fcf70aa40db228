"""Runs with items: one row that a workflow carries (`apps.engine.process`), and many items, each
with its own outcome.

A domain describes its run once (`RunSpec`), registers it (`register`), and calls these functions
from its services. Items are worked through in one of two ways. If an item has its own workflow, the
run's workflow keeps a few running (`workers.bounded`) and gets more from `begin_next`. If an item
is one transaction, an activity works through many with `work_through`. Either way an item has one
outcome, also for concurrent or repeated calls.
"""

from apps.engine.runs.changes import check_carrier, end, go_on, register
from apps.engine.runs.items import counts_by_run, progress_by_run, progress_of
from apps.engine.runs.spec import RunSpec
from apps.engine.runs.verbs import acting, cancel, pause, resume
from apps.engine.runs.working import begin_next, finish, item_do, work_through

__all__ = [
    "RunSpec",
    "acting",
    "begin_next",
    "cancel",
    "check_carrier",
    "counts_by_run",
    "end",
    "finish",
    "go_on",
    "item_do",
    "pause",
    "progress_by_run",
    "progress_of",
    "register",
    "resume",
    "work_through",
]
