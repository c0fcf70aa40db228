"""A run with items: one row that a workflow carries (`apps.engine.process`), and many items under
it, each with an outcome of its own.

A domain writes down once what its run is (`RunSpec`), registers it (`register`), and calls these
functions from its services. Its items are worked through in one of two ways. Where an item takes a
workflow of its own, the run's workflow keeps a few under way (`workers.bounded`) and asks for more
with `begin_next`. Where an item is one transaction, an activity works through many with
`work_through`. In both an item has one outcome, whoever asks, however often.
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
