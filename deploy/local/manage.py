"""`make -s manage ARGS="…"`: a management command with the environment of the running stack.

Replaces itself by the command, so its output and exit status are untouched.
"""

import json
import os
import sys

from deploy.local.lock import is_held
from deploy.local.stack import ROOT, data_folder, management


def main() -> None:
    """Exec the command, or exit 1 with the reason when no stack runs."""
    data = data_folder()
    try:
        stack = json.loads((data / "stack.json").read_text())
    except (OSError, ValueError):
        stack = None
    if stack is None or not is_held(data):
        sys.exit("Nothing runs here: start it with make run")
    if not sys.argv[1:]:
        sys.exit('Which command? For example: make -s manage ARGS="verifyaudit"')
    words = management(sys.argv[1:])
    os.chdir(ROOT)
    os.execve(words[0], words, {**os.environ, **stack["env"]})


if __name__ == "__main__":
    main()
