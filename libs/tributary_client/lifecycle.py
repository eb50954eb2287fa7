"""What happens to clients when their process ends or is forked.

The one rule: whoever forgets to close loses nothing that a few seconds can save, and a forked child begins anew: it
neither sends what its parent has taken, nor touches the parent's connections.
"""

from __future__ import annotations

import atexit
import os
import time
import weakref

from tributary_client import exiting
from tributary_client.engine import Engine

EXIT_SECONDS = 5.0
"""How long the end of the process waits for what was taken, all clients together."""

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def watch(engine: Engine) -> None:
    """Looks after an engine until it is gone."""
    _engines.add(engine)


def close_all(seconds: float = EXIT_SECONDS) -> None:
    """Closes every client that is not, because the process ends."""
    exiting.begin()
    end_time = time.monotonic() + seconds
    for engine in list(_engines):
        engine.close(max(0.0, end_time - time.monotonic()))


def _forked() -> None:
    for engine in list(_engines):
        engine.forked()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
