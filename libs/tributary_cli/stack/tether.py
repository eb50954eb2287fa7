"""Becomes the command given, after asking the kernel to kill it when its parent dies.

Runs as a script (`python -I -S tether.py PARENT_PID COMMAND...`), between fork and exec, because code run there inside
the parent (`preexec_fn`) may deadlock once the parent has threads, as every gRPC client does. The wish survives exec.
Where the kernel does not know it (not Linux) the command simply runs; only its parent's orderly end then stops it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ties this process to its parent, then replaces it by the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the wish was made
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted; the command comes from our own stack


if __name__ == "__main__":
    main()
