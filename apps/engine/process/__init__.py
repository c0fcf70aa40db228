"""Rows that a workflow carries: lock, save, start, restart, signal, and recover stranded ones.

A domain describes its row once (`Process`), registers what the end of its workflow means for the
row (`register`), and calls these functions from its services.

Order in every service: `locked`, check again, `save`, `record`, then `start`, `start_again` or
`wake`.
"""

from apps.engine.contracts import PASS_BACKSTOP, SAGA_BACKSTOP, WAITING_BACKSTOP
from apps.engine.process.asking import acting, ask_once, audited
from apps.engine.process.followers import ASKED, SETTLED, follow, tell_followers
from apps.engine.process.recovery import (
    STRANDED_LIMIT,
    carried,
    reconcile,
    register,
    stranded,
    topics_register,
    why_closed,
    why_undeliverable,
)
from apps.engine.process.rows import (
    announce,
    check_carrier,
    check_unsettled,
    ended,
    id_of,
    locked,
    record,
    row_locked,
    save,
    tell,
    unknown,
)
from apps.engine.process.runs import is_carried, reconcile_closed
from apps.engine.process.spec import (
    Carrier,
    Process,
    SubjectRow,
    subjects_of,
    workflow_id_of,
)
from apps.engine.process.workflow import (
    SETTLING_IN,
    is_under_way,
    last_number,
    restart,
    start,
    start_again,
    start_discarded,
    wake,
    worn_out,
)

__all__ = [
    "ASKED",
    "PASS_BACKSTOP",
    "SAGA_BACKSTOP",
    "SETTLED",
    "SETTLING_IN",
    "STRANDED_LIMIT",
    "WAITING_BACKSTOP",
    "Carrier",
    "Process",
    "SubjectRow",
    "acting",
    "announce",
    "ask_once",
    "audited",
    "carried",
    "check_carrier",
    "check_unsettled",
    "ended",
    "follow",
    "id_of",
    "is_carried",
    "is_under_way",
    "last_number",
    "locked",
    "reconcile",
    "reconcile_closed",
    "record",
    "register",
    "restart",
    "row_locked",
    "save",
    "start",
    "start_again",
    "start_discarded",
    "stranded",
    "subjects_of",
    "tell",
    "tell_followers",
    "topics_register",
    "unknown",
    "wake",
    "why_closed",
    "why_undeliverable",
    "workflow_id_of",
    "worn_out",
]
