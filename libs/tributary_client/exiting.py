"""Whether Python is ending, and what it cannot do any more then.

The one rule: from Python 3.12 on no thread is started once the process has begun to end. gRPC needs one for a call that
is not waited for, and to close a channel; so the last calls are waited for, and the channel ends with the process.
"""

from __future__ import annotations

import sys

_is_exiting = False


def begin() -> None:
    """Notes that Python is ending."""
    global _is_exiting
    _is_exiting = True


def can_start_threads() -> bool:
    """Tells whether a thread may be started."""
    return not _is_exiting or sys.version_info < (3, 12)
