"""Who writes automations and runs them."""

from typing import Any

import pytest

from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User


@pytest.fixture
def people(transactional_db: None, settings: Any) -> dict[str, User]:
    settings.DEMO_LOGINS = True
    return demo_people_ensure()
