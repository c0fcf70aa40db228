"""A worker of the batch lane that asks for no scores: what is left is the lane itself.

python -m benchmarks.unscored runworker
"""

import os
import sys


def main() -> None:
    """Run the management command with no score asked of anybody."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    import django

    django.setup()
    from django.core.management import execute_from_command_line

    from apps.payments.contracts import Scoring
    from apps.payments.services import batch_scores

    batch_scores._STEPS = dict.fromkeys(Scoring, ())
    execute_from_command_line(["manage.py", *sys.argv[1:]])


if __name__ == "__main__":
    main()
