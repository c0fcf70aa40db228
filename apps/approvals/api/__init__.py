"""API of approvals, mounted at /api/v1/approvals."""

# Operations with fixed words are registered before `/{request_id}`, because the first matching
# route answers.
from apps.approvals.api import bulk  # noqa: F401  # isort: skip
from apps.approvals.api import delegations  # noqa: F401  # isort: skip
from apps.approvals.api import rules  # noqa: F401  # isort: skip
from apps.approvals.api import requests  # noqa: F401  # isort: skip
from apps.approvals.api import actions  # noqa: F401  # isort: skip
from apps.approvals.api import discussion  # noqa: F401  # isort: skip
from apps.approvals.api import timeline  # noqa: F401  # isort: skip
from apps.approvals.api.base import router

__all__ = ["router"]
