"""The sagas of all domains, and the points that none of them passes. Plain lists."""

from tests.faults import (
    automations,
    bookings,
    interventions,
    payment_batches,
    payments,
    pix_claims,
    pix_infractions,
    pix_keys,
    syncs,
    topups,
)
from tests.faults.saga import FaultSaga

SAGAS: list[FaultSaga] = [
    *interventions.SAGAS,
    *bookings.SAGAS,
    *topups.SAGAS,
    *payments.SAGAS,
    *payment_batches.SAGAS,
    *automations.SAGAS,
    *pix_keys.SAGAS,
    *syncs.SAGAS,
    *pix_claims.SAGAS,
    *pix_infractions.SAGAS,
]

#: Activities at which nobody is killed by the matrix, and why that is good enough.
NOT_WALKED: dict[str, str] = {
    **interventions.NOT_WALKED,
    **bookings.NOT_WALKED,
    **topups.NOT_WALKED,
    **payments.NOT_WALKED,
    **automations.NOT_WALKED,
    **pix_keys.NOT_WALKED,
    **syncs.NOT_WALKED,
    **pix_claims.NOT_WALKED,
    "decide_items": "rows first: each decision is a transaction of its own, and the next run "
    "takes what is left (tests/approvals/test_bulk_workflow.py)",
    "tick_request": "waits for hours; the time-skipping server tests it",
}
