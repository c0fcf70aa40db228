"""The roles' groups. The names are frozen here; `apps.accounts.roles` gives them permissions."""

from typing import Any

from django.db import migrations

GROUPS = (
    "requester",
    "reviewer",
    "senior reviewer",
    "quarantine operator",
    "quarantine releaser",
    "key officer",
    "booking agent",
    "auditor",
    "operator",
)


def make_groups(apps: Any, schema_editor: Any) -> None:
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for name in GROUPS:
        groups.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        # Backwards nothing: people are in these groups.
        migrations.RunPython(make_groups, migrations.RunPython.noop),
    ]
