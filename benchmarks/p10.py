"""P10: from `make run` to a page that answers; the first start in a fresh copy, then the second.

The first start makes its own .venv (from the package cache, if that is warm), its cluster, its
tables and the demo. Ports and data are its own; a running stack is left alone.
"""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from benchmarks.bench import Bench
from deploy.local.processes import free_port
from deploy.local.stack import PORTS, ROOT

BENCH = Bench(goal="P10", title="How long make run takes", seconds=45, quick_seconds=35)
GOALS = {"first start": (60.0, 30.0), "second start": (10.0, 5.0)}
PATIENCE = 300.0


def main() -> int:
    """Prints a line a start; 1 when one misses what it must reach."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-p10-"))
    try:
        copy = folder / "countersign"
        copy_tree(copy)
        ports = {name: str(free_port()) for name in PORTS}
        missed = False
        for name, (must, reach) in GOALS.items():
            seconds = start_once(copy, ports)
            missed |= seconds > must
            print(f"P10 {name} {seconds:.1f} s (must ≤ {must:.0f}, reach {reach:.0f})", flush=True)
        return int(missed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_tree(target: Path) -> None:
    """What git knows or would add: what a clone has, with the changes not yet committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def start_once(copy: Path, ports: dict[str, str]) -> float:
    """Seconds until the site's first page answers 200; the stack has ended when this returns."""
    leave = {"COUNTERSIGN_DATA", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    env = {key: value for key, value in os.environ.items() if key not in leave}
    log = copy.parent / "make-run.log"
    began = time.monotonic()
    with log.open("wb") as file:
        # A session of its own: the signal at the end goes to make and the launcher alike.
        stack = subprocess.Popen(
            ["make", "run"],
            cwd=copy,
            env={**env, **ports},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        while not answers(f"http://127.0.0.1:{ports['WEB_PORT']}/"):
            if stack.poll() is not None or time.monotonic() - began > PATIENCE:
                raise SystemExit(f"make run did not come up:\n{log.read_text()[-4000:]}")
            time.sleep(0.02)
        return time.monotonic() - began
    finally:
        with suppress(ProcessLookupError):
            os.killpg(stack.pid, signal.SIGTERM)
        stack.wait()


def answers(url: str) -> bool:
    """Whether the page, or the login that it sends one to, is there."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):
        return False


if __name__ == "__main__":
    sys.exit(main())
