"""Tables that `database` nodes may use: those that AUTOMATIONS_TABLES names."""

from django.conf import settings


def full_name(table: str) -> str:
    """Return the name with its schema, `public` where it has none."""
    return table if "." in table else f"public.{table}"


def access_to(table: str) -> str:
    """Return what automations may do with the table: `r`, `rw`, or nothing."""
    return settings.AUTOMATIONS_TABLES.get(full_name(table), "")
