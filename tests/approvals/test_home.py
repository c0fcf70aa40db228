"""The figures of approvals on the home page."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from tests.plans import plan_by_index


@pytest.mark.django_db
def test_what_was_decided_today_is_found_by_its_index() -> None:
    rows = ApprovalRequest.objects.exclude(status="open").filter(
        settled_at__gte=timezone.now() - timedelta(hours=5)
    )
    plan_by_index(rows, "request_ended")
