"""`python -m tests.prepare`: what the first tests wait for, made while xdist's workers collect.

The migrated database and the data folder of a stack; whoever needs one takes the same lock, and
makes it if this did not.
"""

import json
import os
from pathlib import Path


def main() -> None:
    """Make both, with the settings and on the servers of the session that started this."""
    import django

    django.setup()

    from tests.database import copy_migrated, migrated_database
    from tests.servers import SHARED
    from tests.stack import migrated_template

    migrated_database()
    folder = Path(json.loads(os.environ[SHARED])["folder"])
    migrated_template(folder / "template", fill=copy_migrated)


if __name__ == "__main__":
    main()
