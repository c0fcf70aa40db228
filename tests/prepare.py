"""`python -m tests.prepare`: what the first tests wait for, made while xdist's workers collect.

The migrated database and the data folder of a stack; whoever needs one takes the same lock, and
makes it if this did not.
"""


def main() -> None:
    """Make both, with the settings and on the servers of the session that started this."""
    import django

    django.setup()

    from tests.database import migrated_cluster, migrated_database

    migrated_database()
    migrated_cluster()


if __name__ == "__main__":
    main()
