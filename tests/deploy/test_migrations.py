"""The tables are what the models say."""

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_no_model_has_changed_without_a_migration() -> None:
    """Needs a database: the command compares with the history that is applied, too."""
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=1)
