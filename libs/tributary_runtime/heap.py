"""The garbage collector of a process that serves.

The one rule: what is there when a process begins to serve stays for ever, so nobody looks through it again and again:
that would cost a tenth of the hot path. Called by the services that count every microsecond.
"""

import gc

_THRESHOLDS = (20_000, 20, 50)
"""A call of 1000 events makes and forgets some thousand objects: a collection per call is enough."""


def collect_rarely() -> None:
    """Makes collections rarer: what imports make stays, too."""
    gc.set_threshold(*_THRESHOLDS)


def settle_heap() -> None:
    """Takes what is there now out of every collection to come, and makes collections rarer. Twice is once."""
    gc.collect()
    gc.freeze()
    collect_rarely()
