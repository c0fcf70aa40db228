"""A real `runworker` process that serves the tests' queues: the product knows nothing of it."""

import atexit
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    import django

    django.setup()
    from tests.workers import sample, sample_workflows
    from workers import registry

    spec = registry.QueueSpec(
        name=os.environ["SAMPLE_QUEUE"],
        workflows=sample_workflows.WORKFLOWS,
        activities=sample.ACTIVITIES,
    )
    registry.QUEUES[spec.name] = spec
    # Threads of the SDK can abort an interpreter that is taken down: nothing may get that far.
    atexit.register(print, "TAKEN DOWN", file=sys.stderr, flush=True)
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", "runworker", *sys.argv[1:]])


if __name__ == "__main__":
    main()
