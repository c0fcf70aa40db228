"""The demo's claims, which wait for their donor. Idempotent by `claim_id`.

Nobody here knows their keys, so they need no directory. Outside checks rely on DEMO-CLAIM-1.
"""

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone

from apps.accounts.demo_users import SEEDER
from apps.accounts.models import User
from apps.pix.contracts.claims import ClaimRequest
from apps.pix.services.claims import claim_demo

OURS, OTHER = "12345678", "87654321"
#: Id, type, claimer, donor, and how many hours ago somebody asked.
CLAIMS = (
    ("DEMO-CLAIM-1", "PORTABILITY", OURS, OTHER, 2),
    ("DEMO-CLAIM-2", "OWNERSHIP", OTHER, OURS, 30),
    ("DEMO-CLAIM-3", "PORTABILITY", OTHER, OURS, 75),
)


def claims_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Open what is missing; yield a line of progress."""
    now = timezone.now()
    made = [
        claim_demo(
            ClaimRequest(
                claim_id=claim_id,
                claim_type=claim_type,
                claimer_ispb=claimer,
                donor_ispb=donor,
                entry_id=claim_id.replace("CLAIM", "ENTRY"),
            ),
            requested_by=people["requester"],
            by=SEEDER,
            as_of=now - timedelta(hours=hours),
        )
        for claim_id, claim_type, claimer, donor, hours in CLAIMS
    ]
    yield f"{sum(claim is not None for claim in made)} claims that wait for their donor"
