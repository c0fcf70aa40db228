"""Becomes another program, after arranging what that program cannot arrange for itself.

A separate file run by the interpreter and not a `preexec_fn`: code between fork and exec of a
process with threads may deadlock. The pid survives exec, so the pid file is true from the first
moment. Standard library only; it runs with `-I -S` and knows nothing of the project.

Usage: child.py JSON, with {"argv", "pid_file", "death_signal", "parent", "uid", "namespace"}.
"""

import ctypes
import json
import os
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def main() -> None:
    """Apply the options and exec `argv`; a failure leaves by an exception and a non-zero exit."""
    options: dict[str, Any] = json.loads(sys.argv[1])
    if options["pid_file"]:
        _write_pid_file(options["pid_file"], options["argv"])
    if options["namespace"]:
        _enter_user_namespace(options["uid"])
    elif options["uid"] is not None:
        os.setgroups([])
        os.setgid(options["uid"])
        os.setuid(options["uid"])
    # After every change of credentials: the kernel forgets the death signal on one.
    if options["death_signal"] and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, options["death_signal"])
        if os.getppid() != options["parent"]:
            sys.exit("the launcher is gone")
    os.execv(options["argv"][0], options["argv"])


def _enter_user_namespace(uid: int) -> None:
    """Be `uid` in a namespace of our own; outside of it, files belong to whoever started us."""
    libc = ctypes.CDLL(None, use_errno=True)
    outer_uid, outer_gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{uid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _write_pid_file(path: str, argv: list[str]) -> None:
    started = None
    if sys.platform == "linux":
        with open("/proc/self/stat") as file:
            started = int(file.read().rpartition(")")[2].split()[19])
    draft = f"{path}.draft"
    with open(draft, "w") as file:
        json.dump({"pid": os.getpid(), "started": started, "argv": argv}, file)
    os.replace(draft, path)


if __name__ == "__main__":
    main()
