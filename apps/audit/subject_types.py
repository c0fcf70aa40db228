"""Types of subjects whose ids are searched in the audit trail. Each app registers its own in
`AppConfig.ready()`.
"""

from apps.common.registry import Registry

_types = Registry[str]("type of audited subjects")


def register(*types: str) -> None:
    """Include these types in searches by id: the index on subjects begins with the type."""
    for one in types:
        _types.add(one, one)


def registered() -> list[str]:
    """All of them, by name."""
    return sorted(_types.values())


register("audit_entry")
